//! Routing against the rule as a person would say it, over any configuration.
#![allow(clippy::unwrap_used)] // the helpers of a test may panic, too

mod common;

use common::{account, account_id, destination, destination_id, event, fact, interface, interface_id};
use domain::{
    AccountId, LeadEvent, Registry,
    registry::{Account, Change, Destination, EventTypePattern, Scope},
    routing::destinations_for,
};
use proptest::{option, prelude::*, sample::select};

const INTERFACES: [&str; 2] = ["form", "page"];
const PATTERNS: [&str; 5] = ["*", "email.*", "email.link.*", "email.open", "lead.created"];
const TYPES: [&str; 5] = ["email.open", "email.link.click", "email", "emails.open", "lead.created"];

/// A destination, and what became of it.
#[derive(Debug, Clone)]
struct Configured {
    id: String,
    interface: Option<&'static str>,
    patterns: Vec<&'static str>,
    disabled: bool,
    deleted: bool,
}

fn configured() -> impl Strategy<Value = Vec<Configured>> {
    let one = (
        "[a-zA-Z0-9_-]{1,3}",
        option::of(select(&INTERFACES[..])),
        prop::collection::vec(select(&PATTERNS[..]), 1..3),
        any::<bool>(),
        any::<bool>(),
    );
    let one = one.prop_map(|(id, interface, patterns, disabled, deleted)| Configured {
        id,
        interface,
        patterns,
        disabled,
        deleted,
    });
    prop::collection::vec(one, 0..8).prop_map(|mut all| {
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all.dedup_by(|a, b| a.id == b.id);
        all
    })
}

fn scope(interface: Option<&str>) -> Scope {
    interface.map_or(Scope::Account, |id| Scope::Interface(interface_id(id)))
}

fn registry(changes: impl IntoIterator<Item = Change>) -> Registry {
    let mut registry = Registry::default();
    let always = [Change::AccountCreated(account())];
    let interfaces = INTERFACES.map(|id| Change::InterfaceCreated(interface(id)));
    for (sequence, change) in (1..).zip(always.into_iter().chain(interfaces).chain(changes)) {
        registry.apply(sequence, &fact(change));
    }
    registry
}

/// Created in the order given, then changed.
fn registry_of(all: &[Configured]) -> Registry {
    let created = all.iter().map(|c| Change::DestinationCreated(destination(&c.id, scope(c.interface), &c.patterns)));
    let disabled = all.iter().filter(|c| c.disabled).map(|c| (c, false));
    let deleted = all.iter().filter(|c| c.deleted).map(|c| (c, true));
    let changed = disabled.chain(deleted).map(|(c, deletes)| match deletes {
        true => Change::DestinationDeleted(account_id(), destination_id(&c.id)),
        false => Change::DestinationDisabled(account_id(), destination_id(&c.id)),
    });
    registry(created.chain(changed))
}

/// The rule, with patterns that are written out instead of parsed.
fn expected(all: &[Configured], interface: &str, event_type: &str) -> Vec<String> {
    let matches = |pattern: &&str| match *pattern {
        "*" => true,
        "email.*" => ["email.open", "email.link.click"].contains(&event_type),
        "email.link.*" => event_type == "email.link.click",
        exact => exact == event_type,
    };
    let wants = |c: &&Configured| !c.deleted && c.patterns.iter().any(matches);
    let ids = |of: Option<&str>| -> Vec<String> {
        all.iter().filter(wants).filter(|c| c.interface == of).map(|c| c.id.clone()).collect()
    };
    let above = ids(None);
    if above.is_empty() { ids(Some(interface)) } else { above }
}

fn routed(registry: &Registry, event: &LeadEvent) -> Vec<String> {
    destinations_for(registry, event).iter().map(|destination| destination.id.to_string()).collect()
}

fn routed_of(registry: &Registry, interface: &str, event_type: &str) -> Vec<String> {
    routed(registry, &event("e", interface, event_type))
}

