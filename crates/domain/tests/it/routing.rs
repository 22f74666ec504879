//! Routing, compared with a simple form of its rule for any configuration.

use domain::{
    AccountId, ClientId, LeadEvent, Registry,
    registry::{Account, Change, Destination, EventTypePattern, Routing, Scope},
    routing::{destinations_for, required_destinations},
};
use proptest::{prelude::*, sample::select};

use crate::common::{
    account, account_id, client, client_id, destination, destination_id, event, fact, interface, interface_id,
};

const INTERFACES: [&str; 2] = ["form", "page"];
const CLIENTS: [&str; 2] = ["north", "south"];
const PATTERNS: [&str; 5] = ["*", "email.*", "email.link.*", "email.open", "lead.created"];
const TYPES: [&str; 5] = ["email.open", "email.link.click", "email", "emails.open", "lead.created"];

/// A destination and its later changes.
#[derive(Debug, Clone)]
struct Configured {
    id: String,
    scope: Scope,
    patterns: Vec<&'static str>,
    disabled: bool,
    deleted: bool,
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::Account),
        select(&CLIENTS[..]).prop_map(|id| Scope::Client(client_id(id))),
        select(&INTERFACES[..]).prop_map(of_interface),
    ]
}

fn of_interface(id: &str) -> Scope {
    Scope::Interface(interface_id(id))
}

fn configured() -> impl Strategy<Value = Vec<Configured>> {
    let one = (
        "[a-zA-Z0-9_-]{1,3}",
        scope(),
        prop::collection::vec(select(&PATTERNS[..]), 1..3),
        any::<bool>(),
        any::<bool>(),
    );
    let one =
        one.prop_map(|(id, scope, patterns, disabled, deleted)| Configured { id, scope, patterns, disabled, deleted });
    prop::collection::vec(one, 0..8).prop_map(|mut all| {
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all.dedup_by(|a, b| a.id == b.id);
        all
    })
}

fn registry(changes: impl IntoIterator<Item = Change>) -> Registry {
    let mut registry = Registry::default();
    let always = [Change::AccountCreated(account())];
    let interfaces = INTERFACES.map(|id| Change::InterfaceCreated(interface(id)));
    let clients = CLIENTS.map(|id| Change::ClientCreated(client(id)));
    for (sequence, change) in (1..).zip(always.into_iter().chain(interfaces).chain(clients).chain(changes)) {
        registry.apply(sequence, &fact(change));
    }
    registry
}

/// Creates the destinations in this order, then changes them.
fn registry_of(all: &[Configured]) -> Registry {
    let created = all.iter().map(|c| Change::DestinationCreated(destination(&c.id, c.scope.clone(), &c.patterns)));
    let disabled = all.iter().filter(|c| c.disabled).map(|c| (c, false));
    let deleted = all.iter().filter(|c| c.deleted).map(|c| (c, true));
    let changed = disabled.chain(deleted).map(|(c, deletes)| match deletes {
        true => Change::DestinationDeleted(account_id(), destination_id(&c.id)),
        false => Change::DestinationDisabled(account_id(), destination_id(&c.id)),
    });
    registry(created.chain(changed))
}

/// A simple form of the rule, which lists the types that each pattern matches.
fn expected(all: &[Configured], routing: Routing, event: &LeadEvent) -> Vec<String> {
    let event_type = event.event_type.as_str();
    let matches = |pattern: &&str| match *pattern {
        "*" => true,
        "email.*" => ["email.open", "email.link.click"].contains(&event_type),
        "email.link.*" => event_type == "email.link.click",
        exact => exact == event_type,
    };
    let wants = |c: &&Configured| !c.deleted && c.patterns.iter().any(matches);
    let ids = |of: &[Scope]| -> Vec<String> {
        all.iter().filter(wants).filter(|c| of.contains(&c.scope)).map(|c| c.id.clone()).collect()
    };
    let mut levels = vec![Scope::Account];
    levels.extend(event.client.clone().map(Scope::Client));
    levels.push(Scope::Interface(event.interface.clone()));
    match routing {
        Routing::All => ids(&levels),
        Routing::Override => {
            levels.into_iter().map(|level| ids(&[level])).find(|ids| !ids.is_empty()).unwrap_or_default()
        }
    }
}

