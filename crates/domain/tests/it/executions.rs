//! Histories in which several processes make the same attempt at once, and facts show that long attempts started.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use domain::{
    Delivery, DeliveryFact, DeliveryStatus, NoticeId, RetryPolicy, Work,
    delivery::{
        AttemptStarted, Effect, Execution, FailureReason, HoldReason, NextStep, RetryContext, after_attempt, hold,
        request_retry,
    },
    notice::failure_in,
    policy::QuickRetries,
};
use proptest::{prelude::*, sample::select};

use crate::common::{abandoned, execution, requested, retry_by, status, t, work};

/// One execution of the due attempt.
#[derive(Debug, Clone, Copy)]
struct Sender {
    status: u16,
    /// Seconds from the receipt of the work to the start.
    late_by: i64,
    seconds: u64,
    /// Whether a fact shows its start.
    announced: bool,
}

/// The next event of a history.
#[derive(Debug, Clone)]
enum Step {
    /// Each of these senders executes the attempt.
    Attempt(Vec<Sender>),
    /// The work is held.
    Hold,
    /// The work is abandoned.
    Abandon(FailureReason),
    /// A person asks for a retry.
    Retry,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let codes = vec![200_u16, 404, 500, 500, 503];
    let sender = (select(codes), 0..4_i64, 0..4_u64, any::<bool>())
        .prop_map(|(status, late_by, seconds, announced)| Sender { status, late_by, seconds, announced });
    let step = prop_oneof![
        6 => prop::collection::vec(sender, 1..4).prop_map(Step::Attempt),
        2 => Just(Step::Hold),
        1 => select(FailureReason::ALL.to_vec()).prop_map(Step::Abandon),
        3 => Just(Step::Retry),
    ];
    prop::collection::vec(step, 0..20)
}

/// 503 is retried sooner than other statuses, so that two executions that end at once may disagree about the next
/// attempt.
fn policy() -> RetryPolicy {
    RetryPolicy {
        quick: QuickRetries { count: 2, pause: Duration::from_secs(1), statuses: vec![503], kinds: vec![] },
        schedule: vec![Duration::from_secs(5); 2],
        max_age: Some(Duration::from_secs(200)),
        ..RetryPolicy::manual()
    }
}

/// A delivery with its facts, and its pending work, of which there is at most one item.
struct Life {
    facts: Vec<DeliveryFact>,
    work: Option<Work>,
    now: i64,
    executions: u128,
}

impl Life {
    fn live(steps: &[Step]) -> Self {
        let mut life = Self { facts: vec![requested()], work: Some(work()), now: 100, executions: 0 };
        for step in steps {
            life.now += 20;
            life.step(step);
        }
        life
    }

    fn step(&mut self, step: &Step) {
        if matches!(step, Step::Retry) {
            if let Ok(fact) = request_retry(&fold(&self.facts), RetryContext::default(), t(self.now), retry_by("me")) {
                self.work = Work::requested_by(&fact);
                self.facts.push(fact);
            }
            return;
        }
        let Some(work) = self.work.take() else { return };
        match step {
            Step::Attempt(senders) => {
                for (turn, sender) in senders.iter().enumerate() {
                    self.execute(&work, *sender, turn > 0);
                }
            }
            Step::Hold => {
                let (fact, held) = hold(&work, HoldReason::Deactivated, t(self.now));
                self.facts.push(fact);
                self.work = Some(held);
            }
            Step::Abandon(reason) => self.facts.push(abandoned(&work, *reason, t(self.now))),
            Step::Retry => {}
        }
    }

    fn execute(&mut self, work: &Work, sender: Sender, redelivered: bool) {
        self.executions += 1;
        let started_at = t(self.now + sender.late_by);
        let made = Execution {
            duration: Duration::from_secs(sender.seconds),
            ..execution(self.executions, started_at, status(sender.status))
        };
        if sender.announced {
            self.facts.push(DeliveryFact::AttemptStarted(AttemptStarted {
                reference: Arc::clone(&work.reference),
                attempt_id: made.attempt_id,
                attempt: work.attempt,
                round: work.round,
                resend: work.resend,
                holds: work.holds,
                at: started_at,
            }));
        }
        let received = Work { redelivered, ..work.clone() };
        for effect in after_attempt(&received, &policy(), made) {
            // Effects on the destination are not part of the history of the delivery.
            if let Effect::SetTimer { work, .. } = effect {
                self.work = Some(work);
            } else if let Effect::CancelTimer { .. } = effect {
                self.work = None;
            } else if let Effect::Append(fact) = effect {
                self.facts.push(fact);
            }
        }
    }
}

fn fold<'a>(facts: impl IntoIterator<Item = &'a DeliveryFact>) -> Delivery {
    facts.into_iter().fold(None, |state, fact| Some(Delivery::evolve(state, fact).unwrap())).unwrap()
}

