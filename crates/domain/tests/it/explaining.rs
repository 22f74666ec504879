//! Explanations of routing agree with the router for any configuration, and contain nothing of payloads.

use domain::{
    Condition, LeadEvent, Registry,
    registry::{Account, Change, Destination, Routing, Scope},
    routing::{Outcome, Overlap, Rule, deliveries_at_most, destinations_for, explain, overlaps},
};
use proptest::{prelude::*, sample::select};

use crate::common::{
    account, account_id, client_id, destination, destination_id, event, fact, interface, interface_id, t,
};

const SECRET: &str = "ada@example.com";

fn of_interface(id: &str) -> Scope {
    Scope::Interface(interface_id(id))
}

fn scope() -> impl Strategy<Value = Scope> {
    let client = select(vec!["north", "south"]).prop_map(|id| Scope::Client(client_id(id)));
    prop_oneof![Just(Scope::Account), client, select(vec!["form", "page"]).prop_map(of_interface)]
}

/// A destination, and whether it is disabled or deleted.
fn configured() -> impl Strategy<Value = (Destination, bool, bool)> {
    let conditions = vec!["", r#"{"payload.budget": {"gte": 5000}}"#, r#"{"payload.email": {"ne": "x"}}"#];
    let patterns = prop::collection::vec(select(vec!["*", "email.*", "email.open", "lead.created"]), 1..3);
    let made = ("[a-d]", scope(), patterns, select(conditions), any::<bool>(), any::<bool>());
    made.prop_map(|(id, scope, patterns, condition, disabled, deleted)| {
        let condition = Some(condition).filter(|text| !text.is_empty()).map(|text| Condition::parse(text).unwrap());
        (Destination { condition, ..destination(&id, scope, &patterns) }, disabled, deleted)
    })
}

fn published() -> impl Strategy<Value = LeadEvent> {
    let payloads = vec![
        format!(r#"{{"budget": 9000, "email": "{SECRET}"}}"#),
        format!(r#"{{"budget": "{SECRET}"}}"#),
        "{}".to_owned(),
        String::new(),
    ];
    let client = prop::option::of(select(vec!["north", "south"]));
    let named = prop::option::weighted(0.2, "[a-e]");
    let types = select(vec!["email.open", "lead.created", "ping"]);
    (client, select(vec!["form", "page"]), types, select(payloads), named).prop_map(
        |(client, interface, event_type, payload, named)| LeadEvent {
            client: client.map(client_id),
            payload: payload.into(),
            destination: named.map(|id| destination_id(&id)),
            ..event("e", interface, event_type)
        },
    )
}

fn registry(routing: Routing, all: &[(Destination, bool, bool)]) -> Registry {
    let mut changes = vec![Change::AccountCreated(Account { routing, ..account() })];
    changes.extend(["form", "page"].map(|id| Change::InterfaceCreated(interface(id))));
    for (destination, disabled, deleted) in all {
        let (account, id) = (destination.account.clone(), destination.id.clone());
        changes.push(Change::DestinationCreated(destination.clone()));
        if *disabled {
            changes.push(Change::DestinationDisabled(account.clone(), id.clone()));
        }
        if *deleted {
            changes.push(Change::DestinationDeleted(account, id));
        }
    }
    let mut registry = Registry::default();
    for (sequence, change) in (1..).zip(changes) {
        registry.apply(sequence, &fact(change));
    }
    registry
}

proptest! {
    #[test]
    fn explanation_agrees_with_the_router_and_contains_no_payload(
        all in prop::collection::vec(configured(), 0..6),
        routing in select(&Routing::ALL[..]),
        event in published(),
    ) {
        let registry = registry(routing, &all);
        let routed = destinations_for(&registry, &event);
        prop_assert!(routed.len() <= deliveries_at_most(&registry, &event));
        for id in ["a", "b", "c", "d", "e"].map(destination_id) {
            let answers = explain(&registry, &registry, &event, &id);
            prop_assert_eq!(answers.iter().map(|answer| answer.rule).collect::<Vec<_>>(), Rule::ALL.to_vec());
            let explained = answers.iter().all(|answer| answer.outcome != Outcome::No);
            prop_assert_eq!(explained, routed.iter().any(|destination| destination.id == id), "{:?}", answers);
            for answer in answers {
                let reason = answer.reason.to_string();
                prop_assert!(!reason.is_empty() && !reason.contains(SECRET) && !reason.contains("9000"), "{}", reason);
            }
        }
    }

    #[test]
    fn overriding_destinations_are_reported_as_overlaps(
        all in prop::collection::vec(configured(), 0..6),
        event in published(),
    ) {
        let registry = registry(Routing::Override, &all);
        for destination in registry.account(&account_id()).unwrap().destinations().filter(|d| !d.deleted) {
            let found = overlaps(&registry, destination);
            let has = |overlaps: &[Overlap], other: &Destination| overlaps.iter().any(|o| o.other.id == other.id);
            let answers = explain(&registry, &registry, &event, &destination.id);
            let Some(domain::routing::Reason::Overridden(by)) = answers.last().map(|answer| &answer.reason) else {
                continue;
            };
            let wants = answers.iter().filter(|answer| answer.outcome == Outcome::No).count() == 1;
            if wants {
                prop_assert!(has(&found.overridden_by, by), "{:?} by {:?}", destination.id, by.id);
                prop_assert!(has(&overlaps(&registry, by).overrides, destination));
            }
        }
    }
}

#[test]
fn explanation_tells_deleted_from_later_destinations() {
    let all = [(destination("d", Scope::Account, &["*"]), false, false)];
    let with = registry(Routing::Override, &all);
    let without = registry(Routing::Override, &[]);
    let deleted = registry(Routing::Override, &[(destination("d", Scope::Account, &["*"]), false, true)]);
    let event = event("e", "form", "ping");
    let why = |then: &Registry, now: &Registry| {
        let id = destination_id("d");
        let answers = explain(then, now, &event, &id);
        assert!(answers.iter().skip(1).all(|answer| answer.outcome == Outcome::NotAsked));
        answers[0].reason.to_string()
    };
    let created_at = with.destination_created_at(&destination_id("d")).unwrap();
    let later = format!("the destination was created at {created_at:.0}, after the event was published");
    assert_eq!(why(&without, &with), later);
    assert_eq!(why(&deleted, &deleted), "the destination was deleted before the event was published");
    assert_eq!(why(&without, &without), "the account had no such destination when the event was published");
    assert!(created_at >= t(0));
}

#[test]
fn overlaps_tell_which_destination_gets_shared_events() {
    let conditional = |id, scope| Destination {
        condition: Some(Condition::parse(r#"{"payload.budget": {"gte": 5000}}"#).unwrap()),
        ..destination(id, scope, &["lead.*"])
    };
    let all = [
        (conditional("above", Scope::Account), false, false),
        (destination("north", Scope::Client(client_id("north")), &["*"]), false, false),
        (destination("south", Scope::Client(client_id("south")), &["lead.created"]), false, false),
        (destination("opened", of_interface("form"), &["email.*"]), false, false),
        (destination("own", of_interface("page"), &["leadline.*"]), false, false),
        (destination("gone", of_interface("page"), &["*"]), false, true),
    ];
    let names = |overlaps: &[Overlap]| -> Vec<(String, bool)> {
        overlaps.iter().map(|overlap| (overlap.other.id.to_string(), overlap.always)).collect()
    };
    let of = |routing, index: usize| {
        let found = overlaps(&registry(routing, &all), &all[index].0);
        (names(&found.overridden_by), names(&found.overrides))
    };
    let named = |all: &[(&str, bool)]| -> Vec<(String, bool)> {
        all.iter().map(|(id, always)| ((*id).to_owned(), *always)).collect()
    };
    assert_eq!(of(Routing::Override, 0), (vec![], named(&[("north", false), ("south", false)])));
    assert_eq!(of(Routing::Override, 1), (named(&[("above", false)]), named(&[("opened", true)])));
    assert_eq!(of(Routing::Override, 2), (named(&[("above", false)]), vec![]));
    assert_eq!(of(Routing::Override, 3), (named(&[("north", true)]), vec![]));
    assert_eq!(of(Routing::Override, 4), (vec![], vec![]));
    assert_eq!(of(Routing::All, 0), (vec![], vec![]));
}
