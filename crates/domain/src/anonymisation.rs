//! Anonymisation: which leads were anonymised, and what remains of their events.
//!
//! Sequences of LEADS decide what is erased, not times: an anonymisation covers every event of its lead that was stored
//! before it. Later events of the lead are new, and can be anonymised again.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    delivery::{
        Delivery, DeliveryAbandoned, DeliveryAttempted, DeliveryFact, DeliveryStatus, FailureReason, RequestLine, Work,
        WorkTrace,
    },
    ids::{AccountId, LeadId, LeadSequence},
    lead::LeadEvent,
    outcome::AttemptOutcome,
    policy::RetryProgress,
};

/// A fact about anonymisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnonymisationFact {
    /// A lead was anonymised.
    LeadAnonymised(LeadAnonymised),
    /// An event is about to be erased; this is what remains of it.
    EventBlanked(EventBlanked),
}

/// A lead was anonymised: payloads of its events up to `until` may no longer be shown or sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadAnonymised {
    /// The account of the lead.
    pub account: AccountId,
    pub lead: LeadId,
    /// The last sequence of LEADS that the anonymisation covers.
    pub until: LeadSequence,
    pub at: Timestamp,
    /// The caller, or the interface whose retention ended.
    pub by: String,
}

/// What remains of an event of an anonymised lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBlanked {
    /// The sequence of the event in LEADS.
    pub sequence: LeadSequence,
    /// The event, with an empty payload.
    pub event: LeadEvent,
}

impl AnonymisationFact {
    /// The account of the lead.
    pub const fn account(&self) -> &AccountId {
        match self {
            Self::LeadAnonymised(f) => &f.account,
            Self::EventBlanked(f) => &f.event.account,
        }
    }

    /// The message id. Of several appends with the same id, the broker stores only the first.
    pub fn message_id(&self) -> String {
        match self {
            Self::LeadAnonymised(f) => format!("{}/{}/{}", f.account, f.lead, f.until.0),
            Self::EventBlanked(f) => f.sequence.0.to_string(),
        }
    }
}

/// What remains of an event.
pub fn blank_event(sequence: LeadSequence, event: LeadEvent) -> AnonymisationFact {
    AnonymisationFact::EventBlanked(EventBlanked { sequence, event: LeadEvent { payload: Bytes::new(), ..event } })
}

/// What remains of an attempt: its result and duration, without any text of the lead or the receiver.
pub fn blank_attempt(attempted: DeliveryAttempted) -> DeliveryFact {
    let outcome = match attempted.outcome {
        AttemptOutcome::Response { status, retry_after, .. } => {
            AttemptOutcome::Response { status, excerpt: String::new(), retry_after }
        }
        AttemptOutcome::NoResponse { kind, .. } => AttemptOutcome::NoResponse { kind, message: String::new() },
    };
    let request = RequestLine { method: attempted.request.method, url: String::new() };
    DeliveryFact::AttemptBlanked(DeliveryAttempted { request, outcome, exchange: None, ..attempted })
}

/// The end of a delivery whose lead was anonymised; `None` if the delivery has ended already. An attempt in flight that
/// fails does not reopen the delivery.
pub fn end_of(delivery: &Delivery, at: Timestamp) -> Option<DeliveryFact> {
    let ended = matches!(delivery.status, DeliveryStatus::Succeeded | DeliveryStatus::Failed);
    (!ended).then(|| {
        // The attempt in flight is counted here, so that its failure does not outrank this fact.
        let in_flight = u32::from(delivery.status == DeliveryStatus::Processing);
        DeliveryFact::Abandoned(DeliveryAbandoned {
            reference: delivery.reference.clone(),
            attempts: delivery.position.attempts + in_flight,
            round: delivery.round,
            resend: delivery.position.resend,
            at,
            reason: FailureReason::Anonymised,
        })
    })
}

/// The work that ends a waiting delivery of an anonymised lead at once; `None` if the delivery has no timer. The
/// dispatcher finds no payload to send, ends the delivery, and releases the next one of the ordered queue.
pub fn due_now(delivery: &Delivery) -> Option<Work> {
    delivery.next_attempt_at.map(|_| Work {
        reference: Arc::clone(&delivery.reference),
        attempt: delivery.attempts + 1,
        round: delivery.round,
        resend: delivery.position.resend,
        progress: RetryProgress::default(),
        holds: 0,
        redelivered: false,
        requested_at: delivery.requested_at.unwrap_or(delivery.updated_at),
        first_failed_at: None,
        // Another delivery may wait in the ordered queue. If none waits, this costs one look-up.
        in_turn: true,
        trace: WorkTrace::default(),
    })
}
