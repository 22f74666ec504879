//! Refusals of configuration changes, the versions that they depend on, and redelivered facts.

use std::time::Duration;

use domain::{
    AccountId, ApiUserId, Registry, RegistryFact, RetryPolicy, TokenId,
    registry::{
        Account, Algorithm, ApiUser, Change, Client, Command, Decision, Destination, EntityKind, EventTypePattern,
        Interface, Refusal, Role, Scope, SealedSecret, Token, TokenSecret, UrlRules,
    },
};
use proptest::{prelude::*, sample::select};

use crate::common::{
    account, account_id, api_user, client, client_id, destination, destination_id, fact, interface, interface_id, t,
};

fn token_id(text: &str) -> TokenId {
    TokenId::parse(text).unwrap()
}

fn token(id: &str) -> Token {
    let secret = TokenSecret { sealed: SealedSecret(vec![1]), created_at: t(0), expires_at: None };
    Token {
        account: account_id(),
        id: token_id(id),
        name: String::new(),
        algorithm: Algorithm::default(),
        secrets: vec![secret],
        deleted: false,
    }
}

fn signed(id: &str, with: &str) -> Destination {
    Destination { token: Some(token_id(with)), ..destination(id, Scope::Account, &["*"]) }
}

fn apply(registry: &mut Registry, change: Change) {
    registry.apply(registry.sequence() + 1, &fact(change));
}

/// Accounts acme (1) and other (2); of acme interface form (3), token key (4) and destination dst (5), which uses it.
fn registry() -> Registry {
    let mut registry = Registry::default();
    apply(&mut registry, Change::AccountCreated(account()));
    apply(&mut registry, Change::AccountCreated(Account { id: other(), ..account() }));
    apply(&mut registry, Change::InterfaceCreated(interface("form")));
    apply(&mut registry, Change::TokenCreated(token("key")));
    apply(&mut registry, Change::DestinationCreated(signed("dst", "key")));
    registry
}

fn other() -> AccountId {
    AccountId::parse("other").unwrap()
}

fn decide(registry: &Registry, command: Command) -> Result<Decision, Refusal> {
    registry.decide(command, UrlRules::default())
}

fn refused(command: Command) -> Refusal {
    decide(&registry(), command).unwrap_err()
}

fn absent(kind: EntityKind, id: &str) -> Refusal {
    Refusal::NotFound { kind, id: id.into() }
}

fn taken(kind: EntityKind, id: &str) -> Refusal {
    Refusal::AlreadyExists { kind, id: id.into() }
}

