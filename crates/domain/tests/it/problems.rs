//! Problems and the health of destinations, as they follow from facts.

use std::{sync::Arc, time::Duration};

use domain::{
    AttemptId, AttemptOutcome, Delivery, DeliveryFact, DeliveryId, ErrorKind,
    delivery::{DeliveryAbandoned, DeliveryAttempted, FailureReason, NextStep, RequestLine},
    health::{Counts, HealthState, Latencies, Streak},
    problem::{Cause, Problem, ProblemState, Step},
};
use proptest::prelude::*;
use uuid::Uuid;

use crate::common::{requested, t};

fn attempted(number: u32, outcome: AttemptOutcome, next_step: NextStep) -> DeliveryFact {
    DeliveryFact::Attempted(DeliveryAttempted {
        reference: Arc::clone(requested().reference()),
        attempt_id: AttemptId::from_uuid(Uuid::from_u128(number.into())),
        attempt: number,
        round: 0,
        started_at: t(100 + i64::from(number)),
        duration: Duration::from_millis(40),
        request: RequestLine { method: "POST".into(), url: "https://crm.example/".into() },
        outcome,
        next_step,
        deactivated: None,
        trace: None,
        exchange: None,
        resend: 0,
    })
}

fn status(status: u16) -> AttemptOutcome {
    AttemptOutcome::Response { status, excerpt: String::new(), retry_after: None }
}

fn timeout() -> AttemptOutcome {
    AttemptOutcome::NoResponse { kind: ErrorKind::Timeout, message: "no answer".into() }
}

/// The steps that facts cause after the request of a delivery.
fn steps(facts: &[DeliveryFact]) -> Vec<Step> {
    let mut delivery = Delivery::evolve(None, &requested()).unwrap();
    let step = |fact: &DeliveryFact| {
        let before = Cause::of(&delivery);
        delivery = Delivery::evolve(Some(delivery.clone()), fact).unwrap();
        Step::between(before, Cause::of(&delivery), matches!(fact, DeliveryFact::Attempted(_)))
    };
    facts.iter().map(step).collect()
}

#[test]
fn delivery_belongs_to_the_problem_of_its_latest_attempt() {
    let retry = NextStep::RetryAt(t(500));
    let facts = [
        attempted(1, status(503), retry),
        attempted(2, status(503), retry),
        attempted(3, timeout(), NextStep::Failed(FailureReason::Exhausted)),
        attempted(4, status(200), NextStep::Succeeded),
    ];
    let (unavailable, late) = (Some(Cause::Status(503)), Some(Cause::Error(ErrorKind::Timeout)));
    let expected = [
        Step { entered: unavailable, ..Step::default() },
        Step { repeated: unavailable, ..Step::default() },
        Step { left: unavailable, entered: late, ..Step::default() },
        Step { left: late, ..Step::default() },
    ];
    assert_eq!(steps(&facts), expected);
}

#[test]
fn decisions_of_people_are_not_problems_but_losses_are() {
    let abandoned = |reason| {
        let reference = Arc::clone(requested().reference());
        [DeliveryFact::Abandoned(DeliveryAbandoned { reference, round: 0, attempts: 0, reason, at: t(200), resend: 0 })]
    };
    for reason in [FailureReason::Skipped, FailureReason::Anonymised, FailureReason::DestinationDeleted] {
        assert_eq!(steps(&abandoned(reason)), [Step::default()]);
    }
    for reason in [FailureReason::PayloadGone, FailureReason::Crashed] {
        let entered = Some(Cause::Reason(reason));
        assert_eq!(steps(&abandoned(reason)), [Step { entered, ..Step::default() }]);
    }
}

#[test]
fn each_cause_has_a_word_and_advice() {
    let kinds = ErrorKind::ALL.map(Cause::Error);
    let reasons = [FailureReason::PayloadGone, FailureReason::Crashed].map(Cause::Reason);
    for cause in kinds.into_iter().chain(reasons).chain([Cause::Status(404), Cause::Status(599)]) {
        assert_eq!(Cause::parse(&format!("{cause}")), Some(cause));
        assert!(!cause.suggested_action().is_empty());
    }
    for rubbish in ["", "20", "1000", "-404", "Timeout"] {
        assert_eq!(Cause::parse(rubbish), None, "{rubbish}");
    }
}

