//! Whether an unfinished delivery continues by itself. The pending work of a delivery waits in the broker: as the event
//! or a fact that asks for an attempt, as a timer, parked, or in an ordered queue. If it is in none of these places, it
//! is lost.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    state::{Delivery, DeliveryStatus},
    tracing::WorkTrace,
    work::Work,
};
use crate::{ids::DeliveryId, policy::RetryProgress};

/// The maximum difference between the clocks of two machines.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(2);

/// The places where the broker may hold the pending work of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingState {
    /// All events and facts that asked for an attempt before this time have been acknowledged.
    pub handled_before: Timestamp,
    /// Whether a timer is pending, or has fired and is not acknowledged.
    pub timer: bool,
    /// Whether the destination has parked deliveries.
    pub parked: bool,
    /// The delivery at the head of the ordered queue; `None` if there is no such queue.
    pub turn: Option<DeliveryId>,
}

/// Whether a delivery should have continued more than `after` ago, so that its pending work has to be looked up.
pub fn may_be_lost(delivery: &Delivery, now: Timestamp, after: Duration) -> bool {
    let due = delivery.next_attempt_at.map_or(delivery.updated_at, |next| next.max(delivery.updated_at));
    is_open(delivery.status) && due.checked_add(after).is_ok_and(|late| late < now)
}

/// The lost work of a delivery; `None` if the delivery has ended or its work is pending. The progress of the retry
/// policy is lost with the work, so the policy starts again.
pub fn lost_work(delivery: &Delivery, pending: PendingState) -> Option<Work> {
    let id = delivery.reference.delivery;
    let in_work = delivery.updated_at.checked_add(MAX_CLOCK_SKEW).map_or(true, |by| by >= pending.handled_before);
    let waits_for_another = pending.turn.is_some_and(|turn| turn != id);
    if !is_open(delivery.status) || in_work || pending.timer || pending.parked || waits_for_another {
        return None;
    }
    let first_round = delivery.requested_at.filter(|_| delivery.round == 0);
    Some(Work {
        reference: Arc::clone(&delivery.reference),
        attempt: delivery.attempts + 1,
        round: delivery.round,
        resend: delivery.position.resend,
        progress: RetryProgress::default(),
        holds: delivery.position.hold,
        redelivered: true,
        requested_at: first_round.unwrap_or(delivery.updated_at),
        first_failed_at: None,
        in_turn: pending.turn == Some(id),
        trace: WorkTrace { starts: delivery.round > 0, previous: None },
    })
}

const fn is_open(status: DeliveryStatus) -> bool {
    !matches!(status, DeliveryStatus::Succeeded | DeliveryStatus::Failed)
}
