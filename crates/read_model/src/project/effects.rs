//! The effects of facts about deliveries on problems, counts and the health of destinations. Each fact is applied
//! alone, so the result does not depend on the division into batches.

use std::{collections::BTreeMap, sync::Arc};

use domain::{
    Delivery, DeliveryFact, DeliveryStatus, DestinationId,
    delivery::DeliveryAttempted,
    health::Counts,
    problem::{Cause, Step},
};
use sqlx::{Any, Transaction};

use crate::{
    error::StoreError,
    tables::{
        counts::{self, CountNews},
        health::{self, HealthNews, OPEN},
        problems::{self, StepOf},
    },
};

/// The state of a delivery before a fact.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    status: DeliveryStatus,
    attempts: u32,
    cause: Option<Cause>,
}

impl Known {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        Self { status: delivery.status, attempts: delivery.attempts, cause: Cause::of(delivery) }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Effects {
    steps: Vec<StepOf>,
    counts: CountNews,
    health: BTreeMap<DestinationId, HealthNews>,
}

impl Effects {
    pub(crate) fn learn(&mut self, before: Option<Known>, after: &Delivery, fact: &DeliveryFact) {
        let (reference, at) = (&after.reference, fact.at());
        // An attempt counts once, although its fact may be repeated, and an `AttemptBlanked` follows if it is erased.
        let is_new = after.attempts > before.map_or(0, |before| before.attempts);
        let made = attempted(fact).or(blanked(fact)).filter(|_| is_new);
        let cause = before.and_then(|before| before.cause);
        let step = Step::between(cause, Cause::of(after), made.is_some());
        if step != Step::default() {
            self.steps.push(StepOf { reference: Arc::clone(reference), at, step });
        }
        let mut counts = Counts::default();
        counts.add_end(before.map(|before| before.status), after.status);
        let fresh = || HealthNews { account: reference.account.clone(), open: [0; OPEN.len()], attempts: vec![] };
        let health = self.health.entry(reference.destination.clone()).or_insert_with(fresh);
        for (status, change) in OPEN.iter().zip(&mut health.open) {
            *change += i64::from(after.status == *status);
            *change -= i64::from(before.is_some_and(|before| before.status == *status));
        }
        if let Some(made) = made {
            counts.add_attempt(&made.outcome, made.duration);
            health.attempts.push((made.outcome.is_success(), at));
        }
        if counts != Counts::default() {
            self.counts.add(&reference.account, &reference.destination, at, &counts);
        }
    }

    /// Writes the changes.
    pub(crate) async fn save(self, transaction: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        problems::apply(transaction, &self.steps).await?;
        counts::apply(transaction, &self.counts).await?;
        health::apply(transaction, self.health).await
    }
}

pub(super) fn attempted(fact: &DeliveryFact) -> Option<&DeliveryAttempted> {
    match fact {
        DeliveryFact::Attempted(attempted) => Some(attempted),
        _ => None,
    }
}

pub(super) fn blanked(fact: &DeliveryFact) -> Option<&DeliveryAttempted> {
    match fact {
        DeliveryFact::AttemptBlanked(blank) => Some(blank),
        _ => None,
    }
}
