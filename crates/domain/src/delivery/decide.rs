//! The decisions about deliveries. Effects are values, which the dispatcher performs in the given order.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    deactivation::deactivation,
    execution::{Execution, next_step},
    facts::{
        DeliveryAbandoned, DeliveryAttempted, DeliveryFact, DeliveryHeld, DeliveryRef, DeliveryReleased,
        DeliveryRequested, FailureReason, HoldReason, NextStep, RequestedWork, RetryRequested,
    },
    state::{Delivery, DeliveryStatus, Switch},
    tracing::{SpanRef, WorkTrace},
    work::Work,
};
use crate::{
    ids::{AccountId, DeliveryId, DestinationId, LeadSequence, RequestId},
    lead::LeadEvent,
    policy::RetryPolicy,
    registry::Deactivation,
};

/// An action of the dispatcher. Effects are performed in the given order, and each is safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Set a timer that starts this work at this time.
    SetTimer {
        work: Work,
        /// When the timer fires.
        at: Timestamp,
    },
    /// Remove the timer of the delivery, if there is one.
    CancelTimer { destination: DestinationId, delivery: DeliveryId, round: u32 },
    /// Deactivate the destination, unless it is off already.
    Deactivate { account: AccountId, destination: DestinationId, why: Deactivation },
    /// Store a fact on DELIVERIES.
    Append(DeliveryFact),
    /// Release the next delivery of the ordered queue, because this one has ended.
    PassTurn {
        /// The delivery that has ended.
        ended: Arc<DeliveryRef>,
        /// Whether this effect may have been performed before, even long ago.
        again: bool,
    },
}

/// Requests the delivery of a lead event to a destination.
pub fn request(event: &LeadEvent, sequence: LeadSequence, destination: &DestinationId, at: Timestamp) -> DeliveryFact {
    let reference = DeliveryRef {
        delivery: DeliveryId::of(&event.account, &event.event_id, destination),
        account: event.account.clone(),
        interface: event.interface.clone(),
        client: event.client.clone(),
        destination: destination.clone(),
        event_id: event.event_id.clone(),
        event_type: event.event_type.clone(),
        lead: event.lead.clone(),
        lead_sequence: sequence,
        requested_at: Some(at),
    };
    let work = RequestedWork::Here { again: false };
    DeliveryFact::Requested(DeliveryRequested { reference: Arc::new(reference), at, work, job: None })
}

/// Requests a delivery that starts when the deliveries of the lead's earlier events have ended.
pub fn request_in_turn(
    event: &LeadEvent,
    sequence: LeadSequence,
    destination: &DestinationId,
    at: Timestamp,
) -> DeliveryFact {
    request(event, sequence, destination, at).with_work(RequestedWork::InTurn)
}

/// Requests a delivery whose work was parked before any fact about the delivery was stored.
pub fn request_parked(work: &Work) -> DeliveryFact {
    let (reference, at) = (Arc::clone(&work.reference), work.requested_at);
    DeliveryFact::Requested(DeliveryRequested { reference, at, work: RequestedWork::Parked, job: None })
}

/// Releases a delivery that waits in an ordered queue. `turn` is its place in the queue. `None` if the delivery does
/// not wait in a queue.
pub fn release(requested: &DeliveryFact, turn: u64, at: Timestamp) -> Option<DeliveryFact> {
    let DeliveryFact::Requested(f) = requested else { return None };
    let reference = Arc::clone(&f.reference);
    let released = DeliveryReleased { reference, requested_at: f.at, at, turn };
    (f.work == RequestedWork::InTurn).then_some(DeliveryFact::Released(released))
}

/// The effects of an attempt: first the timer, then the fact, so that a crash between the two repeats an attempt
/// instead of losing one. A test delivery has one attempt, whose failure deactivates nothing.
pub fn after_attempt(work: &Work, policy: &RetryPolicy, execution: Execution) -> Vec<Effect> {
    let reference = &work.reference;
    let ended_at = execution.ended_at();
    let mut effects = Vec::with_capacity(2);
    let (next_step, progress) = next_step(work, policy, &execution);
    if let NextStep::RetryAt(at) = next_step {
        let next = Work {
            reference: Arc::clone(reference),
            attempt: work.attempt + 1,
            round: work.round,
            resend: work.resend,
            progress,
            holds: 0,
            redelivered: false,
            requested_at: work.requested_at,
            first_failed_at: work.first_failed_at.or(Some(ended_at)),
            in_turn: work.in_turn,
            trace: WorkTrace { starts: false, previous: execution.trace },
        };
        effects.push(Effect::SetTimer { work: next, at });
    }
    let why = deactivation(work, policy, &execution, next_step);
    let deactivated = why.as_ref().map(|why| why.cause);
    if let Some(why) = why {
        let (account, destination) = (reference.account.clone(), reference.destination.clone());
        effects.push(Effect::Deactivate { account, destination, why });
    }
    if work.redelivered && !matches!(next_step, NextStep::RetryAt(_)) {
        let destination = reference.destination.clone();
        effects.push(Effect::CancelTimer { destination, delivery: reference.delivery, round: work.round });
    }
    effects.push(Effect::Append(DeliveryFact::Attempted(DeliveryAttempted {
        reference: Arc::clone(reference),
        attempt_id: execution.attempt_id,
        attempt: work.attempt,
        round: work.round,
        resend: work.resend,
        started_at: execution.started_at,
        duration: execution.duration,
        request: execution.request,
        outcome: execution.outcome,
        next_step,
        deactivated,
        exchange: execution.exchange,
        trace: execution.trace,
    })));
    if !matches!(next_step, NextStep::RetryAt(_)) {
        effects.extend(release_next(work));
    }
    effects
}

