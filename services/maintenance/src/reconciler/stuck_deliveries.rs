//! Stuck deliveries: open deliveries whose pending work is lost.

use std::collections::HashMap;

use domain::{
    Delivery, DeliveryFact, DeliveryId, DeliveryStatus, Work,
    delivery::{DeliveryFilter, PendingState, Position, lost_work, may_be_lost},
};
use jiff::Timestamp;
use journal::StreamName;
use runtime::{publishing, trace::TraceContext};
use tracing::Instrument as _;

use super::context::{Context, ReconcilerError};

/// The statuses of open deliveries.
const OPEN: [DeliveryStatus; 4] =
    [DeliveryStatus::Pending, DeliveryStatus::Processing, DeliveryStatus::Retrying, DeliveryStatus::Held];

/// At most this many deliveries are suspected in one round; a later round checks the others.
const MAX_SUSPECTS: usize = 10_000;

/// The check of open deliveries in rounds: one status after the other, the oldest delivery first. The work of a
/// delivery is lost if two rounds find it nowhere and no fact was stored in between.
#[derive(Debug, Default)]
pub(super) struct StuckDeliveries {
    status: usize,
    after: Option<(Timestamp, DeliveryId)>,
    /// When the next round begins.
    not_before: Timestamp,
    /// Deliveries without work in this round.
    suspects: HashMap<DeliveryId, Position>,
    /// Deliveries without work in the previous round.
    suspected: HashMap<DeliveryId, Position>,
}

impl StuckDeliveries {
    /// Checks at most `max` open deliveries; returns how many it checked.
    pub(super) async fn check(&mut self, context: &Context, max: usize) -> Result<usize, ReconcilerError> {
        let now = Timestamp::now();
        if now < self.not_before {
            return Ok(0);
        }
        let filter = DeliveryFilter::default();
        let open = context.store.oldest_deliveries(&filter, OPEN[self.status], self.after, max).await?;
        for delivery in &open {
            if may_be_lost(delivery, now, context.options.reconcile_after) {
                self.look_for(delivery, context).await?;
            }
            self.after = Some(delivery.place());
        }
        if open.len() < max {
            self.after = None;
            self.status = (self.status + 1) % OPEN.len();
            if self.status == 0 {
                self.suspected = std::mem::take(&mut self.suspects);
                self.not_before = now.checked_add(context.options.reconcile_after).unwrap_or(Timestamp::MAX);
            }
        }
        Ok(open.len())
    }

    async fn look_for(&mut self, delivery: &Delivery, context: &Context) -> Result<(), ReconcilerError> {
        let Some(work) = context.lost(delivery).await? else { return Ok(()) };
        let id = delivery.reference.delivery;
        if self.suspected.get(&id) == Some(&delivery.position) {
            return context.repair(delivery, &work).await;
        }
        if self.suspects.len() < MAX_SUSPECTS {
            self.suspects.insert(id, delivery.position);
        }
        Ok(())
    }
}

impl Context {
    async fn repair(&self, delivery: &Delivery, work: &Work) -> Result<(), ReconcilerError> {
        // A search can miss work that moves from one place to another. So the delivery is read again, with all stored
        // facts, and its work is looked for again.
        self.read_barrier.wait_for_now(StreamName::Deliveries).await?;
        let id = delivery.reference.delivery;
        if self.store.delivery(id).await?.as_ref() != Some(delivery) || self.lost(delivery).await?.is_none() {
            return Ok(());
        }
        let (span, trace) = TraceContext::enter(None, || publishing!(StreamName::Timers, leadline.delivery.id = %id));
        self.journal.timers().schedule(work, Timestamp::now(), &trace).instrument(span).await?;
        self.repairs.count_stuck();
        trace.within(|| {
            tracing::error!(
                delivery = %id, destination = %delivery.reference.destination, status = delivery.status.as_str(),
                attempts = delivery.attempts, updated_at = %delivery.updated_at,
                "restored the lost work of stuck delivery"
            );
        });
        Ok(())
    }

    /// The lost work of a delivery; `None` if its work is not lost.
    async fn lost(&self, delivery: &Delivery) -> Result<Option<Work>, ReconcilerError> {
        let (journal, reference) = (&self.journal, &delivery.reference);
        let parked = journal.parking().has(&reference.destination).await?;
        if parked {
            return Ok(None);
        }
        let pending = PendingState {
            handled_before: journal.pending_work().handled_before().await?,
            timer: journal.timers().is_set(reference, delivery.round).await?,
            turn: journal
                .ordered()
                .first(&reference.destination, &reference.lead)
                .await?
                .map(|first| id_of(&first.requested)),
            // Parked messages are read once more at the end, because work moves from a timer to PARKED.
            parked: journal.parking().has(&reference.destination).await?,
        };
        Ok(lost_work(delivery, pending))
    }
}

fn id_of(fact: &DeliveryFact) -> DeliveryId {
    fact.reference().delivery
}
