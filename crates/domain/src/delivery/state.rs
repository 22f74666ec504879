//! The state of a delivery, folded from its facts.
//!
//! Facts may arrive twice, and facts of two processes in either order. So the state is not a chain of transitions but a
//! maximum: each fact has a *position* in the life of its delivery, and the fact with the furthest position decides the
//! state. A fold of the same facts in any order, any number of times, gives the same state.
//!
//! A success is further than every other fact of its series of rounds. A resend begins a new series, which is further
//! than the series before it. Every fact names its series.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::facts::{DeliveryAttempted, DeliveryFact, DeliveryRef, FailureReason, NextStep, RequestLine};
use crate::{
    ids::{AttemptId, DeliveryId, JobId},
    outcome::AttemptOutcome,
    registry::request::shape::DeactivationCause,
};

/// The status of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeliveryStatus {
    /// The delivery waits for the first attempt of a round.
    Pending,
    /// An attempt has been in flight for a while.
    Processing,
    /// An attempt failed, and another will follow.
    Retrying,
    /// The delivery waits until its destination is enabled again.
    Held,
    /// The receiver accepted the delivery.
    Succeeded,
    /// No further attempt follows unless a person asks for one.
    Failed,
}

impl DeliveryStatus {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Processing, Self::Retrying, Self::Held, Self::Succeeded, Self::Failed];

    /// The word that users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Retrying => "retrying",
            Self::Held => "held",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    /// The status that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }

    /// The status that users see, given the switch of the destination. A delivery that waits for a destination that is
    /// off is shown as held at once. The fact `DeliveryHeld` is stored only when the work of the delivery reaches the
    /// lane, which may be days later. A delivery that waits in an ordered queue stays pending.
    #[must_use]
    pub const fn at_destination(self, switch: Switch) -> Self {
        match (self, switch) {
            (Self::Retrying, Switch::Off | Switch::OffInOrder) | (Self::Pending, Switch::Off) => Self::Held,
            (status, _) => status,
        }
    }
}

/// Whether a destination accepts deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Switch {
    #[default]
    On,
    /// A person or a rule switched it off.
    Off,
    /// A person or a rule switched it off, and the destination is ordered.
    OffInOrder,
}

/// Why a fact cannot belong to the history of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalHistory {
    /// The fact belongs to another delivery.
    #[error("a fact about delivery {fact} was folded into delivery {state}")]
    OtherDelivery {
        /// The delivery of the state.
        state: DeliveryId,
        /// The delivery of the fact.
        fact: DeliveryId,
    },
    /// The attempt has the number 0; attempts count from 1.
    #[error("delivery {0} has an attempt with the number 0")]
    AttemptZero(DeliveryId),
}

/// The position of a fact in the life of its delivery; compared from the first field to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The round of the latest resend; 0 if there was none.
    pub resend: u32,
    /// A success is further than every other fact of its series of rounds.
    pub succeeded: bool,
    /// The number of ended attempts, including that of the fact.
    pub attempts: u32,
    pub round: u32,
    /// The number of holds since the last attempt; `u32::MAX` for a round that ended without an attempt, and for a
    /// started attempt that an older version stored.
    pub hold: u32,
    /// 0 requested, 1 started, 2 ended.
    pub phase: u8,
    /// Of two executions of one attempt, the later one is further.
    pub at: Timestamp,
    /// Gives facts with equal times an arbitrary, but fixed order.
    pub tie: u128,
}

/// The rank of an attempt; compared from the first field to the last. A success outranks a failure, and a later attempt
/// an earlier one.
type AttemptRank = (bool, u32, Timestamp, AttemptId, bool);

/// The result of the latest attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    pub attempt_id: AttemptId,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    pub started_at: Timestamp,
    pub duration: Duration,
    pub request: RequestLine,
    pub outcome: AttemptOutcome,
    /// Why the attempt deactivated its destination; `None` if it did not deactivate it.
    pub deactivated: Option<DeactivationCause>,
}

