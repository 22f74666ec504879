//! Mails of an account: addresses, brands, confirmations, and digests of new leads.

use std::time::Duration;

use domain::{
    EventId, EventType, LeadEvent, LeadId, Registry,
    notice::{About, InterfaceState, LeadWindow, NoticeCalledFor, NoticeKind, ObservedLead},
    registry::{
        Account, Change, Command, Confirmation, Decision, EntityKind, Interface, Refusal, UrlRules, check_brand,
        check_email, envelope_address,
    },
};
use jiff::Timestamp;

use crate::common::{account, account_id, fact, interface, t};

/// A registry with an account, an interface and further changes.
fn registry(changes: impl IntoIterator<Item = Change>) -> Registry {
    let always = [Change::AccountCreated(account()), Change::InterfaceCreated(interface("form"))];
    let mut registry = Registry::default();
    for change in always.into_iter().chain(changes) {
        apply(&mut registry, change);
    }
    registry
}

fn decide(registry: &Registry, command: Command) -> Result<Decision, Refusal> {
    registry.decide(command, UrlRules::default())
}

#[test]
fn email_addresses_are_quoted_and_punycoded_or_refused() {
    for (address, expected) in [
        ("ops@acme.example", "ops@acme.example"),
        ("a..b@x.example", "\"a..b\"@x.example"),
        ("try..this@docomo.example", "\"try..this\"@docomo.example"),
        (".a@x.example", "\".a\"@x.example"),
        ("a.@x.example", "\"a.\"@x.example"),
        ("ops@b\u{fc}cher.example", "ops@xn--bcher-kva.example"),
        ("ops@BUECHER.Example", "ops@buecher.example"),
        ("o'neil+leads@localhost", "o'neil+leads@localhost"),
    ] {
        assert_eq!(envelope_address(address).as_deref(), Ok(expected), "{address}");
    }
    let (long_local, long_label) = ("a".repeat(65), "a".repeat(64));
    for refused in [
        "\u{e9}@x.example",
        "a@1.2.3.4",
        "a@x..example",
        "a@-x.example",
        "a@x_y.example",
        "a@x.example.",
        "a@%61.example",
        "a@[127.0.0.1]",
        &format!("{long_local}@x.example"),
        &format!("a@{long_label}.example"),
        &format!("a@{}", vec!["a".repeat(60); 5].join(".")),
    ] {
        assert!(check_email(refused).is_err(), "{refused}");
    }
    assert!(check_email(&"x".repeat(70_000)).unwrap_err().len() < 300, "the answer fits a header");
}

#[test]
fn brand_is_one_short_line_without_links() {
    for fine in ["Acme", "Acme Inc.", "A. B. Smith & Co.", "Acme 2.0", "\u{682a}\u{5f0f}\u{4f1a}\u{793e}", "Dr. Oetker"]
    {
        assert_eq!(check_brand(fine), Ok(()), "{fine}");
    }
    let long = "x".repeat(65);
    for wrong in [
        "Your Bank: verify at https://evil.example NOW",
        "evil.example",
        "go to www.evil.co/login",
        "Visit (evil.com)!",
        "//evil",
        "mail me@evil",
        "evil\u{ff0e}com",
        "a\nb",
        "Acme\u{202e}elpmaxe",
        "Ac\u{200b}me",
        &long,
    ] {
        assert!(check_brand(wrong).is_err(), "{wrong:?}");
        let command = Command::UpdateAccount(Account { brand: Some(wrong.into()), ..account() });
        let refusal = decide(&registry([]), command).unwrap_err();
        assert!(matches!(refusal, Refusal::Invalid { field: "brand", .. }), "{wrong:?}: {refusal}");
    }
}

const STRANGER: &str = "Stranger@x.example";

fn with_lead_mails(emails: &[&str], unconfirmed: &[&str]) -> Interface {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    Interface { lead_notification_emails: owned(emails), unconfirmed: owned(unconfirmed), ..interface("form") }
}

fn willing(registry: &Registry) -> Vec<String> {
    let entry = registry.account(&account_id()).unwrap();
    let interface = registry.interface(&account_id(), &interface("form").id).unwrap();
    entry.willing(&interface.lead_notification_emails, NoticeKind::Lead)
}

fn apply(registry: &mut Registry, change: Change) {
    registry.apply(registry.sequence() + 1, &fact(change));
}

