//! Forgetting people: which leads were anonymised, and what is left of their events.
//!
//! What is erased is decided by places in LEADS, not by times: an event is covered if it was stored before its lead was
//! anonymised. What is published about the lead afterwards is new, and can be anonymised again.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use crate::{
    delivery::{
        Delivery, DeliveryAbandoned, DeliveryAttempted, DeliveryFact, DeliveryStatus, FailureReason, RequestLine, Work,
    },
    ids::{AccountId, LeadId, LeadSequence},
    lead::LeadEvent,
    outcome::AttemptOutcome,
    policy::Progress,
};

/// A fact about forgetting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnonymisationFact {
    /// A lead was anonymised.
    LeadAnonymised(LeadAnonymised),
    /// An event is about to be erased; this is what is left of it.
    EventBlanked(EventBlanked),
}

/// A lead was anonymised: nobody may see or send again what was published about it until then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadAnonymised {
    /// Whose lead it is.
    pub account: AccountId,
    /// The lead.
    pub lead: LeadId,
    /// The last place in LEADS that it covers.
    pub until: LeadSequence,
    /// When.
    pub at: Timestamp,
    /// Who asked, or the retention of which interface.
    pub by: String,
}

/// What is left of an event of an anonymised lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventBlanked {
    /// Where the event was in LEADS.
    pub sequence: LeadSequence,
    /// The event, with an empty payload.
    pub event: LeadEvent,
}

impl AnonymisationFact {
    /// Whose lead it is about.
    pub const fn account(&self) -> &AccountId {
        match self {
            Self::LeadAnonymised(f) => &f.account,
            Self::EventBlanked(f) => &f.event.account,
        }
    }

    /// What makes a repeated append the same append.
    pub fn message_id(&self) -> String {
        match self {
            Self::LeadAnonymised(f) => format!("{}/{}/{}", f.account, f.lead, f.until.0),
            Self::EventBlanked(f) => f.sequence.0.to_string(),
        }
    }
}

/// What is left of an event.
pub fn blank_event(sequence: LeadSequence, event: LeadEvent) -> AnonymisationFact {
    AnonymisationFact::EventBlanked(EventBlanked { sequence, event: LeadEvent { payload: Bytes::new(), ..event } })
}

/// What is left of an attempt: whether it worked and how long it took, but nothing that the lead or the receiver said.
pub fn blank_attempt(attempted: DeliveryAttempted) -> DeliveryFact {
    let outcome = match attempted.outcome {
        AttemptOutcome::Response { status, retry_after, .. } => {
            AttemptOutcome::Response { status, excerpt: String::new(), retry_after }
        }
        AttemptOutcome::NoResponse { kind, .. } => AttemptOutcome::NoResponse { kind, message: String::new() },
    };
    let request = RequestLine { method: attempted.request.method, url: String::new() };
    DeliveryFact::AttemptBlanked(DeliveryAttempted { request, outcome, ..attempted })
}

/// The end of a delivery whose lead was anonymised; none: it has ended already. If an attempt is under way and fails,
/// the delivery has ended all the same.
pub fn end_of(delivery: &Delivery, at: Timestamp) -> Option<DeliveryFact> {
    let ended = matches!(delivery.status, DeliveryStatus::Succeeded | DeliveryStatus::Failed);
    (!ended).then(|| {
        // An attempt in flight may yet fail, and brings nothing back.
        let in_flight = u32::from(delivery.status == DeliveryStatus::Processing);
        DeliveryFact::Abandoned(DeliveryAbandoned {
            reference: delivery.reference.clone(),
            attempts: delivery.position.attempts + in_flight,
            round: delivery.round,
            at,
            reason: FailureReason::Anonymised,
        })
    })
}

/// What a delivery of an anonymised lead that waits for its next attempt is to do at once: find out that there is nothing
/// to send, and let the one behind it have its turn.
pub fn brought_forward(delivery: &Delivery) -> Option<Work> {
    delivery.next_attempt_at.map(|_| Work {
        reference: Arc::clone(&delivery.reference),
        attempt: delivery.attempts + 1,
        round: delivery.round,
        progress: Progress::default(),
        holds: 0,
        redelivered: false,
        requested_at: delivery.requested_at.unwrap_or(delivery.updated_at),
        first_failed_at: None,
        // Whether it does is not known here. If nobody waits, it costs a question.
        in_turn: true,
    })
}
