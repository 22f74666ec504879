//! The decision after each kind of outcome, and the state that the next attempt inherits.

use std::{sync::Arc, time::Duration};

use domain::{
    AttemptOutcome, Delivery, DeliveryFact, DeliveryRef, DeliveryStatus, ErrorKind, EventType, NoticeId, RetryPolicy,
    Work,
    delivery::{
        DeliveryAttempted, Effect, Execution, FailureReason, HoldReason, LastAttempt, NextStep, RequestedWork,
        RetryContext, RetryRefusal, after_attempt, hold, request_parked, request_retry,
    },
    notice::failure_in,
    policy::{QuickRetries, RetryProgress},
    registry::DeactivationCause,
};

use crate::common::{abandoned, again, execution, refused, requested, retry_by, status, t, work};

/// One quick retry after a second for time-outs and 503, then one more attempt after a minute.
fn policy() -> RetryPolicy {
    RetryPolicy {
        quick: QuickRetries {
            count: 1,
            pause: Duration::from_secs(1),
            statuses: vec![503],
            kinds: vec![ErrorKind::Timeout],
        },
        schedule: vec![Duration::from_secs(60)],
        ..RetryPolicy::manual()
    }
}

fn no_response(kind: ErrorKind) -> AttemptOutcome {
    AttemptOutcome::NoResponse { kind, message: "none".into() }
}

fn timer(effects: &[Effect]) -> Option<(&Work, i64)> {
    effects.iter().find_map(|effect| match effect {
        Effect::SetTimer { work, at } => Some((work, at.as_second())),
        _ => None,
    })
}

fn appended(effects: &[Effect]) -> &DeliveryFact {
    match effects.last() {
        Some(Effect::Append(fact)) => fact,
        other => panic!("{other:?}"),
    }
}

fn attempted(effects: &[Effect]) -> &DeliveryAttempted {
    match appended(effects) {
        DeliveryFact::Attempted(fact) => fact,
        other => panic!("{other:?}"),
    }
}

fn fold(facts: &[DeliveryFact]) -> Delivery {
    facts.iter().fold(None, |state, fact| Some(Delivery::evolve(state, fact).unwrap())).unwrap()
}

fn failed() -> DeliveryFact {
    appended(&after_attempt(&work(), &RetryPolicy::manual(), execution(1, t(100), status(500)))).clone()
}

#[test]
fn policy_decides_the_retry_of_each_error_kind() {
    for kind in ErrorKind::ALL {
        let effects = after_attempt(&work(), &policy(), execution(1, t(100), no_response(kind)));
        if kind == ErrorKind::Render {
            // The same settings and the same lead fail in the same way, so the failure is final, and not the receiver's
            // fault.
            assert_eq!(effects.len(), 1, "{effects:?}");
            assert_eq!(attempted(&effects).next_step, NextStep::Failed(FailureReason::Render));
            assert_eq!(attempted(&effects).deactivated, None);
            continue;
        }
        let (next, at) = timer(&effects).unwrap();
        let quick = kind == ErrorKind::Timeout;
        assert_eq!(at, if quick { 102 } else { 161 }, "{kind}");
        let used = if quick { (1, 0) } else { (0, 1) };
        assert_eq!((next.progress.quick_used, next.progress.step), used, "{kind}");
        assert_eq!(attempted(&effects).next_step, NextStep::RetryAt(t(at)), "{kind}");
        assert_eq!(attempted(&effects).outcome.status_code(), 999, "{kind}");
    }
}

#[test]
fn every_status_except_2xx_is_a_failure() {
    for code in [100, 199, 300, 304, 399, 400, 404, 429, 499, 500, 503, 599, 700] {
        let effects = after_attempt(&work(), &policy(), execution(1, t(100), status(code)));
        assert_eq!(timer(&effects).unwrap().1, if code == 503 { 102 } else { 161 }, "{code}");
    }
    for code in 200..300 {
        let effects = after_attempt(&work(), &policy(), execution(1, t(100), status(code)));
        assert_eq!((timer(&effects), attempted(&effects).next_step), (None, NextStep::Succeeded), "{code}");
    }
}

