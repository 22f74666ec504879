//! Pending work, and the facts that ask for it.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    facts::{DeliveryFact, DeliveryRef, RequestedWork},
    tracing::{MAX_CHILD_AGE, Placement, WorkTrace},
};
use crate::policy::RetryProgress;

/// A pending attempt. It is in the memory of a dispatcher, in a timer or in a parked message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    pub reference: Arc<DeliveryRef>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The number of retries and resends so far.
    pub round: u32,
    /// The round of the latest resend; 0 if there was none.
    pub resend: u32,
    /// The progress of the retry policy in this round.
    pub progress: RetryProgress,
    /// The number of holds since the last attempt.
    pub holds: u32,
    /// Whether this is a redelivery: an earlier execution may have left a timer.
    pub redelivered: bool,
    /// When this round was requested.
    pub requested_at: Timestamp,
    /// When the first attempt of this round failed; `None` if no attempt has failed.
    pub first_failed_at: Option<Timestamp>,
    /// Whether another delivery may wait for the end of this one ([`DeliveryReleased`](super::DeliveryReleased)).
    pub in_turn: bool,
    pub trace: WorkTrace,
}

impl Work {
    /// The work that a fact asks for; `None` if the fact asks for no work. Releases and retry requests ask for work,
    /// and so do requests whose work waits nowhere else. No delivery waits for the end of a retry or resend.
    pub fn requested_by(fact: &DeliveryFact) -> Option<Self> {
        let (reference, attempts, (round, resend), requested_at, redelivered) = match fact {
            DeliveryFact::Requested(f) => {
                let RequestedWork::Here { again } = f.work else { return None };
                (&f.reference, 0, (0, 0), f.at, again)
            }
            DeliveryFact::Released(f) => (&f.reference, 0, (0, 0), f.requested_at, false),
            DeliveryFact::RetryRequested(f) => (&f.reference, f.attempts, (f.round, f.resend), f.at, false),
            _ => return None,
        };
        Some(Self {
            reference: Arc::clone(reference),
            attempt: attempts + 1,
            round,
            resend,
            progress: RetryProgress::default(),
            holds: 0,
            redelivered,
            requested_at,
            first_failed_at: None,
            in_turn: matches!(fact, DeliveryFact::Released(_)),
            trace: match fact {
                DeliveryFact::RetryRequested(f) => WorkTrace { starts: true, previous: f.previous },
                fact => WorkTrace { starts: fact.job().is_some(), previous: None },
            },
        })
    }

    /// The placement of an attempt that starts at this time.
    pub fn placement(&self, at: Timestamp) -> Placement {
        let is_late = at.duration_since(self.requested_at) > MAX_CHILD_AGE;
        if self.trace.starts || is_late { Placement::OwnTrace } else { Placement::Child }
    }
}