/// A history, and an order in which its facts may arrive: each at least once, some repeated.
fn life_and_order() -> impl Strategy<Value = (Vec<DeliveryFact>, Vec<DeliveryFact>)> {
    let with_repeats = |facts: Vec<DeliveryFact>| {
        let repeats = prop::collection::vec(select(facts.clone()), 0..20);
        let order = repeats.prop_map({
            let facts = facts.clone();
            move |repeats| facts.iter().cloned().chain(repeats).collect::<Vec<_>>()
        });
        (Just(facts), order.prop_shuffle())
    };
    steps().prop_map(|steps| Life::live(&steps).facts).prop_flat_map(with_repeats)
}

proptest! {
    #[test]
    fn facts_in_any_order_with_repeats_give_one_state((facts, order) in life_and_order()) {
        prop_assert_eq!(fold(&order), fold(&facts));
    }

    #[test]
    fn missing_request_fact_does_not_change_the_state((facts, order) in life_and_order()) {
        prop_assume!(facts.len() > 1);
        prop_assert_eq!(fold(&facts[1..]), fold(&order));
    }

    #[test]
    fn repeated_executions_count_as_one_attempt((facts, order) in life_and_order()) {
        let numbers: BTreeSet<u32> = facts
            .iter()
            .filter_map(|fact| match fact {
                DeliveryFact::Attempted(f) => Some(f.attempt),
                _ => None,
            })
            .collect();
        let made = u32::try_from(numbers.len()).unwrap();
        prop_assert!(numbers.iter().copied().eq(1..=made), "no number is left out: {numbers:?}");
        prop_assert_eq!(fold(&order).attempts, made);
    }

    #[test]
    fn any_success_ends_the_delivery((facts, _) in life_and_order()) {
        let succeeds = |fact: &DeliveryFact| {
            matches!(fact, DeliveryFact::Attempted(f) if f.next_step == NextStep::Succeeded)
        };
        let delivery = fold(&facts);
        prop_assert_eq!(delivery.status == DeliveryStatus::Succeeded, facts.iter().any(succeeds));
        let shown = delivery.last.is_some_and(|last| last.outcome.is_success());
        prop_assert_eq!(shown, delivery.status == DeliveryStatus::Succeeded);
    }

    #[test]
    fn failure_and_next_attempt_match_the_status((facts, _) in life_and_order()) {
        let delivery = fold(&facts);
        prop_assert_eq!(delivery.failure.is_some(), delivery.status == DeliveryStatus::Failed);
        prop_assert_eq!(delivery.next_attempt_at.is_some(), delivery.status == DeliveryStatus::Retrying);
        prop_assert_eq!(delivery.requested_at, Some(t(100)));
    }

    #[test]
    fn announcement_ends_with_its_attempt((facts, _) in life_and_order()) {
        prop_assert!(fold(&facts).status != DeliveryStatus::Processing);
    }

    #[test]
    fn fact_ids_are_computed_and_failed_rounds_have_one_notice(steps in steps()) {
        let (life, again) = (Life::live(&steps), Life::live(&steps));
        let delivery = life.facts[0].reference().delivery;
        prop_assert!(life.facts.iter().all(|fact| fact.reference().delivery == delivery));
        let ids = |life: &Life| life.facts.iter().map(DeliveryFact::message_id).collect::<Vec<_>>();
        prop_assert_eq!(ids(&life), ids(&again));
        prop_assert_eq!(ids(&life).into_iter().collect::<BTreeSet<_>>().len(), life.facts.len());

        let notices: BTreeSet<NoticeId> = life.facts.iter().filter_map(|f| Some(failure_in(f)?.0)).collect();
        let rounds: BTreeSet<NoticeId> =
            (0..=fold(&life.facts).round).map(|round| NoticeId::of_failure(delivery, round)).collect();
        prop_assert!(notices.is_subset(&rounds), "{notices:?} {rounds:?}");
    }
}

/// The fact of an execution of the attempt.
fn made(id: u128, start: i64, seconds: u64, code: u16) -> DeliveryFact {
    let made = Execution { duration: Duration::from_secs(seconds), ..execution(id, t(start), status(code)) };
    match after_attempt(&work(), &policy(), made).pop() {
        Some(Effect::Append(fact)) => fact,
        other => panic!("{other:?}"),
    }
}

#[test]
fn last_ended_of_two_failed_executions_is_shown() {
    let (long, short) = (made(1, 100, 10, 500), made(2, 102, 1, 500));
    for facts in [[&long, &short], [&short, &long]] {
        let delivery = fold(facts);
        assert_eq!((delivery.next_attempt_at, delivery.updated_at), (Some(t(115)), t(110)));
    }
}

#[test]
fn executions_that_end_together_give_one_state_in_any_order() {
    let (one, other) = (made(1, 100, 1, 503), made(2, 100, 1, 500));
    let shown = [fold([&one, &other]), fold([&other, &one])];
    assert_ne!(fold([&one]).next_attempt_at, fold([&other]).next_attempt_at);
    assert_eq!(shown[0], shown[1]);
}