#[test]
fn next_attempt_continues_the_state_of_its_round() {
    let before = Work {
        attempt: 4,
        round: 2,
        holds: 3,
        progress: RetryProgress { quick_used: 1, ..RetryProgress::default() },
        first_failed_at: Some(t(90)),
        ..work()
    };
    let effects = after_attempt(&before, &policy(), execution(1, t(100), status(503)));
    let (next, at) = timer(&effects).unwrap();
    let expected =
        Work { attempt: 5, holds: 0, progress: RetryProgress { quick_used: 1, step: 1, waits: 0 }, ..before };
    assert_eq!((next, at), (&expected, 161));
    assert_eq!((attempted(&effects).attempt, attempted(&effects).round), (4, 2));

    let last = after_attempt(next, &policy(), execution(2, t(161), status(503)));
    assert_eq!((timer(&last), attempted(&last).next_step), (None, NextStep::Failed(FailureReason::Exhausted)));
}

#[test]
fn max_age_counts_from_the_request_of_a_round() {
    let aged = RetryPolicy { max_age: Some(Duration::from_secs(61)), ..policy() };
    let just_in_time = after_attempt(&work(), &aged, execution(1, t(100), status(500)));
    assert_eq!(timer(&just_in_time).unwrap().1, 161);
    let too_late = after_attempt(&work(), &aged, execution(1, t(101), status(500)));
    assert_eq!((timer(&too_late), attempted(&too_late).next_step), (None, NextStep::Failed(FailureReason::TooOld)));
    let delivery = fold(&[requested(), appended(&too_late).clone()]);
    assert_eq!((delivery.status, delivery.failure), (DeliveryStatus::Failed, Some(FailureReason::TooOld)));
    let asked_again = Work { round: 1, requested_at: t(101), ..work() };
    assert!(timer(&after_attempt(&asked_again, &aged, execution(2, t(101), status(500)))).is_some());
}

#[test]
fn retry_of_a_repeated_execution_replaces_the_timer() {
    let effects = after_attempt(&again(work()), &policy(), execution(2, t(200), refused()));
    assert_eq!(timer(&effects).unwrap().1, 261);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::CancelTimer { .. })), "{effects:?}");
}

#[test]
fn timer_is_cancelled_before_the_final_fact() {
    for outcome in [status(200), status(500)] {
        let effects = after_attempt(&again(work()), &RetryPolicy::manual(), execution(2, t(200), outcome));
        let [.., Effect::CancelTimer { destination, delivery, .. }, Effect::Append(fact)] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!((destination, *delivery), (&fact.reference().destination, fact.reference().delivery));
    }
}

#[test]
fn timer_is_the_first_effect_and_the_fact_the_last() {
    let policies = [RetryPolicy::standard(), RetryPolicy::patient(), RetryPolicy::manual(), policy()];
    for (policy, redelivered) in policies.iter().flat_map(|policy| [(policy, false), (policy, true)]) {
        for outcome in [status(200), status(410), status(503), status(500), refused()] {
            let effects = after_attempt(&Work { redelivered, ..work() }, policy, execution(1, t(100), outcome.clone()));
            assert!(matches!(effects.last(), Some(Effect::Append(_))), "{effects:?}");
            let timers = effects.iter().filter(|effect| matches!(effect, Effect::SetTimer { .. })).count();
            let facts = effects.iter().filter(|effect| matches!(effect, Effect::Append(_))).count();
            assert_eq!((timers, facts), (usize::from(matches!(effects[0], Effect::SetTimer { .. })), 1));
            let retried = matches!(attempted(&effects).next_step, NextStep::RetryAt(_));
            assert_eq!(timers == 1, retried, "{outcome:?}: {effects:?}");
        }
    }
}