#[test]
fn unconfirmed_address_gets_no_mails() {
    let stored = with_lead_mails(&["old@x.example", STRANGER], &["stranger@x.example"]);
    let mut registry = registry([Change::InterfaceUpdated(stored)]);
    assert_eq!(willing(&registry), ["old@x.example"], "only addresses that facts name as unconfirmed wait");
    let confirm = || Command::ConfirmEmail(Confirmation::new(account_id(), STRANGER));
    let unknown = Command::ConfirmEmail(Confirmation::new(account_id(), "other@x.example"));
    assert!(matches!(decide(&registry, unknown), Err(Refusal::NotFound { kind: EntityKind::Confirmation, .. })));
    let change = decide(&registry, confirm()).unwrap().change;
    apply(&mut registry, change);
    assert_eq!(willing(&registry), ["old@x.example", STRANGER]);
    assert!(matches!(decide(&registry, confirm()), Err(Refusal::AlreadyExists { .. })));
    // A change that was decided before the confirmation lists the address as unconfirmed again.
    apply(&mut registry, Change::InterfaceUpdated(with_lead_mails(&[STRANGER], &["stranger@x.example"])));
    assert_eq!(willing(&registry), [STRANGER]);
    // An account that is created again under the same id has no confirmations.
    apply(&mut registry, Change::AccountDeleted(account_id()));
    apply(&mut registry, Change::AccountCreated(account()));
    assert_eq!(registry.account(&account_id()).unwrap().confirmations().count(), 0);
}

#[test]
fn confirmation_is_needed_for_new_and_unconfirmed_addresses() {
    let mut registry = registry([Change::InterfaceUpdated(with_lead_mails(&["old@x.example"], &[]))]);
    let to_confirm =
        |registry: &Registry, email: &str| registry.account(&account_id()).unwrap().to_confirm([&email.to_owned()]);
    assert_eq!(to_confirm(&registry, "OLD@x.example"), Vec::<String>::new());
    assert_eq!(to_confirm(&registry, STRANGER), ["stranger@x.example"]);
    apply(&mut registry, Change::InterfaceUpdated(with_lead_mails(&[STRANGER], &["stranger@x.example"])));
    assert_eq!(to_confirm(&registry, STRANGER), ["stranger@x.example"], "it still waits for its confirmation");
    assert_eq!(to_confirm(&registry, "old@x.example"), ["old@x.example"], "it was removed");
    // A platform-wide key vouches for the address: its fact does not list it as unconfirmed.
    apply(&mut registry, Change::AccountUpdated(Account { api_user_emails: vec![STRANGER.into()], ..account() }));
    assert_eq!(to_confirm(&registry, STRANGER), Vec::<String>::new());
    assert_eq!(willing(&registry), [STRANGER]);
}

const WINDOW: Duration = Duration::from_secs(60);

fn lead(n: u64) -> LeadEvent {
    LeadEvent {
        event_id: EventId::parse(&format!("e{n}")).unwrap(),
        account: account_id(),
        interface: interface("form").id,
        client: None,
        lead: LeadId::parse(&format!("lead-{n}")).unwrap(),
        destination: None,
        event_type: EventType::lead_created(),
        occurred_at: Timestamp::UNIX_EPOCH,
        received_at: Timestamp::UNIX_EPOCH,
        registry_sequence: 0,
        hops: 0,
        payload: bytes::Bytes::new(),
    }
}

fn see(watch: &mut InterfaceState, n: u64, now: Timestamp, window: Duration) -> Option<NoticeCalledFor> {
    let seen = ObservedLead { event: &lead(n), sequence: n, published_at: now, now };
    watch.observe(seen, &with_lead_mails(&[STRANGER], &[]), window)
}

#[test]
fn first_lead_is_mailed_at_once_and_others_in_digests() {
    let mut watch = InterfaceState::new(account_id(), interface("form").id);
    let first = see(&mut watch, 1, t(0), WINDOW).unwrap();
    assert!(matches!(first.about, About::Lead { sequence: 1, .. }));
    for n in 2..=1_000 {
        assert_eq!(see(&mut watch, n, t(1), WINDOW), None);
    }
    assert_eq!(see(&mut watch, 7, t(1), WINDOW), None, "a known lead is not counted again");
    assert_eq!(watch.tick(WINDOW, t(59)), None);
    let mut repeated = watch.clone();
    let digest = watch.tick(WINDOW, t(60)).unwrap();
    assert_eq!(repeated.tick(WINDOW, t(61)).unwrap().notice, digest.notice, "a repeated step causes the same notice");
    let About::FurtherLeads { window, .. } = digest.about else { panic!("{digest:?}") };
    assert_eq!((window.count, window.examples.len()), (999, LeadWindow::MAX_EXAMPLES));
    assert_eq!(window.examples[0].lead.as_str(), "lead-2");
    assert_eq!(see(&mut watch, 1_001, t(70), WINDOW), None, "a digest opens a window, too");
    let next = watch.tick(WINDOW, t(120)).unwrap();
    assert_ne!(next.notice, digest.notice);
    assert_eq!(watch.tick(WINDOW, t(180)), None, "an empty window causes no notice");
    assert!(see(&mut watch, 1_002, t(181), WINDOW).is_some(), "the next lead has its own notice again");
}

#[test]
fn without_a_window_each_lead_has_its_own_mail() {
    let mut watch = InterfaceState::new(account_id(), interface("form").id);
    assert!((1..=10).all(|n| see(&mut watch, n, t(0), Duration::ZERO).is_some()));
    assert_eq!(watch.window, None);
}