proptest! {
    #[test]
    fn the_highest_scope_that_wants_an_event_gets_it_in_the_order_of_ids(
        all in configured(),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let mut created = all.clone();
        if !created.is_empty() {
            let middle = shuffled.index(created.len());
            created.rotate_left(middle);
        }
        let registry = registry_of(&created);
        for (interface, event_type) in INTERFACES.iter().flat_map(|i| TYPES.map(|t| (*i, t))) {
            prop_assert_eq!(
                routed_of(&registry, interface, event_type),
                expected(&all, interface, event_type),
                "{} from {}", event_type, interface
            );
        }
    }

    #[test]
    fn a_pattern_of_a_beginning_matches_what_lies_under_it_only(
        beginning in "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}",
        rest in "[a-z]{1,5}(\\.[a-z]{1,5}){0,2}",
    ) {
        let pattern = EventTypePattern::parse(&format!("{beginning}.*")).unwrap();
        let matches = |text: &str| pattern.matches(&domain::EventType::parse(text).unwrap());
        let under = format!("{beginning}.{rest}");
        let beside = format!("{beginning}{rest}");
        prop_assert!(matches(&under));
        prop_assert!(!matches(&beginning));
        prop_assert!(!matches(&beside));
    }
}

#[test]
fn several_destinations_of_the_highest_scope_all_get_the_event_once() {
    let all = ["c", "a", "b"].map(|id| Change::DestinationCreated(destination(id, Scope::Account, &["*", "email.*"])));
    assert_eq!(routed_of(&registry(all), "form", "email.open"), ["a", "b", "c"]);
}

#[test]
fn a_disabled_destination_of_the_account_still_overrides_those_below() {
    let changes = [
        Change::DestinationCreated(destination("above", Scope::Account, &["*"])),
        Change::DestinationCreated(destination("below", scope(Some("form")), &["*"])),
        Change::DestinationDisabled(account_id(), destination_id("above")),
    ];
    assert_eq!(routed_of(&registry(changes), "form", "ping"), ["above"]);
}

#[test]
fn a_destination_that_moves_to_an_interface_overrides_no_more() {
    let changes = [
        Change::DestinationCreated(destination("above", Scope::Account, &["*"])),
        Change::DestinationCreated(destination("below", scope(Some("form")), &["*"])),
        Change::DestinationUpdated(destination("above", scope(Some("page")), &["*"])),
    ];
    let registry = registry(changes);
    assert_eq!(routed_of(&registry, "form", "ping"), ["below"]);
    assert_eq!(routed_of(&registry, "page", "ping"), ["above"]);
}

#[test]
fn nobody_gets_the_events_of_an_account_that_is_unknown_or_deleted() {
    let wants_all = Change::DestinationCreated(destination("d", Scope::Account, &["*"]));
    let mut stranger = event("e", "form", "ping");
    stranger.account = AccountId::parse("stranger").unwrap();
    assert!(routed(&registry([wants_all.clone()]), &stranger).is_empty());
    let gone = registry([wants_all, Change::AccountDeleted(account_id())]);
    assert!(routed_of(&gone, "form", "ping").is_empty());
}

#[test]
fn the_events_of_one_account_never_go_to_another_s_destinations() {
    let other = AccountId::parse("other").unwrap();
    let theirs = Destination { account: other.clone(), ..destination("theirs", Scope::Account, &["*"]) };
    let changes = [
        Change::AccountCreated(Account { id: other.clone(), ..account() }),
        Change::DestinationCreated(theirs),
        Change::DestinationCreated(destination("ours", scope(Some("form")), &["*"])),
    ];
    let registry = registry(changes);
    assert_eq!(routed_of(&registry, "form", "ping"), ["ours"]);
    assert_eq!(routed(&registry, &LeadEvent { account: other, ..event("e", "form", "ping") }), ["theirs"]);
}

#[test]
fn a_text_that_is_no_pattern_says_so() {
    for text in ["", ".*", "email*", "email.**", "*.open", "Email.*", "email..*", "* "] {
        let error = EventTypePattern::parse(text).unwrap_err();
        assert!(error.to_string().starts_with("event type pattern "), "{text:?}: {error}");
    }
}
