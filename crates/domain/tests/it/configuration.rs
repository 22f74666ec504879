//! The configuration and its effect on routing.

use std::time::Duration;

use domain::{
    Registry,
    registry::{
        Account, Body, Change, Command, Deactivation, DeactivationCause, Destination, EntityKind, Refusal, Scope,
        UrlRules,
    },
    routing::destinations_for,
};

use crate::common::{account, account_id, destination, destination_id, event, fact, interface, interface_id};

fn registry(changes: Vec<Change>) -> Registry {
    let mut registry = Registry::default();
    for (sequence, change) in (1..).zip(changes) {
        registry.apply(sequence, &fact(change));
    }
    registry
}

fn with(destinations: Vec<Destination>) -> Registry {
    let mut changes = vec![
        Change::AccountCreated(account()),
        Change::InterfaceCreated(interface("form")),
        Change::InterfaceCreated(interface("page")),
    ];
    changes.extend(destinations.into_iter().map(Change::DestinationCreated));
    registry(changes)
}

fn of_form() -> Scope {
    Scope::Interface(interface_id("form"))
}

fn wanting(registry: &Registry, interface: &str, event_type: &str) -> Vec<String> {
    let event = event("e", interface, event_type);
    destinations_for(registry, &event).iter().map(|destination| destination.id.to_string()).collect()
}

#[test]
fn destination_of_an_interface_gets_its_leads() {
    let registry = with(vec![destination("b", of_form(), &["*"]), destination("a", of_form(), &["*"])]);
    assert_eq!(wanting(&registry, "form", "lead.created"), ["a", "b"]);
    assert!(wanting(&registry, "page", "lead.created").is_empty());
}

#[test]
fn destination_of_the_account_overrides_lower_ones_until_deleted() {
    let below = destination("below", of_form(), &["*"]);
    let above = destination("above", Scope::Account, &["email.*"]);
    let mut registry = with(vec![below, above]);
    assert_eq!(wanting(&registry, "form", "email.open"), ["above"]);
    assert_eq!(wanting(&registry, "form", "lead.created"), ["below"]);
    assert_eq!(wanting(&registry, "page", "email.open"), ["above"]);
    let sequence = registry.sequence() + 1;
    registry.apply(sequence, &fact(Change::DestinationDeleted(account_id(), destination_id("above"))));
    assert_eq!(wanting(&registry, "form", "email.open"), ["below"]);
}

#[test]
fn disabled_destination_still_wants_its_events() {
    let mut registry = with(vec![destination("d", Scope::Account, &["*"])]);
    let sequence = registry.sequence() + 1;
    registry.apply(sequence, &fact(Change::DestinationDisabled(account_id(), destination_id("d"))));
    assert_eq!(wanting(&registry, "form", "lead.created"), ["d"]);
    assert!(!registry.destination(&destination_id("d")).unwrap().enabled);
}

#[test]
fn patterns_match_types_and_their_prefixes() {
    let registry = with(vec![destination("d", Scope::Account, &["email.*", "ping"])]);
    for (event_type, wanted) in [
        ("email.open", true),
        ("email.link.click", true),
        ("ping", true),
        ("email", false),
        ("emails.open", false),
        ("ping.pong", false),
    ] {
        assert_eq!(!wanting(&registry, "form", event_type).is_empty(), wanted, "{event_type}");
    }
}

#[test]
fn known_fact_does_not_change_the_registry() {
    let mut registry = with(vec![destination("d", Scope::Account, &["*"])]);
    let (before, sequence) = (format!("{registry:?}").len(), registry.sequence());
    registry.apply(sequence, &fact(Change::AccountDeleted(account_id())));
    registry.apply(1, &fact(Change::AccountDeleted(account_id())));
    assert_eq!((registry.sequence(), format!("{registry:?}").len()), (sequence, before));
    assert!(registry.account(&account_id()).is_some());
}

#[test]
fn decision_names_the_version_that_it_depends_on() {
    let registry = with(vec![destination("d", Scope::Account, &["*"])]);
    let decided = |command| registry.decide(command, UrlRules::default()).unwrap().expected_version;
    assert_eq!(decided(Command::UpdateAccount(account())), 1);
    assert_eq!(decided(Command::DeleteDestination(account_id(), destination_id("d"))), 4);
    assert_eq!(decided(Command::CreateInterface(interface("new"))), 0);
}

