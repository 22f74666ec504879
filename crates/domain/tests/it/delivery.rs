//! The effects of attempts, holds and retries, and the state that follows from the facts of a delivery.

use std::time::Duration;

use domain::{
    Delivery, DeliveryFact, DeliveryStatus, RetryPolicy, Work,
    delivery::{
        AttemptStarted, Effect, FailureReason, HoldReason, IllegalHistory, NextStep, PendingState, RetryContext,
        RetryRefusal, after_attempt, hold, lost_work, request_retry,
    },
    notice::failure_in,
    policy::Deactivate,
    registry::DeactivationCause,
};

use crate::common::{abandoned, again, execution, reference_of, refused, requested, retry_by, status, t, work};

fn policy(schedule: &[u64]) -> RetryPolicy {
    let schedule = schedule.iter().copied().map(Duration::from_secs).collect();
    RetryPolicy { schedule, jitter_percent: 0, ..RetryPolicy::manual() }
}

fn fold(facts: &[DeliveryFact]) -> Delivery {
    facts.iter().fold(None, |state, fact| Some(Delivery::evolve(state, fact).unwrap())).unwrap()
}

fn appended(effects: &[Effect]) -> DeliveryFact {
    match effects.last().unwrap() {
        Effect::Append(fact) => fact.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn success_is_recorded_without_other_effects() {
    for code in [200, 204, 299] {
        let effects = after_attempt(&work(), &policy(&[5]), execution(1, t(100), status(code)));
        let [Effect::Append(fact @ DeliveryFact::Attempted(attempted))] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(attempted.next_step, NextStep::Succeeded);
        assert_eq!(fold(&[requested(), fact.clone()]).status, DeliveryStatus::Succeeded);
    }
}

#[test]
fn failure_sets_the_timer_before_the_fact() {
    for outcome in [status(301), status(404), status(500), refused()] {
        let effects = after_attempt(&work(), &policy(&[5]), execution(1, t(100), outcome));
        let [Effect::SetTimer { work: next, at }, Effect::Append(fact)] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(*at, t(106));
        assert_eq!((next.attempt, next.round, next.first_failed_at), (2, 0, Some(t(101))));
        let delivery = fold(&[requested(), fact.clone()]);
        assert_eq!((delivery.status, delivery.next_attempt_at), (DeliveryStatus::Retrying, Some(t(106))));
        assert!(failure_in(fact).is_none());
    }
}

#[test]
fn last_failure_ends_the_delivery_and_causes_a_notice() {
    let effects = after_attempt(&work(), &policy(&[]), execution(1, t(100), status(500)));
    let fact = appended(&effects);
    assert_eq!(effects.len(), 1);
    let delivery = fold(&[requested(), fact.clone()]);
    assert_eq!((delivery.status, delivery.failure), (DeliveryStatus::Failed, Some(FailureReason::Exhausted)));
    let (notice, _) = failure_in(&fact).unwrap();
    let other_execution = appended(&after_attempt(&work(), &policy(&[]), execution(2, t(200), status(502))));
    assert_eq!(failure_in(&other_execution).unwrap().0, notice, "the same failure has one notice");
}

#[test]
fn redelivered_work_cancels_its_timer_when_it_ends() {
    let ends = [(status(200), policy(&[5])), (status(500), policy(&[]))];
    for (outcome, policy) in ends {
        let effects = after_attempt(&again(work()), &policy, execution(1, t(100), outcome));
        assert!(matches!(effects[..], [Effect::CancelTimer { .. }, Effect::Append(_)]), "{effects:?}");
    }
}

#[test]
fn held_work_keeps_its_attempt_and_each_hold_is_recorded() {
    let (first, held) = hold(&work(), HoldReason::Disabled, t(101));
    let (second, held_again) = hold(&held, HoldReason::Disabled, t(102));
    assert_eq!((held.attempt, held.holds, held_again.holds), (1, 1, 2));
    assert_ne!(first.message_id(), second.message_id());
    assert_eq!(hold(&work(), HoldReason::Disabled, t(999)).0.message_id(), first.message_id());
    assert_eq!(fold(&[requested(), first, second]).status, DeliveryStatus::Held);
}

#[test]
fn abandoned_work_fails_with_a_reason() {
    let fact = abandoned(&work(), FailureReason::DestinationDeleted, t(101));
    let delivery = fold(&[requested(), fact.clone()]);
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Failed, 0));
    assert_eq!(delivery.failure, Some(FailureReason::DestinationDeleted));
    assert!(failure_in(&fact).is_none(), "a person decided so");
    assert!(failure_in(&abandoned(&work(), FailureReason::PayloadGone, t(101))).is_some());
}

fn started(holds: u32) -> DeliveryFact {
    DeliveryFact::AttemptStarted(AttemptStarted {
        reference: reference_of(&requested()),
        attempt_id: execution(1, t(0), status(200)).attempt_id,
        attempt: 1,
        round: 0,
        resend: 0,
        holds,
        at: t(101),
    })
}

