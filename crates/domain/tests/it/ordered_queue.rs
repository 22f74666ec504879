//! Ordered queues: which deliveries wait, when a delivery is released, and when its end releases the next one.

use domain::{
    DeliveryFact, DeliveryStatus, LeadEvent, LeadSequence, Registry, RetryPolicy, Work,
    delivery::{Effect, FailureReason, abandon, after_attempt, release, request_in_turn},
    registry::{Change, Destination, Scope},
    routing::{goes_in_turn, is_routed_in_order},
};

use crate::common::{
    abandoned, account, again, destination, destination_id, event, execution, fact, requested, status, t, work,
};

fn waiting() -> DeliveryFact {
    request_in_turn(&event("e", "form", "lead.created"), LeadSequence(7), &destination_id("dst"), t(100))
}

fn in_turn() -> Work {
    Work::requested_by(&release(&waiting(), 1, t(150)).unwrap()).unwrap()
}

fn passes_turn(effects: &[Effect]) -> Option<bool> {
    effects.iter().find_map(|effect| match effect {
        Effect::PassTurn { again, .. } => Some(*again),
        _ => None,
    })
}

#[test]
fn queued_delivery_has_no_work_until_released() {
    assert_eq!(Work::requested_by(&waiting()), None);
    assert_eq!(release(&requested(), 1, t(150)), None, "a delivery without a turn is not released");
    assert_eq!(in_turn(), Work { in_turn: true, ..work() });
    assert_eq!(waiting().message_id(), requested().message_id(), "both are the same delivery");
}

#[test]
fn turn_passes_on_only_when_the_delivery_ends() {
    let policy = RetryPolicy { schedule: vec![std::time::Duration::from_secs(5)], ..RetryPolicy::manual() };
    let last = Work { progress: domain::policy::RetryProgress { step: 1, ..in_turn().progress }, ..in_turn() };
    let cases = [
        (in_turn(), 200, Some(false)),
        (again(in_turn()), 200, Some(true)),
        (in_turn(), 500, None),
        (last, 500, Some(false)),
        (work(), 200, None),
    ];
    for (work, code, passed) in cases {
        let effects = after_attempt(&work, &policy, execution(1, t(200), status(code)));
        assert_eq!(passes_turn(&effects), passed, "{work:?} answered with {code}");
        let appended = effects.iter().position(|effect| matches!(effect, Effect::Append(_))).unwrap();
        let after_the_fact = effects[appended + 1..].iter().all(|effect| matches!(effect, Effect::PassTurn { .. }));
        assert!(after_the_fact, "{effects:?}");
    }
    let next = after_attempt(&in_turn(), &policy, execution(1, t(200), status(500)));
    let Effect::SetTimer { work: next, .. } = &next[0] else { panic!("{next:?}") };
    assert!(next.in_turn, "a retry still has the turn");
    assert_eq!(passes_turn(&abandon(&in_turn(), FailureReason::Skipped, t(200))), Some(false));
    assert_eq!(passes_turn(&abandon(&work(), FailureReason::Skipped, t(200))), None);
}

#[test]
fn requested_retry_has_no_turn() {
    let mut state = None;
    for fact in [waiting(), abandoned(&in_turn(), FailureReason::Skipped, t(200))] {
        state = Some(domain::Delivery::evolve(state, &fact).unwrap());
    }
    let retry =
        domain::delivery::request_retry(&state.unwrap(), Default::default(), t(300), crate::common::retry_by("me"))
            .unwrap();
    assert!(!Work::requested_by(&retry).unwrap().in_turn);
}

#[test]
fn request_and_release_in_any_order_give_the_same_state() {
    let released = release(&waiting(), 1, t(150)).unwrap();
    for facts in [[waiting(), released.clone()], [released, waiting()]] {
        let fold = |state, fact| Some(domain::Delivery::evolve(state, fact).unwrap());
        let state = facts.iter().fold(None, fold).unwrap();
        assert_eq!((state.status, state.requested_at), (DeliveryStatus::Pending, Some(t(100))));
    }
}

/// A registry with one destination. Its setting `ordered` has these values, one after another, from sequence 2 on.
fn registry(changes: &[bool]) -> (Registry, Destination) {
    let mut registry = Registry::default();
    registry.apply(1, &fact(Change::AccountCreated(account())));
    let mut latest = destination("dst", Scope::Account, &["*"]);
    for (sequence, ordered) in (2..).zip(changes) {
        latest.ordered = *ordered;
        let is_new = sequence == 2;
        let change = if is_new { Change::DestinationCreated } else { Change::DestinationUpdated };
        registry.apply(sequence, &fact(change(latest.clone())));
    }
    (registry, latest)
}

fn published_at(registry_sequence: u64) -> LeadEvent {
    LeadEvent { registry_sequence, ..event("e", "form", "lead.created") }
}

#[test]
fn registry_version_of_the_publisher_decides_about_order() {
    let (registry, destination) = registry(&[false, true, true, false, true]);
    let in_turn = |sequence| goes_in_turn(&registry, &published_at(sequence), &destination);
    assert_eq!((0..8).map(in_turn).collect::<Vec<_>>(), [false, false, false, true, true, false, true, true]);
    assert!(registry.ever_kept_order());
}

#[test]
fn one_ordered_destination_orders_all_events_of_its_account() {
    let (mut registry, ordered) = registry(&[true]);
    let other = Destination { ordered: false, ..destination("other", Scope::Account, &["*"]) };
    registry.apply(3, &fact(Change::DestinationCreated(other.clone())));
    registry.apply(4, &fact(Change::DestinationDeleted(account().id, ordered.id.clone())));
    let routed = |sequence| is_routed_in_order(&registry, &published_at(sequence));
    assert_eq!((0..6).map(routed).collect::<Vec<_>>(), [false, false, true, true, false, false]);
    assert!((0..6).all(|sequence| !goes_in_turn(&registry, &published_at(sequence), &other)));
    assert!(goes_in_turn(&registry, &published_at(3), &ordered), "also for a destination that is deleted by now");
}

#[test]
fn repeated_event_waits_for_its_own_turn() {
    let ids = [1, 2].map(|turn| release(&waiting(), turn, t(150)).unwrap().message_id());
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn without_an_ordered_destination_there_is_no_order() {
    let (never, destination) = registry(&[false, false]);
    assert!((0..4).all(|sequence| !goes_in_turn(&never, &published_at(sequence), &destination)));
    assert!((0..4).all(|sequence| !is_routed_in_order(&never, &published_at(sequence))));
    assert!(!never.ever_kept_order());
}

#[test]
fn newer_registry_views_give_the_same_answer() {
    let changes = [true, false, true, false, true, false, true];
    let (all, destination) = registry(&changes);
    for known in 1..=changes.len() {
        let (some, _) = registry(&changes[..known]);
        for sequence in 0..2 + known as u64 {
            let event = published_at(sequence);
            assert_eq!(goes_in_turn(&some, &event, &destination), goes_in_turn(&all, &event, &destination));
            assert_eq!(is_routed_in_order(&some, &event), is_routed_in_order(&all, &event));
        }
    }
}