#[test]
fn problem_closes_with_its_last_delivery() {
    let id = |n: u128| DeliveryId::from_uuid(Uuid::from_u128(n));
    let mut problem = Problem::default();
    problem.enter(id(1), t(10));
    problem.enter(id(2), t(20));
    problem.repeat(id(1), t(30));
    assert_eq!((problem.deliveries, problem.first_at, problem.last_at), (2, t(10), t(30)));
    assert_eq!(problem.example, Some(id(1)));
    assert_eq!(problem.state(None, None), ProblemState::Open);
    assert_eq!(problem.state(Some(t(29)), Some(t(10))), ProblemState::Acknowledged);
    assert_eq!(problem.state(Some(t(31)), Some(t(10))), ProblemState::Recovering);
    problem.leave(t(40));
    assert_eq!(problem.closed_at, None);
    problem.leave(t(50));
    assert_eq!((problem.closed_at, problem.state(None, None)), (Some(t(50)), ProblemState::Closed));
    problem.enter(id(3), t(60));
    assert_eq!((problem.deliveries, problem.first_at, problem.closed_at), (1, t(60), None));
    assert_eq!(
        problem.state(None, Some(t(10))),
        ProblemState::Open,
        "the acknowledgement belongs to the earlier problem"
    );
}

#[test]
fn destination_is_failing_without_successes_or_after_three_failures() {
    let (mut streak, mut counts) = (Streak::default(), Counts::default());
    assert_eq!(streak.state(&counts), HealthState::Idle);
    let mut learn = |outcome: AttemptOutcome, at| {
        counts.add_attempt(&outcome, Duration::from_millis(7));
        streak.learn(outcome.is_success(), t(at));
        streak.state(&counts)
    };
    assert_eq!(learn(status(500), 1), HealthState::Failing);
    assert_eq!(learn(status(200), 2), HealthState::Healthy);
    assert_eq!(learn(status(500), 3), HealthState::Healthy);
    assert_eq!(learn(timeout(), 4), HealthState::Healthy);
    assert_eq!(learn(timeout(), 5), HealthState::Failing);
    assert_eq!((streak.failures_in_a_row, streak.last_success_at), (3, Some(t(2))));
    // No attempt in the following hour.
    assert_eq!(streak.state(&Counts::default()), HealthState::Failing);
}

#[test]
fn attempts_are_counted_by_the_class_of_their_answer() {
    let mut counts = Counts::default();
    for outcome in [status(200), status(299), status(302), status(404), status(500), status(600), timeout()] {
        counts.add_attempt(&outcome, Duration::from_millis(7));
    }
    assert_eq!((counts.attempts, counts.failed_attempts, counts.answers.0), (7, 5, [2, 1, 1, 1, 1]));
    let mut twice = counts;
    twice.add_all(&counts);
    assert_eq!(twice.answers.0, [4, 2, 2, 2, 2]);
}

proptest! {
    #[test]
    fn percentile_falls_into_the_bucket_of_its_attempt(
        mut millis in prop::collection::vec(0_u64..70_000, 1..200),
        percent in 1_u64..=100,
    ) {
        let mut latencies = Latencies::default();
        millis.iter().for_each(|millis| latencies.add(Duration::from_millis(*millis)));
        millis.sort_unstable();
        let place = (millis.len() * usize::try_from(percent).unwrap()).div_ceil(100).max(1);
        let exact = millis[place - 1];
        let shown = latencies.percentile(percent).unwrap();
        let mut of_exact = Latencies::default();
        of_exact.add(Duration::from_millis(exact));
        // The end of a bucket counts as part of it, because the percentile of its last attempt is there.
        let mut of_shown = Latencies::default();
        of_shown.add(shown.saturating_sub(Duration::from_micros(1)));
        prop_assert_eq!(of_shown, of_exact, "{:?} for {} ms", shown, exact);
    }
}