#[test]
fn work_that_is_held_after_its_process_died_is_held() {
    let (first, held_once) = hold(&work(), HoldReason::Disabled, t(101));
    let (second, _) = hold(&held_once, HoldReason::Disabled, t(103));
    for facts in [[requested(), started(0), first.clone()], [requested(), first.clone(), started(0)]] {
        assert_eq!(fold(&facts).status, DeliveryStatus::Held);
    }
    assert_eq!(fold(&[requested(), first.clone(), started(1)]).status, DeliveryStatus::Processing);
    assert_eq!(fold(&[requested(), first, started(1), second]).status, DeliveryStatus::Held);

    // Older versions stored no number of holds.
    let pending = PendingState { handled_before: t(10_000), timer: false, parked: false, turn: None };
    let lost = lost_work(&fold(&[requested(), started(u32::MAX)]), pending).unwrap();
    hold(&lost, HoldReason::Disabled, t(10_000));
}

#[test]
fn long_attempt_is_processing_until_it_ends() {
    let started = started(0);
    let shown = fold(&[requested(), started.clone()]);
    assert_eq!((shown.status, shown.attempts), (DeliveryStatus::Processing, 0));
    let ended = appended(&after_attempt(&work(), &policy(&[5]), execution(1, t(101), status(500))));
    assert_eq!(fold(&[requested(), ended, started.clone()]).status, DeliveryStatus::Retrying);
    for reason in [FailureReason::Crashed, FailureReason::Anonymised] {
        let given_up = abandoned(&work(), reason, t(102));
        for facts in [[started.clone(), given_up.clone()], [given_up, started.clone()]] {
            let shown = fold(&facts);
            assert_eq!((shown.status, shown.failure), (DeliveryStatus::Failed, Some(reason)));
        }
    }
}

#[test]
fn retry_starts_another_round_of_a_failed_delivery() {
    let failed =
        fold(&[requested(), appended(&after_attempt(&work(), &policy(&[]), execution(1, t(100), status(500))))]);
    let retry = request_retry(&failed, RetryContext::default(), t(200), retry_by("me")).unwrap();
    let pending = Delivery::evolve(Some(failed.clone()), &retry).unwrap();
    assert_eq!((pending.status, pending.round, pending.attempts), (DeliveryStatus::Pending, 1, 1));
    let again = Work::requested_by(&retry).unwrap();
    assert_eq!((again.attempt, again.round, again.first_failed_at), (2, 1, None));
    let requested_twice = request_retry(&failed, RetryContext::default(), t(300), retry_by("you")).unwrap();
    assert_eq!(requested_twice.message_id(), retry.message_id(), "two concurrent requests ask for one round");
    let refusal = request_retry(&pending, RetryContext::default(), t(300), retry_by("")).unwrap_err();
    assert_eq!(refusal, RetryRefusal::NotFailed(DeliveryStatus::Pending));
    let contexts = [
        (RetryContext { lead_anonymised: true, ..RetryContext::default() }, RetryRefusal::LeadAnonymised),
        (RetryContext { interface_deleted: true, ..RetryContext::default() }, RetryRefusal::InterfaceDeleted),
        (RetryContext { destination_deleted: true, ..RetryContext::default() }, RetryRefusal::DestinationDeleted),
    ];
    for (context, refusal) in contexts {
        assert_eq!(request_retry(&failed, context, t(300), retry_by("")).unwrap_err(), refusal);
    }
}

#[test]
fn success_is_final_in_any_order_of_facts() {
    let good = appended(&after_attempt(&work(), &policy(&[5]), execution(1, t(100), status(200))));
    let bad = appended(&after_attempt(&work(), &policy(&[5]), execution(2, t(200), status(500))));
    for facts in [[requested(), good.clone(), bad.clone()], [requested(), bad, good]] {
        let delivery = fold(&facts);
        assert_eq!(delivery.status, DeliveryStatus::Succeeded);
        assert_eq!(delivery.last.unwrap().outcome, status(200));
    }
}

#[test]
fn an_illegal_history_is_an_error() {
    let other = crate::common::event("other", "form", "lead.created");
    let other = domain::delivery::request(&other, domain::LeadSequence(8), &crate::common::destination_id("dst"), t(0));
    let state = Delivery::evolve(None, &requested()).unwrap();
    assert!(matches!(Delivery::evolve(Some(state), &other), Err(IllegalHistory::OtherDelivery { .. })));
    let zero = Work { attempt: 0, ..work() };
    let fact = appended(&after_attempt(&zero, &policy(&[]), execution(1, t(0), status(200))));
    assert!(matches!(Delivery::evolve(None, &fact), Err(IllegalHistory::AttemptZero(_))));
}

#[test]
fn exhaustion_and_410_deactivate_before_the_fact() {
    let exempt = policy(&[]);
    let strict = RetryPolicy { deactivate: Deactivate::OnExhaustion, ..policy(&[]) };
    let patient = RetryPolicy { deactivate: Deactivate::OnExhaustion, ..policy(&[5]) };
    let cause = |policy: &RetryPolicy, code: u16| {
        let effects = after_attempt(&work(), policy, execution(1, t(100), status(code)));
        assert!(matches!(effects.last(), Some(Effect::Append(_))));
        effects.into_iter().find_map(|effect| match effect {
            Effect::Deactivate { why, .. } => Some((why.cause, why.first_failed_at)),
            _ => None,
        })
    };
    assert_eq!(cause(&exempt, 500), None);
    assert_eq!(cause(&patient, 500), None);
    assert_eq!(cause(&strict, 500), Some((DeactivationCause::Exhausted, Some(t(101)))));
    assert_eq!(cause(&exempt, 410), Some((DeactivationCause::Gone, Some(t(101)))));
    assert_eq!(cause(&strict, 200), None);
}