/// The field that makes a new destination invalid; `None` if it is valid.
fn wrong_field(change: impl FnOnce(&mut Destination), rules: UrlRules) -> Option<&'static str> {
    let mut new = destination("new", Scope::Account, &["*"]);
    change(&mut new);
    let decided = registry().decide(Command::CreateDestination(new.clone()), rules).map(|_| ());
    let updated = Destination { id: destination_id("dst"), ..new };
    let again = registry().decide(Command::UpdateDestination(updated), rules).map(|_| ());
    assert_eq!(decided, again, "updates and creations have the same rules");
    match decided {
        Ok(()) => None,
        Err(Refusal::Invalid { field, .. }) => Some(field),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn changes_of_missing_things_are_refused() {
    let (no_interface, no_destination, no_token) = (interface_id("no"), destination_id("no"), token_id("no"));
    let d = destination("no", Scope::Account, &["*"]);
    let table = [
        (Command::UpdateAccount(Account { id: AccountId::parse("no").unwrap(), ..account() }), EntityKind::Account),
        (Command::DeleteAccount(AccountId::parse("no").unwrap()), EntityKind::Account),
        (Command::UpdateClient(client("no")), EntityKind::Client),
        (Command::DeleteClient(account_id(), client_id("no")), EntityKind::Client),
        (Command::UpdateApiUser(api_user("no", "a@b", Role::Viewer)), EntityKind::ApiUser),
        (Command::DeleteApiUser(account_id(), ApiUserId::parse("no").unwrap()), EntityKind::ApiUser),
        (Command::CreateDestination(destination("d", Scope::Client(client_id("no")), &["*"])), EntityKind::Client),
        (Command::UpdateInterface(interface("no")), EntityKind::Interface),
        (Command::DeleteInterface(account_id(), no_interface), EntityKind::Interface),
        (Command::UpdateDestination(d), EntityKind::Destination),
        (Command::DisableDestination(account_id(), no_destination.clone()), EntityKind::Destination),
        (Command::DeleteDestination(account_id(), no_destination), EntityKind::Destination),
        (Command::UpdateToken(token("no")), EntityKind::Token),
        (Command::DeleteToken(account_id(), no_token), EntityKind::Token),
        (
            Command::CreateDestination(destination("d", Scope::Interface(interface_id("no")), &["*"])),
            EntityKind::Interface,
        ),
        (Command::CreateDestination(signed("d", "no")), EntityKind::Token),
    ];
    for (command, kind) in table {
        assert_eq!(refused(command.clone()), absent(kind, "no"), "{command:?}");
    }
}

#[test]
fn creations_for_missing_accounts_are_refused() {
    let stranger = AccountId::parse("stranger").unwrap();
    let commands = [
        Command::CreateInterface(Interface { account: stranger.clone(), ..interface("form") }),
        Command::CreateToken(Token { account: stranger.clone(), ..token("key") }),
        Command::CreateClient(Client { account: stranger.clone(), ..client("north") }),
        Command::CreateApiUser(ApiUser { account: stranger.clone(), ..api_user("ada", "a@b", Role::Admin) }),
        Command::CreateDestination(Destination { account: stranger, ..destination("d", Scope::Account, &["*"]) }),
    ];
    for command in commands {
        assert_eq!(refused(command), absent(EntityKind::Account, "stranger"));
    }
}

#[test]
fn accounts_do_not_see_each_other() {
    let moved = Destination { account: other(), ..destination("dst", Scope::Account, &["*"]) };
    let borrowed = Destination { account: other(), ..signed("new", "key") };
    let scoped = Destination { account: other(), ..destination("new", Scope::Interface(interface_id("form")), &["*"]) };
    let table = [
        (Command::UpdateDestination(moved), absent(EntityKind::Destination, "dst")),
        (Command::DisableDestination(other(), destination_id("dst")), absent(EntityKind::Destination, "dst")),
        (Command::DeleteDestination(other(), destination_id("dst")), absent(EntityKind::Destination, "dst")),
        (Command::DeleteToken(other(), token_id("key")), absent(EntityKind::Token, "key")),
        (Command::DeleteInterface(other(), interface_id("form")), absent(EntityKind::Interface, "form")),
        (Command::CreateDestination(borrowed), absent(EntityKind::Token, "key")),
        (Command::CreateDestination(scoped), absent(EntityKind::Interface, "form")),
    ];
    for (command, refusal) in table {
        assert_eq!(refused(command), refusal);
    }
}

#[test]
fn existing_ids_are_refused() {
    assert_eq!(refused(Command::CreateAccount(account())), taken(EntityKind::Account, "acme"));
    assert_eq!(refused(Command::CreateInterface(interface("form"))), taken(EntityKind::Interface, "form"));
    assert_eq!(refused(Command::CreateToken(token("key"))), taken(EntityKind::Token, "key"));
    let theirs = Destination { account: other(), ..destination("dst", Scope::Account, &["*"]) };
    assert_eq!(refused(Command::CreateDestination(theirs)), taken(EntityKind::Destination, "dst"));
}

#[test]
fn only_ids_of_deleted_destinations_are_never_reused() {
    let mut registry = registry();
    apply(&mut registry, Change::DestinationDeleted(account_id(), destination_id("dst")));
    let again = Command::CreateDestination(destination("dst", Scope::Account, &["*"]));
    assert_eq!(decide(&registry, again), Err(taken(EntityKind::Destination, "dst")));
    let disable = Command::DisableDestination(account_id(), destination_id("dst"));
    assert_eq!(decide(&registry, disable), Err(absent(EntityKind::Destination, "dst")));
    assert!(registry.destination_ever(&destination_id("dst")).unwrap().deleted);

    apply(&mut registry, Change::InterfaceDeleted(account_id(), interface_id("form")));
    let decision = decide(&registry, Command::CreateInterface(interface("form"))).unwrap();
    assert_eq!(decision.expected_version, 7, "the decision depends on the deletion");
}

#[test]
fn recreated_account_has_nothing_of_the_deleted_one() {
    let mut registry = registry();
    apply(&mut registry, Change::AccountDeleted(account_id()));
    assert!(registry.destination(&destination_id("dst")).is_none());
    let decision = decide(&registry, Command::CreateAccount(account())).unwrap();
    assert_eq!(decision.expected_version, 6, "the decision depends on the deletion");
    apply(&mut registry, decision.change);
    assert!(registry.interface(&account_id(), &interface_id("form")).is_none());
    assert!(registry.token(&account_id(), &token_id("key")).is_none());
    assert!(registry.destination(&destination_id("dst")).is_none());
    let lead = crate::common::event("e", "form", "lead.created");
    assert!(domain::routing::destinations_for(&registry, &lead).is_empty());
    let interface = decide(&registry, Command::CreateInterface(interface("form"))).unwrap();
    assert_eq!(interface.expected_version, 3, "the deletion of the account has another subject");
}

#[test]
fn token_cannot_be_deleted_while_a_destination_uses_it() {
    let mut registry = registry();
    let delete = || Command::DeleteToken(account_id(), token_id("key"));
    let refusal = decide(&registry, delete()).unwrap_err();
    assert_eq!(refusal.to_string(), "token \"key\" is still used by destination \"dst\"");
    apply(&mut registry, Change::DestinationDisabled(account_id(), destination_id("dst")));
    assert!(decide(&registry, delete()).is_err(), "a disabled destination may need it again");
    let mut unsigned = registry.clone();
    apply(&mut unsigned, Change::DestinationUpdated(destination("dst", Scope::Account, &["*"])));
    assert!(decide(&unsigned, delete()).is_ok());
    apply(&mut registry, Change::DestinationDeleted(account_id(), destination_id("dst")));
    assert!(decide(&registry, delete()).is_ok());
}

#[test]
fn settings_of_a_destination_have_inclusive_bounds() {
    let ms = Duration::from_millis;
    for (timeout, fine) in [(99, false), (100, true), (60_000, true), (60_001, false)] {
        assert_eq!(wrong_field(|d| d.timeout = ms(timeout), UrlRules::default()).is_none(), fine, "{timeout} ms");
    }
    for (concurrency, fine) in [(0, false), (1, true), (1_000, true), (1_001, false)] {
        assert_eq!(wrong_field(|d| d.concurrency = concurrency, UrlRules::default()).is_none(), fine, "{concurrency}");
    }
    for (patterns, fine) in [(0, false), (1, true), (100, true), (101, false)] {
        let many = vec![EventTypePattern::any(); patterns];
        assert_eq!(wrong_field(|d| d.event_types = many, UrlRules::default()).is_none(), fine, "{patterns} patterns");
    }
    for (bytes, fine) in [(0, true), (200, true), (201, false)] {
        assert_eq!(wrong_field(|d| d.name = "x".repeat(bytes), UrlRules::default()).is_none(), fine, "{bytes} bytes");
    }
    for (delay, fine) in [(RetryPolicy::MAX_DELAY, true), (RetryPolicy::MAX_DELAY + ms(1), false)] {
        assert_eq!(wrong_field(|d| d.retry.schedule = vec![delay], UrlRules::default()).is_none(), fine, "{delay:?}");
    }
}

#[test]
fn url_is_https_without_credentials_and_of_bounded_length() {
    let plain = UrlRules { allow_plain_http: true };
    let long = |bytes: usize| format!("https://crm.example/{}", "x".repeat(bytes - "https://crm.example/".len()));
    let table = [
        ("https://crm.example/hook?a=b".to_owned(), true, true),
        ("http://crm.example/hook".to_owned(), false, true),
        ("ftp://crm.example/".to_owned(), false, false),
        ("file:///etc/passwd".to_owned(), false, false),
        ("https://".to_owned(), false, false),
        ("/hook".to_owned(), false, false),
        (String::new(), false, false),
        ("https://me@crm.example/".to_owned(), false, false),
        ("https://:secret@crm.example/".to_owned(), false, false),
        (long(2_000), true, true),
        (long(2_001), false, false),
    ];
    for (url, by_default, with_plain) in table {
        for (rules, fine) in [(UrlRules::default(), by_default), (plain, with_plain)] {
            let field = wrong_field(|d| d.url.clone_from(&url), rules);
            assert_eq!(field, (!fine).then_some("url"), "{url} with {rules:?}");
        }
    }
}

#[test]
fn notification_emails_are_valid_and_limited() {
    let update = |emails: Vec<String>| {
        decide(&registry(), Command::UpdateAccount(Account { notification_emails: emails, ..account() }))
    };
    let numbered = |count: usize| (0..count).map(|n| format!("p{n}@acme.example")).collect();
    assert!(update(numbered(20)).is_ok());
    assert!(update(numbered(21)).is_err());
    for bad in ["", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "A <a@b>", "a@b,c@d", "\"a\"@b"] {
        let refusal = update(vec!["a@b".into(), bad.into()]).unwrap_err();
        assert!(matches!(refusal, Refusal::Invalid { field: "notification_emails", .. }), "{bad:?}: {refusal}");
    }
}

#[test]
fn decision_expects_the_latest_version_or_none_if_new() {
    let version = |command| decide(&registry(), command).unwrap().expected_version;
    let dst = || destination_id("dst");
    let table = [
        (Command::UpdateAccount(account()), 1),
        (Command::DeleteAccount(other()), 2),
        (Command::UpdateInterface(interface("form")), 3),
        (Command::DeleteInterface(account_id(), interface_id("form")), 3),
        (Command::UpdateToken(token("key")), 4),
        (Command::UpdateDestination(signed("dst", "key")), 5),
        (Command::DisableDestination(account_id(), dst()), 5),
        (Command::DeleteDestination(account_id(), dst()), 5),
        (Command::CreateAccount(Account { id: AccountId::parse("new").unwrap(), ..account() }), 0),
        (Command::CreateInterface(Interface { account: other(), ..interface("form") }), 0),
        (Command::CreateToken(Token { account: other(), ..token("key") }), 0),
        (Command::CreateDestination(destination("new", Scope::Account, &["*"])), 0),
    ];
    for (command, expected) in table {
        assert_eq!(version(command.clone()), expected, "{command:?}");
    }
}

fn change() -> impl Strategy<Value = Change> {
    let name = select(vec!["a", "b"]);
    (0..17, name.clone(), name).prop_map(|(kind, id, text)| {
        let d = Destination { name: text.into(), ..destination(id, Scope::Account, &["*"]) };
        match kind {
            0 => Change::AccountCreated(account()),
            1 => Change::AccountUpdated(Account { name: text.into(), ..account() }),
            2 => Change::AccountDeleted(account_id()),
            3 => Change::InterfaceCreated(interface(id)),
            4 => Change::InterfaceDeleted(account_id(), interface_id(id)),
            5 => Change::DestinationCreated(d),
            6 => Change::DestinationUpdated(d),
            7 => Change::DestinationDisabled(account_id(), destination_id(id)),
            8 => Change::DestinationDeleted(account_id(), destination_id(id)),
            10 => Change::ClientCreated(client(id)),
            11 => Change::ClientUpdated(Client { name: text.into(), ..client(id) }),
            12 => Change::ClientDeleted(account_id(), client_id(id)),
            13 => Change::ApiUserCreated(api_user(id, text, Role::Viewer)),
            14 => Change::ApiUserUpdated(api_user(id, text, Role::Admin)),
            15 => Change::ApiUserDeleted(account_id(), ApiUserId::parse(id).unwrap()),
            9 => Change::TokenCreated(Token { name: text.into(), ..token(id) }),
            _ => Change::TokenDeleted(account_id(), token_id(id)),
        }
    })
}

/// Everything visible of a registry, in a fixed order.
fn seen(registry: &Registry) -> String {
    let ids = ["a", "b"].map(destination_id);
    let entries: Vec<_> = registry.accounts().collect();
    let ever = ids.each_ref().map(|id| registry.destination_ever(id));
    let versions = [
        EntityKind::Account,
        EntityKind::Client,
        EntityKind::Interface,
        EntityKind::ApiUser,
        EntityKind::Destination,
        EntityKind::Token,
    ]
    .map(|kind| ["acme", "a", "b"].map(|id| registry.version(Some(&account_id()), kind, id)));
    format!("{} {entries:?} {ever:?} {versions:?}", registry.sequence())
}

proptest! {
    #[test]
    fn repeated_registry_facts_change_nothing(
        changes in prop::collection::vec(change(), 1..20),
        again in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40),
    ) {
        let facts: Vec<(u64, RegistryFact)> = (1..).zip(changes.into_iter().map(fact)).collect();
        let (mut once, mut repeated) = (Registry::default(), Registry::default());
        for (sequence, fact) in &facts {
            once.apply(*sequence, fact);
            repeated.apply(*sequence, fact);
            let known = usize::try_from(*sequence).unwrap();
            for (when, which) in &again {
                if when.index(facts.len()) < known {
                    let (sequence, fact) = &facts[which.index(known)];
                    repeated.apply(*sequence, fact);
                }
            }
            prop_assert_eq!(seen(&repeated), seen(&once));
        }
    }

    #[test]
    fn applied_decision_becomes_the_next_version(changes in prop::collection::vec(change(), 0..20)) {
        let mut registry = Registry::default();
        for change in changes {
            let command = match change {
                Change::AccountCreated(a) => Command::CreateAccount(a),
                Change::AccountUpdated(a) => Command::UpdateAccount(a),
                Change::InterfaceCreated(i) => Command::CreateInterface(i),
                Change::InterfaceDeleted(a, i) => Command::DeleteInterface(a, i),
                Change::DestinationCreated(d) => Command::CreateDestination(d),
                Change::DestinationUpdated(d) => Command::UpdateDestination(d),
                Change::DestinationDisabled(a, d) => Command::DisableDestination(a, d),
                Change::DestinationDeleted(a, d) => Command::DeleteDestination(a, d),
                Change::TokenCreated(t) => Command::CreateToken(t),
                Change::TokenDeleted(a, t) => Command::DeleteToken(a, t),
                Change::ClientCreated(c) => Command::CreateClient(c),
                Change::ClientUpdated(c) => Command::UpdateClient(c),
                Change::ClientDeleted(a, c) => Command::DeleteClient(a, c),
                Change::ApiUserCreated(u) => Command::CreateApiUser(ApiUser { email: "a@b".into(), ..u }),
                Change::ApiUserUpdated(u) => Command::UpdateApiUser(ApiUser { email: "a@b".into(), ..u }),
                Change::ApiUserDeleted(a, u) => Command::DeleteApiUser(a, u),
                _ => continue,
            };
            let Ok(decision) = decide(&registry, command) else { continue };
            let (account, kind, id) = decision.change.entity();
            prop_assert_eq!(decision.expected_version, registry.version(account, kind, id));
            apply(&mut registry, decision.change.clone());
            prop_assert_eq!(registry.version(account, kind, id), registry.sequence());
        }
    }
}
