//! The members of an account: clients, interfaces and API users. A deleted account has none.

use std::time::Duration;

use domain::{
    ApiUserId, DestinationId, Registry, RequestId, TokenId,
    notice::NoticeKind,
    registry::{
        Account, ApiUser, Change, Client, Command, Decision, EntityKind, Interface, OptOut, Refusal, Role, Scope,
        UrlRules,
    },
};

use crate::common::{account, account_id, api_user, client, client_id, destination, destination_id, fact, interface};

fn registry(changes: impl IntoIterator<Item = Change>) -> Registry {
    let mut registry = Registry::default();
    for change in [Change::AccountCreated(account())].into_iter().chain(changes) {
        registry.apply(registry.sequence() + 1, &fact(change));
    }
    registry
}

fn decide(registry: &Registry, command: Command) -> Result<Decision, Refusal> {
    registry.decide(command, UrlRules::default())
}

fn wrong_field(command: Command) -> Option<&'static str> {
    let existing = [
        Change::InterfaceCreated(interface("form")),
        Change::ClientCreated(client("north")),
        Change::ApiUserCreated(api_user("ada", "ada@acme.example", Role::Admin)),
    ];
    match decide(&registry(existing), command) {
        Ok(_) => None,
        Err(Refusal::Invalid { field, .. }) => Some(field),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn client_id_can_be_reused_after_deletion() {
    let mut registry = registry([Change::ClientCreated(client("north"))]);
    let taken = Refusal::AlreadyExists { kind: EntityKind::Client, id: "north".into() };
    assert_eq!(decide(&registry, Command::CreateClient(client("north"))), Err(taken));
    let renamed = Client { name: "North".into(), ..client("north") };
    let decision = decide(&registry, Command::UpdateClient(renamed)).unwrap();
    assert_eq!(decision.expected_version, 2);
    registry.apply(3, &fact(decision.change));
    assert_eq!(registry.client(&account_id(), &client_id("north")).unwrap().name, "North");
    registry.apply(4, &fact(Change::ClientDeleted(account_id(), client_id("north"))));
    assert!(registry.client(&account_id(), &client_id("north")).is_none());
    let again = decide(&registry, Command::CreateClient(client("north"))).unwrap();
    assert_eq!(again.expected_version, 4, "the decision depends on the deletion");
}

#[test]
fn members_of_an_account_are_validated() {
    let day = Duration::from_secs(24 * 60 * 60);
    let kept = |retention| Command::UpdateInterface(Interface { retention, ..interface("form") });
    for (retention, fine) in [
        (None, true),
        (Some(Duration::ZERO), false),
        (Some(day - Duration::from_micros(1)), false),
        (Some(day), true),
        (Some(day * 3_650), true),
        (Some(day * 3_651), false),
    ] {
        assert_eq!(wrong_field(kept(retention)), (!fine).then_some("retention"), "{retention:?}");
    }
    let recipients = |emails: Vec<String>| {
        Command::UpdateInterface(Interface { lead_notification_emails: emails, ..interface("form") })
    };
    let numbered = |count: usize| (0..count).map(|n| format!("p{n}@acme.example")).collect();
    assert_eq!(wrong_field(recipients(numbered(20))), None);
    assert_eq!(wrong_field(recipients(numbered(21))), Some("lead_notification_emails"));
    assert_eq!(wrong_field(recipients(vec!["nobody".into()])), Some("lead_notification_emails"));
    assert_eq!(
        wrong_field(Command::UpdateInterface(Interface { name: "a\nb".into(), ..interface("form") })),
        Some("name")
    );
    assert_eq!(wrong_field(Command::UpdateClient(Client { name: "x".repeat(201), ..client("north") })), Some("name"));
    let user = || api_user("ada", "ada@acme.example", Role::Viewer);
    assert_eq!(wrong_field(Command::UpdateApiUser(user())), None);
    assert_eq!(wrong_field(Command::UpdateApiUser(ApiUser { email: String::new(), ..user() })), Some("email"));
    assert_eq!(wrong_field(Command::UpdateApiUser(ApiUser { name: "x".repeat(201), ..user() })), Some("name"));
}

#[test]
fn api_users_of_an_account_are_limited() {
    let user = |n: usize| api_user(&format!("u{n}"), "a@b", Role::Viewer);
    let mut registry = registry((0..ApiUser::MAX).map(|n| Change::ApiUserCreated(user(n))));
    let one_more = || Command::CreateApiUser(user(ApiUser::MAX));
    let too_many = Refusal::TooMany { kind: EntityKind::ApiUser, max: ApiUser::MAX };
    assert_eq!(decide(&registry, one_more()), Err(too_many));
    let removed = Change::ApiUserDeleted(account_id(), ApiUserId::parse("u0").unwrap());
    registry.apply(registry.sequence() + 1, &fact(removed));
    assert!(decide(&registry, one_more()).is_ok());
}

#[test]
fn opt_out_suppresses_one_kind_of_notice_until_deleted() {
    let opt_out = OptOut::new(account_id(), "Ada@Acme.Example", NoticeKind::Error);
    let mut registry = registry([]);
    let decision = decide(&registry, Command::CreateOptOut(opt_out.clone())).unwrap();
    registry.apply(2, &fact(decision.change));
    let emails = ["ada@acme.example", "bob@acme.example", "BOB@acme.example"].map(str::to_owned);
    let willing = |registry: &Registry, kind| registry.account(&account_id()).unwrap().willing(&emails, kind);
    assert_eq!(willing(&registry, NoticeKind::Error), ["bob@acme.example"]);
    assert_eq!(willing(&registry, NoticeKind::Lead), ["ada@acme.example", "bob@acme.example"]);
    // Addresses are compared without case.
    let again = Command::CreateOptOut(OptOut::new(account_id(), "ADA@acme.example", NoticeKind::Error));
    let taken = Refusal::AlreadyExists { kind: EntityKind::OptOut, id: opt_out.id.to_string() };
    assert_eq!(decide(&registry, again), Err(taken));
    let wrong = OptOut::new(account_id(), "ada", NoticeKind::Error);
    assert_eq!(wrong_field(Command::CreateOptOut(wrong)), Some("email"));
    let decision = decide(&registry, Command::DeleteOptOut(account_id(), opt_out.id.clone())).unwrap();
    assert_eq!(decision.expected_version, 2);
    registry.apply(3, &fact(decision.change));
    assert_eq!(willing(&registry, NoticeKind::Error), ["ada@acme.example", "bob@acme.example"]);
    let missing = Refusal::NotFound { kind: EntityKind::OptOut, id: opt_out.id.to_string() };
    assert_eq!(decide(&registry, Command::DeleteOptOut(account_id(), opt_out.id)), Err(missing));
}

#[test]
fn deactivation_notices_reach_operators_admins_and_the_list_once() {
    let recipients = |emails: &[&str], users: &[(&str, Role)]| {
        let emails: Vec<String> = emails.iter().map(|&email| email.to_owned()).collect();
        let owner = vec!["owner@acme.example".to_owned()];
        let whole = Account { api_user_emails: emails, notification_emails: owner, ..account() };
        let users = users.iter().enumerate();
        let made = users.map(|(n, (email, role))| Change::ApiUserCreated(api_user(&format!("u{n}"), email, *role)));
        let mut registry = registry([Change::AccountUpdated(whole)].into_iter().chain(made));
        let gone = api_user("gone", "gone@acme.example", Role::Admin);
        let id = gone.id.clone();
        for change in [Change::ApiUserCreated(gone), Change::ApiUserDeleted(account_id(), id)] {
            registry.apply(registry.sequence() + 1, &fact(change));
        }
        registry.account(&account_id()).unwrap().deactivation_recipients()
    };
    let (v, o, a) = (Role::Viewer, Role::Operator, Role::Admin);
    assert_eq!(recipients(&[], &[]), ["owner@acme.example"]);
    assert_eq!(recipients(&[], &[("v@acme.example", v)]), ["owner@acme.example"]);
    assert_eq!(recipients(&["list@acme.example"], &[]), ["list@acme.example"]);
    assert_eq!(
        recipients(&[], &[("o@acme.example", o), ("v@acme.example", v), ("a@acme.example", a)]),
        ["o@acme.example", "a@acme.example"]
    );
    assert_eq!(
        recipients(&["o@acme.example"], &[("O@Acme.Example", o), ("a@acme.example", a), ("a@acme.example", a)]),
        ["o@acme.example", "a@acme.example"]
    );
}

#[test]
fn facts_stored_after_their_account_was_deleted_are_ignored() {
    let late = [
        Change::DestinationCreated(destination("late", Scope::Account, &["*"])),
        Change::ClientCreated(client("late")),
        Change::InterfaceCreated(interface("late")),
        Change::ApiUserCreated(api_user("late", "a@b", Role::Admin)),
    ];
    for change in late {
        let mut registry = registry([Change::AccountDeleted(account_id()), change.clone()]);
        let recreated = decide(&registry, Command::CreateAccount(account())).unwrap();
        registry.apply(registry.sequence() + 1, &fact(recreated.change));
        let entry = registry.account(&account_id()).unwrap();
        assert_eq!(entry.destinations().count() + entry.clients().count(), 0, "{change:?}");
        assert_eq!(entry.interfaces().count() + entry.api_users().count(), 0, "{change:?}");
        assert!(registry.destination_ever(&destination_id("late")).is_none());
        let (account, kind, id) = change.entity();
        assert_eq!(registry.version(account, kind, id), 3, "the next fact about it still has to name this version");
    }
}

#[test]
fn computed_ids_depend_on_account_and_request_id_alone() {
    let other = domain::AccountId::parse("other").unwrap();
    let (one, two) = (RequestId::parse("r:1").unwrap(), RequestId::parse("r:2").unwrap());
    let id = DestinationId::of_request;
    assert_eq!(id(&account_id(), &one), id(&account_id(), &one));
    assert_ne!(id(&account_id(), &one), id(&account_id(), &two));
    assert_ne!(id(&account_id(), &one), id(&other, &one));
    // The computed ids never change: a caller may repeat a call to a later release.
    assert_eq!(id(&account_id(), &one).as_str(), "dst_fbc5b9435fef54378da2844e616ad7aa");
    assert_eq!(TokenId::of_request(&account_id(), &one).as_str(), "tok_893583882ad45183aa998a1621acd3fb");
}