#[test]
fn times_at_the_maximum_do_not_overflow() {
    let effects = after_attempt(&work(), &policy(), execution(1, jiff::Timestamp::MAX, status(500)));
    assert_eq!(attempted(&effects).next_step, NextStep::RetryAt(jiff::Timestamp::MAX));
    let endless = Execution { duration: Duration::MAX, ..execution(1, t(100), status(200)) };
    assert_eq!(appended(&after_attempt(&work(), &policy(), endless)).at(), jiff::Timestamp::MAX);
}

#[test]
fn holds_and_abandonments_keep_the_number_of_attempts() {
    let effects = after_attempt(&work(), &policy(), execution(1, t(100), status(500)));
    let next = timer(&effects).unwrap().0.clone();
    let (held, parked) = hold(&next, HoldReason::Deactivated, t(170));
    assert_eq!(parked, Work { holds: 1, ..next });
    let so_far = [requested(), appended(&effects).clone(), held];
    let delivery = fold(&so_far);
    assert_eq!((delivery.status, delivery.attempts), (DeliveryStatus::Held, 1));
    assert_eq!((delivery.next_attempt_at, delivery.updated_at), (None, t(170)));

    for reason in FailureReason::ALL {
        let ended = Delivery::evolve(Some(delivery.clone()), &abandoned(&parked, reason, t(180))).unwrap();
        assert_eq!((ended.status, ended.attempts, ended.failure), (DeliveryStatus::Failed, 1, Some(reason)));
    }
}

#[test]
fn holds_before_and_after_an_attempt_have_different_ids() {
    let (before, held) = hold(&work(), HoldReason::Disabled, t(90));
    let effects = after_attempt(&held, &policy(), execution(1, t(100), status(500)));
    let (after, _) = hold(timer(&effects).unwrap().0, HoldReason::Disabled, t(110));
    assert_ne!(before.message_id(), after.message_id());
}

#[test]
fn delivery_shows_its_latest_attempt_unchanged() {
    let made = execution(3, t(100), no_response(ErrorKind::Tls));
    let effects = after_attempt(&work(), &policy(), made.clone());
    let expected = LastAttempt {
        attempt_id: made.attempt_id,
        attempt: 1,
        started_at: made.started_at,
        duration: made.duration,
        request: made.request,
        outcome: made.outcome,
        deactivated: None,
    };
    assert_eq!(fold(&[requested(), appended(&effects).clone()]).last, Some(expected));
}

#[test]
fn retry_of_an_unfailed_delivery_is_refused_with_its_status() {
    for status in DeliveryStatus::ALL {
        let delivery = Delivery { status, ..fold(&[requested(), failed()]) };
        match request_retry(&delivery, RetryContext::default(), t(200), retry_by("me")) {
            Ok(_) => assert_eq!(status, DeliveryStatus::Failed),
            Err(refusal) => {
                assert_eq!(refusal, RetryRefusal::NotFailed(status));
                assert!(refusal.to_string().contains(status.as_str()), "{refusal}");
            }
        }
    }
}

#[test]
fn refusal_names_the_most_permanent_reason() {
    let delivery = fold(&[requested(), failed()]);
    let refusal = |context| request_retry(&delivery, context, t(200), retry_by("me")).unwrap_err();
    let mut context = RetryContext {
        interface_deleted: true,
        destination_deleted: true,
        lead_anonymised: true,
        payload_gone: true,
        switch: domain::delivery::Switch::Off,
    };
    assert_eq!(refusal(context), RetryRefusal::LeadAnonymised);
    context.lead_anonymised = false;
    assert_eq!(refusal(context), RetryRefusal::InterfaceDeleted);
    context.interface_deleted = false;
    assert_eq!(refusal(context), RetryRefusal::DestinationDeleted);
    context.destination_deleted = false;
    assert_eq!(refusal(context), RetryRefusal::PayloadGone);
}

#[test]
fn only_requests_create_work() {
    let (held, _) = hold(&work(), HoldReason::Disabled, t(101));
    for fact in [failed(), held, abandoned(&work(), FailureReason::Skipped, t(101))] {
        assert_eq!(Work::requested_by(&fact), None);
    }
    let request = requested();
    let asked_for = Work::requested_by(&request).unwrap();
    assert!(Arc::ptr_eq(&asked_for.reference, request.reference()), "the reference is shared");
    assert_eq!((asked_for.attempt, asked_for.round, asked_for.requested_at), (1, 0, t(100)));
}