/// The effect that releases the next delivery of the ordered queue; `None` if no delivery can wait for this one.
pub fn release_next(work: &Work) -> Option<Effect> {
    work.in_turn.then(|| Effect::PassTurn { ended: Arc::clone(&work.reference), again: work.redelivered })
}

/// Holds the work until its destination is enabled again. Returns the fact to append and the work to park.
pub fn hold(work: &Work, reason: HoldReason, at: Timestamp) -> (DeliveryFact, Work) {
    let held = Work { holds: work.holds.saturating_add(1), ..work.clone() };
    let fact = DeliveryFact::Held(DeliveryHeld {
        reference: Arc::clone(&work.reference),
        attempts: work.attempt - 1,
        round: work.round,
        resend: work.resend,
        hold: held.holds,
        at,
        reason,
    });
    (fact, held)
}

/// Ends work that cannot be done any more.
pub fn abandon(work: &Work, reason: FailureReason, at: Timestamp) -> Vec<Effect> {
    let fact = DeliveryFact::Abandoned(DeliveryAbandoned {
        reference: Arc::clone(&work.reference),
        attempts: work.attempt - 1,
        round: work.round,
        resend: work.resend,
        at,
        reason,
    });
    [Effect::Append(fact)].into_iter().chain(release_next(work)).collect()
}

/// The configuration and the state of the lead that decide whether a delivery can be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryContext {
    /// Whether the interface that the lead came from was deleted.
    pub interface_deleted: bool,
    pub destination_deleted: bool,
    pub lead_anonymised: bool,
    /// Whether LEADS no longer contains the payload.
    pub payload_gone: bool,
    /// Whether the destination accepts deliveries. If not, a retry is accepted and waits.
    pub switch: Switch,
}

impl RetryContext {
    /// Whether the delivery can be sent at all.
    ///
    /// # Errors
    /// The reason why it cannot be sent.
    pub const fn check(self) -> Result<(), RetryRefusal> {
        match self {
            Self { lead_anonymised: true, .. } => Err(RetryRefusal::LeadAnonymised),
            Self { interface_deleted: true, .. } => Err(RetryRefusal::InterfaceDeleted),
            Self { destination_deleted: true, .. } => Err(RetryRefusal::DestinationDeleted),
            Self { payload_gone: true, .. } => Err(RetryRefusal::PayloadGone),
            Self { .. } => Ok(()),
        }
    }
}

/// Why a retry is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum RetryRefusal {
    /// Only a failed delivery can be retried, or one that succeeded if the caller forces it.
    #[error("the status of the delivery is {}, not failed; {}", .0.as_str(), match .0 {
        DeliveryStatus::Succeeded => "set force (--force) to send it again",
        DeliveryStatus::Held => "it continues when its destination is enabled; send it again when it has ended",
        _ => "it continues by itself; send it again when it has ended",
    })]
    NotFailed(DeliveryStatus),
    #[error("the lead was anonymised, so there is no payload left to send")]
    LeadAnonymised,
    #[error("the interface that the lead came from was deleted")]
    InterfaceDeleted,
    #[error("the destination was deleted")]
    DestinationDeleted,
    /// LEADS no longer contains the payload.
    #[error("the payload is no longer stored")]
    PayloadGone,
    #[error("the account has no such delivery")]
    Unknown,
}

impl RetryRefusal {
    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFailed(_) => "not_failed",
            Self::LeadAnonymised => "lead_anonymised",
            Self::InterfaceDeleted => "interface_deleted",
            Self::DestinationDeleted => "destination_deleted",
            Self::PayloadGone => "payload_gone",
            Self::Unknown => "unknown",
        }
    }

    /// The status of the delivery, if the reason is that it is not `failed`.
    pub const fn status(self) -> Option<DeliveryStatus> {
        match self {
            Self::NotFailed(status) => Some(status),
            _ => None,
        }
    }

    /// The refusal that a stored word names; `None` if it names none. The word `not_failed` also needs the `status`.
    pub fn parse(word: &str, status: Option<DeliveryStatus>) -> Option<Self> {
        Some(match word {
            "not_failed" => Self::NotFailed(status?),
            "lead_anonymised" => Self::LeadAnonymised,
            "interface_deleted" => Self::InterfaceDeleted,
            "destination_deleted" => Self::DestinationDeleted,
            "payload_gone" => Self::PayloadGone,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }
}

/// A request for another round of attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryRequest {
    pub by: String,
    /// The reason that the caller gave; may be empty.
    pub reason: String,
    /// The id of the call; `None` if the caller gave none.
    pub request: Option<RequestId>,
    /// Whether a delivery that succeeded is sent again.
    pub force: bool,
    /// The span of the latest attempt; `None` if it is not known.
    pub previous: Option<SpanRef>,
}

/// Requests another round of attempts for a failed delivery or, with `force`, for one that succeeded. The results of
/// the new round then replace the success.
///
/// # Errors
/// If the delivery has not ended, has succeeded without `force`, or can no longer be sent.
pub fn request_retry(
    delivery: &Delivery,
    context: RetryContext,
    at: Timestamp,
    retry: RetryRequest,
) -> Result<DeliveryFact, RetryRefusal> {
    context.check()?;
    let round = delivery.round + 1;
    let resend = match delivery.status {
        DeliveryStatus::Failed => delivery.position.resend,
        DeliveryStatus::Succeeded if retry.force => round,
        status => return Err(RetryRefusal::NotFailed(status.at_destination(context.switch))),
    };
    let RetryRequest { by, reason, request, force: _, previous } = retry;
    let (reference, attempts) = (Arc::clone(&delivery.reference), delivery.attempts);
    let requested = RetryRequested { reference, round, resend, attempts, at, by, reason, request, job: None, previous };
    Ok(DeliveryFact::RetryRequested(requested))
}