/// A round that a job requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InJob {
    pub round: u32,
    pub job: JobId,
}

/// The state of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub reference: Arc<DeliveryRef>,
    pub status: DeliveryStatus,
    /// The attempts so far; an attempt that a crash repeated counts once.
    pub attempts: u32,
    /// The number of retries and resends so far.
    pub round: u32,
    /// The time of the request; `None` if it is not known yet.
    pub requested_at: Option<Timestamp>,
    /// The time of the next attempt; `None` if no timer is set.
    pub next_attempt_at: Option<Timestamp>,
    /// The reason of the failure; `None` if the delivery has not failed.
    pub failure: Option<FailureReason>,
    /// The result of the latest attempt.
    pub last: Option<LastAttempt>,
    /// The round of the latest resend before the latest attempt; 0 if there was none.
    pub last_resend: u32,
    /// The latest round that a job requested; `None` if no job requested one.
    pub job: Option<InJob>,
    /// When the furthest fact happened.
    pub updated_at: Timestamp,
    /// The position of the furthest fact.
    pub position: Position,
}

impl Delivery {
    /// Folds a fact into the state.
    ///
    /// # Errors
    /// If the fact cannot belong to this history.
    pub fn evolve(state: Option<Self>, fact: &DeliveryFact) -> Result<Self, IllegalHistory> {
        let delivery = fact.reference().delivery;
        let is_attempt = matches!(fact, DeliveryFact::Attempted(_) | DeliveryFact::AttemptBlanked(_));
        if position(fact).attempts == 0 && is_attempt {
            return Err(IllegalHistory::AttemptZero(delivery));
        }
        let Some(mut state) = state else { return Ok(Self::from_fact(fact)) };
        if state.reference.delivery != delivery {
            return Err(IllegalHistory::OtherDelivery { state: state.reference.delivery, fact: delivery });
        }
        state.merge(Self::from_fact(fact));
        Ok(state)
    }

    /// The rank of the latest attempt. An attempt after a resend outranks all attempts before the resend.
    fn last_rank(&self) -> Option<(u32, AttemptRank)> {
        self.last.as_ref().map(|last| (self.last_resend, last.rank()))
    }

    /// The sort key of lists: the time of the request if it is known, then the id.
    pub fn place(&self) -> (Timestamp, DeliveryId) {
        (self.requested_at.unwrap_or(Timestamp::UNIX_EPOCH), self.reference.delivery)
    }

    fn from_fact(fact: &DeliveryFact) -> Self {
        let position = position(fact);
        let mut state = Self {
            reference: Arc::clone(fact.reference()),
            status: DeliveryStatus::Pending,
            attempts: 0,
            round: position.round,
            requested_at: fact.reference().requested_at,
            next_attempt_at: None,
            failure: None,
            last: None,
            last_resend: 0,
            job: fact.job().map(|job| InJob { round: position.round, job }),
            updated_at: fact.at(),
            position,
        };
        match fact {
            DeliveryFact::Requested(f) => state.requested_at = Some(f.at),
            DeliveryFact::Released(f) => state.requested_at = Some(f.requested_at),
            DeliveryFact::RetryRequested(f) => state.attempts = f.attempts,
            DeliveryFact::AttemptStarted(f) => {
                state.attempts = f.attempt.saturating_sub(1);
                state.status = DeliveryStatus::Processing;
            }
            DeliveryFact::Attempted(f) | DeliveryFact::AttemptBlanked(f) => state.attempted(f),
            DeliveryFact::Held(f) => {
                state.attempts = f.attempts;
                state.status = DeliveryStatus::Held;
            }
            DeliveryFact::Abandoned(f) => {
                state.attempts = f.attempts;
                state.status = DeliveryStatus::Failed;
                state.failure = Some(f.reason);
            }
        }
        state
    }

