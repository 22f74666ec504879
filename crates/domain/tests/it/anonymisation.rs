//! What remains of anonymised leads, and how their open deliveries end.

use std::time::Duration;

use domain::{
    AnonymisationFact, AttemptOutcome, Delivery, DeliveryFact, DeliveryStatus, LeadSequence, RetryPolicy,
    anonymisation::{blank_attempt, blank_event, due_now, end_of},
    delivery::{AttemptStarted, DeliveryAttempted, Effect, FailureReason, after_attempt},
    policy::QuickRetries,
};

use crate::common::{execution, requested, t, work};

fn attempted(status: u16, policy: &RetryPolicy) -> DeliveryAttempted {
    let outcome = AttemptOutcome::Response { status, excerpt: "about Ada".into(), retry_after: None };
    let effects = after_attempt(&work(), policy, execution(1, t(200), outcome));
    let fact = effects.into_iter().find_map(|effect| match effect {
        Effect::Append(DeliveryFact::Attempted(fact)) => Some(fact),
        _ => None,
    });
    fact.unwrap()
}

fn never() -> RetryPolicy {
    let standard = RetryPolicy::standard();
    RetryPolicy { quick: QuickRetries { count: 0, ..standard.quick }, schedule: vec![], ..standard }
}

fn folded(facts: &[DeliveryFact]) -> Delivery {
    facts.iter().fold(None, |state, fact| Some(Delivery::evolve(state, fact).unwrap())).unwrap()
}

#[test]
fn blank_keeps_only_the_course_of_an_attempt() {
    let fact = attempted(500, &never());
    let DeliveryFact::AttemptBlanked(blank) = blank_attempt(fact.clone()) else { panic!("no blank") };
    assert_eq!((blank.request.url.as_str(), blank.outcome.webhook_response()), ("", ""));
    assert_eq!((blank.outcome.status_code(), blank.next_step), (500, fact.next_step));
    assert_eq!((blank.attempt_id, blank.started_at, blank.duration), (fact.attempt_id, fact.started_at, fact.duration));
    let event = crate::common::event("e", "form", "lead.created");
    let AnonymisationFact::EventBlanked(blank) = blank_event(LeadSequence(7), event) else { panic!("no blank") };
    assert!(blank.event.payload.is_empty());
}

#[test]
fn blank_replaces_its_attempt_in_any_order() {
    for (status, policy) in [(200, never()), (500, never()), (500, RetryPolicy::standard())] {
        let fact = attempted(status, &policy);
        let (before, blank) = (DeliveryFact::Attempted(fact.clone()), blank_attempt(fact));
        let alone = folded(&[requested(), blank.clone()]);
        assert!(alone.last.as_ref().unwrap().is_blank());
        assert_eq!(folded(&[requested(), before.clone(), blank.clone()]), alone);
        assert_eq!(folded(&[blank, before.clone(), requested()]), alone);
        assert_eq!(folded(&[requested(), before]).status, alone.status);
    }
}

#[test]
fn anonymisation_ends_open_deliveries_and_keeps_ended_ones() {
    let waiting = folded(&[requested()]);
    let end = end_of(&waiting, t(300)).unwrap();
    let ended = folded(&[requested(), end]);
    assert_eq!((ended.status, ended.failure), (DeliveryStatus::Failed, Some(FailureReason::Anonymised)));
    assert_eq!(end_of(&ended, t(400)), None);
    for (status, policy) in [(200, never()), (500, never())] {
        assert_eq!(end_of(&folded(&[requested(), DeliveryFact::Attempted(attempted(status, &policy))]), t(300)), None);
    }
}

#[test]
fn late_failure_does_not_revive_an_anonymised_delivery() {
    let policy = RetryPolicy { schedule: vec![Duration::from_secs(60)], ..never() };
    let fact = attempted(500, &policy);
    let reference = fact.reference.clone();
    let (attempt_id, attempt, round, at) = (fact.attempt_id, fact.attempt, fact.round, fact.started_at);
    let started =
        DeliveryFact::AttemptStarted(AttemptStarted { reference, attempt_id, attempt, round, resend: 0, holds: 0, at });
    let end = end_of(&folded(&[requested(), started.clone()]), t(300)).unwrap();
    let late = DeliveryFact::Attempted(fact);
    let ended = folded(&[requested(), started.clone(), end.clone(), late]);
    assert_eq!((ended.status, ended.failure), (DeliveryStatus::Failed, Some(FailureReason::Anonymised)));
    let accepted = DeliveryFact::Attempted(attempted(200, &policy));
    assert_eq!(folded(&[requested(), started, end, accepted]).status, DeliveryStatus::Succeeded, "the receiver has it");
}

#[test]
fn anonymisation_brings_only_timers_forward() {
    let retried = attempted(500, &RetryPolicy::standard());
    let (attempt, round) = (retried.attempt, retried.round);
    let waiting = folded(&[requested(), DeliveryFact::Attempted(retried)]);
    let work = due_now(&waiting).unwrap();
    assert_eq!((work.attempt, work.round, work.reference), (attempt + 1, round, waiting.reference));
    for facts in [vec![requested()], vec![requested(), DeliveryFact::Attempted(attempted(200, &never()))]] {
        assert!(due_now(&folded(&facts)).is_none());
    }
}
