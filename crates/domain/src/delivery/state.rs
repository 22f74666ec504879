//! What the facts of a delivery add up to.
//!
//! Facts may come twice, and those of two processes may come in either order. So the state is no chain of transitions
//! but a maximum: each fact has a *position* in the life of its delivery, and the state shows what the furthest fact
//! says. Folding any facts in any order, any number of times, gives the same state.

use std::{cmp::Ordering, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::facts::{DeliveryAttempted, DeliveryFact, DeliveryRef, FailureReason, RequestLine, Verdict};
use crate::{
    ids::{AttemptId, DeliveryId},
    outcome::AttemptOutcome,
    registry::DeactivationCause,
};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeliveryStatus {
    /// It waits for its first attempt of a round.
    Pending,
    /// An attempt has been running for a while.
    Processing,
    /// An attempt failed, and another will be made.
    Retrying,
    /// It waits until its destination is enabled again.
    Held,
    /// The receiver has it.
    Succeeded,
    /// No further attempt will be made unless a person asks.
    Failed,
}

impl DeliveryStatus {
    /// Every status.
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

    /// What people see of a delivery with this status at a destination that is switched so. What waits for one that is off is
    /// held; no fact says so before its work comes to the lane, which may be days later. What waits behind another delivery of
    /// its lead still waits for that one.
    #[must_use]
    pub const fn at_destination(self, switch: Switch) -> Self {
        match (self, switch) {
            (Self::Retrying, Switch::Off | Switch::OffInOrder) | (Self::Pending, Switch::Off) => Self::Held,
            (status, _) => status,
        }
    }
}

/// Whether a destination takes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Switch {
    /// It does.
    #[default]
    On,
    /// A person or a rule switched it off.
    Off,
    /// The same, and it keeps the order of each lead's events.
    OffInOrder,
}

/// A history that cannot have happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalHistory {
    /// A fact of one delivery was folded into another.
    #[error("a fact about delivery {fact} was folded into delivery {state}")]
    OtherDelivery {
        /// The delivery of the state.
        state: DeliveryId,
        /// The delivery of the fact.
        fact: DeliveryId,
    },
    /// Attempts are counted from 1.
    #[error("delivery {0} has an attempt with the number 0")]
    AttemptZero(DeliveryId),
}

/// A fact's place in the life of its delivery; compared from the first field to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Success is the end: nothing is further.
    pub succeeded: bool,
    /// Attempts that ended, counting the one that the fact is about.
    pub attempts: u32,
    /// The round.
    pub round: u32,
    /// The hold since the last attempt; the largest number for an attempt that started, and for the end of a round without
    /// an attempt.
    pub hold: u32,
    /// 0 requested, 1 started, 2 ended.
    pub phase: u8,
    /// Two executions of one attempt: the later one is further.
    pub at: Timestamp,
    /// And if even the time is the same, any order will do as long as it is one.
    pub tie: u128,
}

/// How the latest attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastAttempt {
    /// The execution.
    pub attempt_id: AttemptId,
    /// Its number, from 1.
    pub attempt: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What was sent where.
    pub request: RequestLine,
    /// What came back.
    pub outcome: AttemptOutcome,
    /// Why it switched its destination off, if it did.
    pub deactivated: Option<DeactivationCause>,
}

/// A delivery as its facts tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What it is about.
    pub reference: Arc<DeliveryRef>,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How many attempts were made; an attempt that a process death made twice counts once.
    pub attempts: u32,
    /// How many manual retries there were.
    pub round: u32,
    /// When it was requested, once that is known.
    pub requested_at: Option<Timestamp>,
    /// When the next attempt is due, if one waits for its time.
    pub next_attempt_at: Option<Timestamp>,
    /// Why it failed, if it did.
    pub failure: Option<FailureReason>,
    /// How the latest attempt ended.
    pub last: Option<LastAttempt>,
    /// When the furthest fact happened.
    pub updated_at: Timestamp,
    /// The position of the furthest fact.
    pub position: Position,
}

impl Delivery {
    /// Adds a fact to what is known.
    ///
    /// # Errors
    /// When the fact cannot belong to this history.
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

    /// Where it stands in the order of lists: when it was requested, as far as that is known, then its id.
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
        match fact.verdict {
            Verdict::Succeeded => self.status = DeliveryStatus::Succeeded,
            Verdict::RetryAt(at) => {
                self.status = DeliveryStatus::Retrying;
                self.next_attempt_at = Some(at);
            }
            Verdict::Failed(reason) => {
                self.status = DeliveryStatus::Failed;
                self.failure = Some(reason);
            }
        }
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

    /// Takes what the other knows better.
    fn merge(&mut self, other: Self) {
        self.attempts = self.attempts.max(other.attempts);
        self.round = self.round.max(other.round);
        self.requested_at = match (self.requested_at, other.requested_at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if other.last.as_ref().map(LastAttempt::rank) > self.last.as_ref().map(LastAttempt::rank) {
            self.last = other.last;
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

impl LastAttempt {
    /// Of an attempt and what is left of it after its lead was anonymised, the latter counts.
    fn rank(&self) -> (bool, u32, Timestamp, AttemptId, bool) {
        (self.outcome.is_success(), self.attempt, self.started_at, self.attempt_id, self.is_blank())
    }

    /// Whether only its outline is left: every attempt had a URL.
    pub const fn is_blank(&self) -> bool {
        self.request.url.is_empty()
    }
}

/// Where a fact stands in the life of its delivery.
fn position(fact: &DeliveryFact) -> Position {
    let (attempts, round, hold, phase, tie) = match fact {
        DeliveryFact::Requested(_) | DeliveryFact::Released(_) => (0, 0, 0, 0, 0),
        DeliveryFact::RetryRequested(f) => (f.attempts, f.round, 0, 0, 0),
        // A started attempt is further than everything before it, and less far than any end of the same attempt, or of a
        // round that ends without it.
        DeliveryFact::AttemptStarted(f) => {
            (f.attempt.saturating_sub(1), f.round, u32::MAX, 1, f.attempt_id.uuid().as_u128())
        }
        DeliveryFact::Attempted(f) | DeliveryFact::AttemptBlanked(f) => {
            (f.attempt, f.round, 0, 2, f.attempt_id.uuid().as_u128())
        }
        DeliveryFact::Held(f) => (f.attempts, f.round, f.hold, 0, 0),
        DeliveryFact::Abandoned(f) => (f.attempts, f.round, u32::MAX, 2, f.reason as u128),
    };
    let succeeded = matches!(
        fact,
        DeliveryFact::Attempted(f) | DeliveryFact::AttemptBlanked(f) if f.verdict == Verdict::Succeeded
    );
    Position { succeeded, attempts, round, hold, phase, at: fact.at(), tie }
}
