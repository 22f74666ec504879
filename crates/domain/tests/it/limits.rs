//! Limits of an account: no accepted change exceeds one, and a refusal names it.

use domain::{
    LeadEvent, Registry,
    registry::{Account, Body, Change, Limits, Refusal, Routing, Scope},
    routing::destinations_for,
};
use proptest::{prelude::*, sample::select};

use crate::common::{account, account_id, client, client_id, destination, event, fact, interface, interface_id};

const INTERFACES: [&str; 2] = ["form", "page"];
const CLIENTS: [&str; 2] = ["north", "south"];
const PATTERNS: [&str; 6] = ["*", "email.*", "email.link.*", "email.open", "lead.created", "leadline.*"];
const TYPES: [&str; 5] = ["email.open", "email.link.click", "lead.created", "leadline.delivery.failed", "other"];

#[derive(Debug, Clone)]
enum Step {
    Destination(&'static str, Scope, Vec<&'static str>),
    Routing(Routing),
}

fn step() -> impl Strategy<Value = Step> {
    let scope = prop_oneof![
        Just(Scope::Account),
        select(&CLIENTS[..]).prop_map(|id| Scope::Client(client_id(id))),
        select(&INTERFACES[..]).prop_map(|id| Scope::Interface(interface_id(id))),
    ];
    let id = select(&["a", "b", "c", "d", "e", "f", "g", "h"][..]);
    let destination = (id, scope, prop::collection::vec(select(&PATTERNS[..]), 1..3));
    prop_oneof![
        8 => destination.prop_map(|(id, scope, patterns)| Step::Destination(id, scope, patterns)),
        1 => select(&Routing::ALL[..]).prop_map(Step::Routing),
    ]
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    let interfaces = INTERFACES.map(|id| Change::InterfaceCreated(interface(id)));
    let clients = CLIENTS.map(|id| Change::ClientCreated(client(id)));
    for (sequence, change) in
        (1..).zip([Change::AccountCreated(account())].into_iter().chain(interfaces).chain(clients))
    {
        registry.apply(sequence, &fact(change));
    }
    registry
}

fn change(registry: &Registry, step: &Step) -> Change {
    match step {
        Step::Routing(routing) => Change::AccountUpdated(Account { routing: *routing, ..account() }),
        Step::Destination(id, scope, patterns) => {
            let made = destination(id, scope.clone(), patterns);
            if registry.destination(&made.id).is_some() {
                Change::DestinationUpdated(made)
            } else {
                Change::DestinationCreated(made)
            }
        }
    }
}

fn events() -> impl Iterator<Item = LeadEvent> {
    let clients = CLIENTS.iter().map(|id| Some(client_id(id))).chain([None]);
    let origins = clients.flat_map(|client| INTERFACES.map(|interface| (client.clone(), interface)));
    origins.flat_map(|(client, interface)| {
        TYPES.map(|event_type| LeadEvent { client: client.clone(), ..event("e", interface, event_type) })
    })
}

/// The setting that a refusal names, and the number that would result.
fn refused(limits: Limits, registry: &Registry, change: &Change) -> Option<(&'static str, usize)> {
    match limits.check(registry, change) {
        Ok(()) => None,
        Err(Refusal::Limit { setting, would, .. }) => Some((setting, would)),
        Err(other) => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn events_never_exceed_the_limit_of_deliveries(
        steps in prop::collection::vec(step(), 1..40),
        max in 1..5_usize,
    ) {
        let limits = Limits { deliveries_per_event: max, ..Limits::default() };
        let mut registry = registry();
        for step in &steps {
            let change = change(&registry, step);
            if limits.check(&registry, &change).is_ok() {
                registry.apply(registry.sequence() + 1, &fact(change));
            }
            for event in events() {
                let deliveries = destinations_for(&registry, &event).len();
                prop_assert!(deliveries <= max, "{} of {:?} after {:?}", deliveries, event, step);
            }
        }
    }
}

#[test]
fn destinations_for_different_events_do_not_add_up() {
    let limits = Limits { deliveries_per_event: 1, ..Limits::default() };
    let mut registry = registry();
    let form = Scope::Interface(interface_id("form"));
    for (id, scope, patterns, fine) in [
        ("a", form.clone(), &["email.open"][..], true),
        ("b", form.clone(), &["email.link.*"], true),
        ("c", form, &["email.*"], false),
        ("d", Scope::Interface(interface_id("page")), &["*"], true),
        // An event goes to the account's destination or to the interface's, not to both.
        ("e", Scope::Account, &["*"], true),
        ("f", Scope::Account, &["leadline.*"], true),
        ("g", Scope::Account, &["email.open"], false),
    ] {
        let change = Change::DestinationCreated(destination(id, scope, patterns));
        let refused = refused(limits, &registry, &change);
        assert_eq!(refused, (!fine).then_some(("--max-deliveries-per-event", 2)), "{id}");
        if fine {
            registry.apply(registry.sequence() + 1, &fact(change));
        }
    }
    let all = Change::AccountUpdated(Account { routing: Routing::All, ..account() });
    // Two of the account and two of an interface, without regard to event types.
    assert_eq!(refused(limits, &registry, &all), Some(("--max-deliveries-per-event", 4)));
}

#[test]
fn limits_do_not_count_deleted_members() {
    let limits = Limits { destinations: 1, clients: 2, interfaces: 2, template_bytes: 100, ..Limits::default() };
    let mut registry = registry();
    let template = |id: &str, bytes: usize| {
        let mut made = destination(id, Scope::Account, &["*"]);
        made.request.body = Body::Template("x".repeat(bytes - made.url.len()));
        made
    };
    let too_long = Change::DestinationCreated(template("a", 101));
    assert_eq!(refused(limits, &registry, &too_long), Some(("--max-template-bytes", 101)));
    for (change, expected) in [
        (Change::ClientCreated(client("west")), Some(("--max-clients", 3))),
        (Change::InterfaceCreated(interface("popup")), Some(("--max-interfaces", 3))),
        (Change::DestinationCreated(template("a", 100)), None),
        (Change::DestinationCreated(destination("b", Scope::Account, &["*"])), Some(("--max-destinations", 2))),
        (Change::DestinationUpdated(template("a", 101)), Some(("--max-template-bytes", 101))),
        (Change::DestinationUpdated(template("a", 99)), None),
        (Change::DestinationDeleted(account_id(), crate::common::destination_id("a")), None),
        (Change::DestinationCreated(template("b", 100)), None),
    ] {
        assert_eq!(refused(limits, &registry, &change), expected, "{change:?}");
        if expected.is_none() {
            registry.apply(registry.sequence() + 1, &fact(change));
        }
    }
    // A lowered limit refuses growth, and allows a reduction.
    let lowered = Limits { template_bytes: 10, ..limits };
    assert_eq!(refused(lowered, &registry, &Change::DestinationUpdated(template("b", 90))), None);
    let message = lowered.check(&registry, &Change::ClientCreated(client("west"))).unwrap_err().to_string();
    assert!(message.contains("account acme would have 3 clients, and 2 is the limit (--max-clients)"), "{message}");
}
