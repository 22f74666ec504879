//! Properties of whole histories of deliveries, as dispatcher, broker and people may cause them.

use std::time::Duration;

use domain::{
    Delivery, DeliveryFact, DeliveryStatus, RetryPolicy, Work,
    delivery::{Effect, FailureReason, HoldReason, RetryContext, RetryRequest, after_attempt, hold, request_retry},
};
use proptest::prelude::*;

use crate::common::{abandoned, execution, requested, status, t, work};

/// The next event of a history.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The attempt gets this answer. A second execution with its own answer may follow, because the first process died.
    Attempt { status: u16, doubled_with: Option<u16> },
    /// The destination is disabled.
    Hold,
    /// The destination is deleted.
    Abandon,
    /// A person requests a retry, or another round with `force`.
    Retry { force: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let code = prop::sample::select(vec![200_u16, 500, 503, 404]);
    let step = prop_oneof![
        6 => (code.clone(), prop::option::weighted(0.2, code))
            .prop_map(|(status, doubled_with)| Step::Attempt { status, doubled_with }),
        2 => Just(Step::Hold),
        1 => Just(Step::Abandon),
        3 => any::<bool>().prop_map(|force| Step::Retry { force }),
    ];
    prop::collection::vec(step, 0..25)
}

/// A delivery with its facts and its pending work. `work` is `None` if the delivery has ended.
struct Life {
    facts: Vec<DeliveryFact>,
    work: Option<Work>,
    now: i64,
    executions: u128,
    made: u32,
}

impl Life {
    fn live(steps: &[Step]) -> Self {
        let mut life = Self { facts: vec![requested()], work: Some(work()), now: 100, executions: 0, made: 0 };
        for step in steps {
            life.now += 10;
            life.step(*step);
        }
        life
    }

    fn step(&mut self, step: Step) {
        match (step, self.work.take()) {
            (Step::Attempt { status, doubled_with }, Some(work)) => {
                self.made += 1;
                self.work = self.attempt(&work, status);
                if let Some(status) = doubled_with {
                    // The last execution decides: its timer replaces the other one.
                    self.work = self.attempt(&work, status);
                }
            }
            (Step::Hold, Some(work)) => {
                let (fact, held) = hold(&work, HoldReason::Disabled, t(self.now));
                self.facts.push(fact);
                self.work = Some(held);
            }
            (Step::Abandon, Some(work)) => {
                self.facts.push(abandoned(&work, FailureReason::DestinationDeleted, t(self.now)));
            }
            (Step::Retry { force }, before) => {
                self.work = before;
                let retry_request = RetryRequest { by: "test".into(), force, ..RetryRequest::default() };
                let retry = request_retry(&self.state(), RetryContext::default(), t(self.now), retry_request);
                if let Ok(fact) = retry {
                    self.work = Work::requested_by(&fact);
                    self.facts.push(fact);
                }
            }
            (_, None) => {}
        }
    }

    fn attempt(&mut self, work: &Work, code: u16) -> Option<Work> {
        self.executions += 1;
        self.now += 1;
        let policy =
            RetryPolicy { schedule: vec![Duration::from_secs(5); 3], jitter_percent: 0, ..RetryPolicy::manual() };
        let mut next = None;
        for effect in after_attempt(work, &policy, execution(self.executions, t(self.now), status(code))) {
            match effect {
                Effect::SetTimer { work, .. } => next = Some(work),
                Effect::CancelTimer { .. } => next = None,
                Effect::Append(fact) => self.facts.push(fact),
                Effect::Deactivate { .. } | Effect::PassTurn { .. } => {}
            }
        }
        next
    }

    fn state(&self) -> Delivery {
        fold(&self.facts)
    }
}

fn fold(facts: &[DeliveryFact]) -> Delivery {
    facts.iter().fold(None, |state, fact| Some(Delivery::evolve(state, fact).unwrap())).unwrap()
}

proptest! {
    #[test]
    fn facts_in_any_order_and_number_give_the_same_state(
        steps in steps(),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        shuffle in any::<u64>(),
    ) {
        let life = Life::live(&steps);
        let mut facts = life.facts.clone();
        facts.extend(order.iter().map(|index| index.get(&life.facts).clone()));
        // A shuffle by a computed key: the same seed gives the same order.
        let mut keyed: Vec<_> = facts.into_iter().enumerate().collect();
        keyed.sort_by_key(|(index, _)| (*index as u64 + 1).wrapping_mul(shuffle | 1).rotate_left(17));
        let shuffled: Vec<_> = keyed.into_iter().map(|(_, fact)| fact).collect();
        prop_assert_eq!(fold(&shuffled), fold(&life.facts));
    }

    #[test]
    fn every_unfinished_delivery_has_work(steps in steps()) {
        let life = Life::live(&steps);
        let state = life.state();
        let finished = matches!(state.status, DeliveryStatus::Succeeded | DeliveryStatus::Failed);
        let has_work = life.work.is_some();
        prop_assert!(finished || has_work, "{:?}, but without work", state.status);
        if state.status == DeliveryStatus::Held {
            prop_assert!(life.work.unwrap().holds > 0);
        }
    }

    #[test]
    fn attempt_that_was_made_twice_counts_once(steps in steps()) {
        let life = Life::live(&steps);
        prop_assert!(life.state().attempts <= life.made);
        if steps.iter().all(|step| !matches!(step, Step::Attempt { doubled_with: Some(_), .. })) {
            prop_assert_eq!(life.state().attempts, life.made);
        }
    }

    #[test]
    fn fact_ids_are_unique_and_reproducible(steps in steps()) {
        let ids = |life: &Life| life.facts.iter().map(DeliveryFact::message_id).collect::<Vec<_>>();
        let life = Life::live(&steps);
        prop_assert_eq!(ids(&life), ids(&Life::live(&steps)));
        let mut unique = ids(&life);
        unique.sort();
        unique.dedup();
        prop_assert_eq!(unique.len(), life.facts.len());
    }
}