#[test]
fn requests_tell_where_their_work_waits() {
    let parked = request_parked(&work());
    assert_eq!((Work::requested_by(&parked), parked.message_id()), (None, requested().message_id()));
    let again = requested().with_work(RequestedWork::Here { again: true });
    assert_eq!(again.message_id(), requested().message_id());
    assert_eq!(Work::requested_by(&again), Some(Work { redelivered: true, ..work() }), "it may have a timer");
    assert_eq!(
        [&parked, &again].map(|fact| fold(std::slice::from_ref(fact))).map(|d| d.requested_at),
        [Some(t(100)); 2]
    );
}

#[test]
fn each_failed_round_causes_one_notice() {
    let id = |fact: &DeliveryFact| failure_in(fact).map(|(notice, _)| notice);
    let delivery = fold(&[requested(), failed()]);
    let first = id(&failed()).unwrap();
    assert_eq!(first, NoticeId::of_failure(delivery.reference.delivery, 0));
    let retry = request_retry(&delivery, RetryContext::default(), t(200), retry_by("me")).unwrap();
    assert_eq!((id(&retry), id(&requested())), (None, None));
    let second_round = Work::requested_by(&retry).unwrap();
    let effects = after_attempt(&second_round, &RetryPolicy::manual(), execution(2, t(210), refused()));
    assert_eq!(id(appended(&effects)), Some(NoticeId::of_failure(delivery.reference.delivery, 1)));
    assert_ne!(id(appended(&effects)), Some(first));
}

#[test]
fn test_event_has_one_attempt_and_no_consequences() {
    let DeliveryFact::Requested(requested) = requested() else { panic!("a request") };
    let reference = DeliveryRef { event_type: EventType::webhook_test(), ..DeliveryRef::clone(&requested.reference) };
    let test = Work { reference: Arc::new(reference), ..work() };
    for outcome in [status(410), status(503), refused()] {
        let effects = after_attempt(&test, &RetryPolicy::standard(), execution(1, t(100), outcome));
        assert_eq!(effects.len(), 1, "{effects:?}");
        let fact = attempted(&effects);
        assert_eq!((fact.next_step, fact.deactivated), (NextStep::Failed(FailureReason::Exhausted), None));
        assert_eq!(failure_in(appended(&effects)), None);
    }
    let good = after_attempt(&test, &RetryPolicy::standard(), execution(1, t(100), status(204)));
    assert_eq!(attempted(&good).next_step, NextStep::Succeeded);
}

#[test]
fn only_a_508_for_a_loop_ends_the_delivery() {
    let answer = |excerpt: &str| AttemptOutcome::Response { status: 508, excerpt: excerpt.into(), retry_after: None };
    let looped = execution(1, t(100), answer(r#"{"error":{"field":"leadline-hops","message":"…"}}"#));
    let effects = after_attempt(&work(), &RetryPolicy::standard(), looped);
    let fact = attempted(&effects);
    assert_eq!((fact.next_step, fact.deactivated), (NextStep::Failed(FailureReason::Loop), None));
    assert_eq!(timer(&effects), None);
    // Hosting systems answer like this when they are short of resources.
    let busy =
        after_attempt(&work(), &RetryPolicy::standard(), execution(1, t(100), answer("Resource Limit Is Reached")));
    assert!(matches!(attempted(&busy).next_step, NextStep::RetryAt(_)));
}

#[test]
fn attempt_records_that_it_deactivated_its_destination() {
    let effects = after_attempt(&work(), &policy(), execution(1, t(100), status(410)));
    assert_eq!(attempted(&effects).deactivated, Some(DeactivationCause::Gone));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Deactivate { .. })));
    let late = Execution { destination_off: true, ..execution(1, t(100), status(410)) };
    let effects = after_attempt(&work(), &policy(), late);
    assert_eq!(attempted(&effects).deactivated, None);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Deactivate { .. })));
}