#[test]
fn invalid_configuration_is_refused() {
    let registry = with(vec![destination("d", Scope::Account, &["*"])]);
    let refused = |command| registry.decide(command, UrlRules::default()).unwrap_err();
    let exists = |kind, id: &str| Refusal::AlreadyExists { kind, id: id.into() };
    let absent = |kind, id: &str| Refusal::NotFound { kind, id: id.into() };
    assert_eq!(refused(Command::CreateAccount(account())), exists(EntityKind::Account, "acme"));
    assert_eq!(refused(Command::CreateInterface(interface("form"))), exists(EntityKind::Interface, "form"));
    let again = destination("d", Scope::Account, &["*"]);
    assert_eq!(refused(Command::CreateDestination(again)), exists(EntityKind::Destination, "d"));
    let nowhere = destination("e", Scope::Interface(interface_id("no")), &["*"]);
    assert_eq!(refused(Command::CreateDestination(nowhere)), absent(EntityKind::Interface, "no"));
    let gone = Command::DeleteInterface(account_id(), interface_id("no"));
    assert_eq!(refused(gone), absent(EntityKind::Interface, "no"));
    let stranger = domain::AccountId::parse("stranger").unwrap();
    let stolen = Command::DeleteDestination(stranger, destination_id("d"));
    assert_eq!(refused(stolen), absent(EntityKind::Account, "stranger"));

    let field = |command| match refused(command) {
        Refusal::Invalid { field, .. } => field,
        other => panic!("{other:?}"),
    };
    let d = |change: fn(&mut Destination)| {
        let mut destination = destination("new", Scope::Account, &["*"]);
        change(&mut destination);
        Command::CreateDestination(destination)
    };
    assert_eq!(field(d(|d| d.url = "http://crm.example/".into())), "url");
    assert_eq!(field(d(|d| d.url = "crm.example".into())), "url");
    assert_eq!(field(d(|d| d.timeout = std::time::Duration::from_secs(61))), "timeout");
    assert_eq!(field(d(|d| d.concurrency = 0)), "concurrency");
    assert_eq!(field(d(|d| d.event_types.clear())), "event_types");
    assert_eq!(field(d(|d| d.retry.jitter_percent = 51)), "retry_policy");
    assert_eq!(field(d(|d| d.rate = Some(0))), "rate");
    assert_eq!(field(d(|d| d.breaker_failures = 1_001)), "breaker_failures");
    for name in ["Host", "host", "webhook-id", "leadline-attempt", "two words", "", "content-length"] {
        let mut destination = destination("new", Scope::Account, &["*"]);
        destination.request.headers = vec![(name.into(), "x".into())];
        assert_eq!(field(Command::CreateDestination(destination)), "headers", "{name:?}");
    }
    for value in ["a\r\nb: c", "a\tb", "grün", "\u{1f600}"] {
        let mut destination = destination("new", Scope::Account, &["*"]);
        destination.request.headers = vec![("x-a".into(), value.into())];
        assert_eq!(field(Command::CreateDestination(destination)), "headers", "{value:?}");
    }
    assert_eq!(field(d(|d| d.request.body = Body::Template("x".repeat(70_000)))), "body_template");
    let mails = |mail: &str| Command::UpdateAccount(Account { notification_emails: vec![mail.into()], ..account() });
    assert_eq!(field(mails("nobody")), "notification_emails");
    assert_eq!(field(mails("a@b\r\nBcc: c@d")), "notification_emails");
    assert_eq!(field(Command::UpdateAccount(Account { brand: Some("a\nb".into()), ..account() })), "brand");
    for days in [0, 3_651] {
        let keep_history = Some(Duration::from_secs(days * 24 * 60 * 60));
        let field = field(Command::UpdateAccount(Account { keep_history, ..account() }));
        assert_eq!(field, "keep_history", "{days} days");
    }
}

#[test]
fn updates_do_not_reactivate_a_destination() {
    let mut registry = with(vec![destination("d", Scope::Account, &["*"])]);
    let why =
        Deactivation { at: crate::common::t(5), cause: DeactivationCause::Gone, first_failed_at: None, delivery: None };
    let changes = [
        Change::DestinationDeactivated(account_id(), destination_id("d"), why.clone()),
        Change::DestinationUpdated(destination("d", Scope::Account, &["ping"])),
    ];
    for change in changes {
        let sequence = registry.sequence() + 1;
        registry.apply(sequence, &fact(change));
    }
    let now = registry.destination(&destination_id("d")).unwrap();
    assert_eq!((now.deactivated.as_ref(), now.event_types[0].as_str()), (Some(&why), "ping"));
    let sequence = registry.sequence() + 1;
    let enabled = Change::DestinationEnabled(account_id(), destination_id("d"), Some(crate::common::t(9)));
    registry.apply(sequence, &fact(enabled));
    let now = registry.destination(&destination_id("d")).unwrap();
    assert_eq!((now.deactivated.as_ref(), now.skip_held_before), (None, Some(crate::common::t(9))));
}