fn events() -> Vec<LeadEvent> {
    let clients = CLIENTS.iter().map(|id| Some(client_id(id))).chain([None]);
    let origins = clients.flat_map(|client| INTERFACES.map(|interface| (client.clone(), interface)));
    let of_type = |(client, interface): (Option<ClientId>, &str)| {
        TYPES.map(|event_type| LeadEvent { client: client.clone(), ..event("e", interface, event_type) })
    };
    origins.flat_map(of_type).collect()
}

fn routed(registry: &Registry, event: &LeadEvent) -> Vec<String> {
    destinations_for(registry, event).iter().map(|destination| destination.id.to_string()).collect()
}

fn routed_of(registry: &Registry, interface: &str, event_type: &str) -> Vec<String> {
    routed(registry, &event("e", interface, event_type))
}

proptest! {
    #[test]
    fn routing_follows_the_rule_in_the_order_of_ids(
        all in configured(),
        routing in select(&Routing::ALL[..]),
        shuffled in any::<prop::sample::Index>(),
    ) {
        let mut created = all.clone();
        if !created.is_empty() {
            let middle = shuffled.index(created.len());
            created.rotate_left(middle);
        }
        let mut registry = registry_of(&created);
        let chosen = Change::AccountUpdated(Account { routing, ..account() });
        registry.apply(registry.sequence() + 1, &fact(chosen));
        for event in events() {
            prop_assert_eq!(routed(&registry, &event), expected(&all, routing, &event), "{:?}", event);
        }
    }

    #[test]
    fn prefix_pattern_matches_only_types_below_it(
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
fn every_destination_of_the_highest_scope_gets_the_event_once() {
    let all = ["c", "a", "b"].map(|id| Change::DestinationCreated(destination(id, Scope::Account, &["*", "email.*"])));
    assert_eq!(routed_of(&registry(all), "form", "email.open"), ["a", "b", "c"]);
}

#[test]
fn disabled_destination_still_overrides_lower_ones() {
    let changes = [
        Change::DestinationCreated(destination("above", Scope::Account, &["*"])),
        Change::DestinationCreated(destination("below", of_interface("form"), &["*"])),
        Change::DestinationDisabled(account_id(), destination_id("above")),
    ];
    assert_eq!(routed_of(&registry(changes), "form", "ping"), ["above"]);
}

#[test]
fn destination_moved_to_an_interface_no_longer_overrides() {
    let changes = [
        Change::DestinationCreated(destination("above", Scope::Account, &["*"])),
        Change::DestinationCreated(destination("below", of_interface("form"), &["*"])),
        Change::DestinationUpdated(destination("above", of_interface("page"), &["*"])),
    ];
    let registry = registry(changes);
    assert_eq!(routed_of(&registry, "form", "ping"), ["below"]);
    assert_eq!(routed_of(&registry, "page", "ping"), ["above"]);
}

#[test]
fn clients_rank_between_account_and_interface() {
    let all = || {
        [
            destination("account", Scope::Account, &["email.*"]),
            destination("client", Scope::Client(client_id("north")), &["email.*", "lead.created"]),
            destination("interface", of_interface("form"), &["*"]),
        ]
    };
    let of = |client: Option<&str>, event_type| LeadEvent {
        client: client.map(client_id),
        ..event("e", "form", event_type)
    };
    let made = || all().map(Change::DestinationCreated);
    let removed = || Change::DestinationDeleted(account_id(), destination_id("account"));
    let to_all = || Change::AccountUpdated(Account { routing: Routing::All, ..account() });
    let overriding = registry(made());
    let without = registry(made().into_iter().chain([removed()]));
    let open = registry(made().into_iter().chain([to_all()]));
    for (client, event_type, by_level, once_removed, by_all) in [
        (Some("north"), "email.open", vec!["account"], vec!["client"], vec!["account", "client", "interface"]),
        (Some("north"), "lead.created", vec!["client"], vec!["client"], vec!["client", "interface"]),
        (Some("north"), "ping", vec!["interface"], vec!["interface"], vec!["interface"]),
        (Some("south"), "lead.created", vec!["interface"], vec!["interface"], vec!["interface"]),
        (None, "email.open", vec!["account"], vec!["interface"], vec!["account", "interface"]),
        (None, "lead.created", vec!["interface"], vec!["interface"], vec!["interface"]),
    ] {
        let event = of(client, event_type);
        assert_eq!(routed(&overriding, &event), by_level, "{client:?} {event_type}");
        assert_eq!(routed(&without, &event), once_removed, "{client:?} {event_type}, the account's removed");
        assert_eq!(routed(&open, &event), by_all, "{client:?} {event_type}, to all");
    }
}

#[test]
fn events_of_unknown_or_deleted_accounts_are_not_routed() {
    let wants_all = Change::DestinationCreated(destination("d", Scope::Account, &["*"]));
    let mut stranger = event("e", "form", "ping");
    stranger.account = AccountId::parse("stranger").unwrap();
    assert!(routed(&registry([wants_all.clone()]), &stranger).is_empty());
    let gone = registry([wants_all, Change::AccountDeleted(account_id())]);
    assert!(routed_of(&gone, "form", "ping").is_empty());
}

#[test]
fn events_never_reach_destinations_of_other_accounts() {
    let other = AccountId::parse("other").unwrap();
    let theirs = Destination { account: other.clone(), ..destination("theirs", Scope::Account, &["*"]) };
    let changes = [
        Change::AccountCreated(Account { id: other.clone(), ..account() }),
        Change::DestinationCreated(theirs),
        Change::DestinationCreated(destination("ours", of_interface("form"), &["*"])),
    ];
    let registry = registry(changes);
    assert_eq!(routed_of(&registry, "form", "ping"), ["ours"]);
    assert_eq!(routed(&registry, &LeadEvent { account: other, ..event("e", "form", "ping") }), ["theirs"]);
}

#[test]
fn invalid_pattern_is_an_error_that_says_so() {
    for text in ["", ".*", "email*", "email.**", "*.open", "Email.*", "email..*", "* "] {
        let error = EventTypePattern::parse(text).unwrap_err();
        assert!(error.to_string().starts_with("event type pattern "), "{text:?}: {error}");
    }
}

#[test]
fn event_with_a_named_destination_goes_there_alone() {
    let changes = [
        Change::DestinationCreated(destination("account", Scope::Account, &["*"])),
        Change::DestinationCreated(destination("named", Scope::Interface(interface_id("form")), &["email.*"])),
        Change::DestinationCreated(destination("gone", Scope::Account, &["*"])),
        Change::DestinationDeleted(account_id(), destination_id("gone")),
    ];
    let registry = registry(changes);
    let to = |id: &str| LeadEvent { destination: Some(destination_id(id)), ..event("e", "other", "webhook.test") };
    assert_eq!(routed(&registry, &to("named")), ["named"]);
    assert!(routed(&registry, &to("gone")).is_empty());
    assert!(routed(&registry, &to("never-made")).is_empty());
    let theirs = LeadEvent { account: AccountId::parse("other").unwrap(), ..to("named") };
    assert!(routed(&registry, &theirs).is_empty());
}

#[test]
fn missing_deliveries_were_wanted_then_and_are_wanted_now() {
    let created = |id, scope| Change::DestinationCreated(destination(id, scope, &["*"]));
    let (below, above) = (|| created("below", of_interface("form")), || created("above", Scope::Account));
    let gone = || Change::DestinationDeleted(account_id(), destination_id("below"));
    let required = |then: Vec<Change>, now: Vec<Change>| {
        let required = required_destinations(&registry(then), &registry(now), &event("e", "form", "ping"));
        required.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(required(vec![below()], vec![below()]), ["below"]);
    assert_eq!(required(vec![], vec![below()]), [""; 0], "it was created later");
    assert_eq!(required(vec![below()], vec![below(), gone()]), [""; 0], "it was deleted");
    assert_eq!(required(vec![below()], vec![below(), above()]), [""; 0], "it was overridden later");
}