    fn attempted(&mut self, fact: &DeliveryAttempted) {
        self.attempts = fact.attempt;
        match fact.next_step {
            NextStep::Succeeded => self.status = DeliveryStatus::Succeeded,
            NextStep::RetryAt(at) => {
                self.status = DeliveryStatus::Retrying;
                self.next_attempt_at = Some(at);
            }
            NextStep::Failed(reason) => {
                self.status = DeliveryStatus::Failed;
                self.failure = Some(reason);
            }
        }
        self.last_resend = fact.resend;
        self.last = Some(LastAttempt {
            attempt_id: fact.attempt_id,
            attempt: fact.attempt,
            started_at: fact.started_at,
            duration: fact.duration,
            request: fact.request.clone(),
            outcome: fact.outcome.clone(),
            deactivated: fact.deactivated,
        });
    }

    /// The job that requested the latest round, and the outcome of the round; `None` if no job requested it.
    pub fn outcome_in_job(&self) -> Option<(JobId, RoundOutcome)> {
        let outcome = match self.status {
            DeliveryStatus::Succeeded => RoundOutcome::Succeeded,
            DeliveryStatus::Failed => RoundOutcome::Failed,
            _ => RoundOutcome::Waiting,
        };
        self.job.filter(|job| job.round == self.round).map(|job| (job.job, outcome))
    }

    /// Merges the other state into this one.
    fn merge(&mut self, other: Self) {
        self.job = self.job.max(other.job);
        self.attempts = self.attempts.max(other.attempts);
        self.round = self.round.max(other.round);
        self.requested_at = match (self.requested_at, other.requested_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if other.last_rank() > self.last_rank() {
            self.last = other.last;
            self.last_resend = other.last_resend;
        }
        if other.position.cmp(&self.position) == Ordering::Greater {
            self.status = other.status;
            self.next_attempt_at = other.next_attempt_at;
            self.failure = other.failure;
            self.updated_at = other.updated_at;
            self.position = other.position;
        }
    }
}

/// The outcome of a round that a job requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundOutcome {
    Waiting,
    Succeeded,
    Failed,
}

impl LastAttempt {
    /// An anonymised attempt outranks the attempt that it replaces.
    fn rank(&self) -> AttemptRank {
        (self.outcome.is_success(), self.attempt, self.started_at, self.attempt_id, self.is_blank())
    }

    /// Whether the attempt was anonymised. Every other attempt has a URL.
    pub const fn is_blank(&self) -> bool {
        self.request.url.is_empty()
    }
}

fn position(fact: &DeliveryFact) -> Position {
    let (attempts, (resend, round), hold, phase, tie) = match fact {
        DeliveryFact::Requested(_) | DeliveryFact::Released(_) => (0, (0, 0), 0, 0, 0),
        DeliveryFact::RetryRequested(f) => (f.attempts, (f.resend, f.round), 0, 0, 0),
        // A started attempt is further than everything before it. The end of the attempt is further still, and so is
        // the end of a round that is abandoned.
        DeliveryFact::AttemptStarted(f) => {
            (f.attempt.saturating_sub(1), (f.resend, f.round), f.holds, 1, f.attempt_id.uuid().as_u128())
        }
        DeliveryFact::Attempted(f) | DeliveryFact::AttemptBlanked(f) => {
            (f.attempt, (f.resend, f.round), 0, 2, f.attempt_id.uuid().as_u128())
        }
        DeliveryFact::Held(f) => (f.attempts, (f.resend, f.round), f.hold, 0, 0),
        DeliveryFact::Abandoned(f) => (f.attempts, (f.resend, f.round), u32::MAX, 2, f.reason as u128),
    };
    let succeeded = matches!(
        fact,
        DeliveryFact::Attempted(f) | DeliveryFact::AttemptBlanked(f) if f.next_step == NextStep::Succeeded
    );
    Position { resend, succeeded, attempts, round, hold, phase, at: fact.at(), tie }
}
