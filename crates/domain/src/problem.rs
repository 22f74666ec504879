//! Problems: failures with one cause at one destination.
//!
//! A problem is folded from facts one by one, so that its rows in the read model do not depend on how the projector
//! groups the facts.

use std::fmt;

use jiff::Timestamp;

use crate::{
    advice::suggested_action,
    delivery::{Delivery, DeliveryStatus, FailureReason},
    ids::DeliveryId,
    outcome::ErrorKind,
};

/// Why deliveries fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The receiver answered with this status.
    Status(u16),
    /// No response came.
    Error(ErrorKind),
    /// Leadline cannot send the delivery.
    Reason(FailureReason),
}

impl Cause {
    /// Why a delivery fails; `None` if its latest attempt did not fail, if a person decided to end it, or if it is a
    /// test.
    pub fn of(delivery: &Delivery) -> Option<Self> {
        if delivery.status == DeliveryStatus::Succeeded || delivery.reference.event_type.is_test() {
            return None;
        }
        match delivery.failure {
            Some(FailureReason::Anonymised | FailureReason::Skipped | FailureReason::DestinationDeleted) => None,
            Some(reason @ (FailureReason::PayloadGone | FailureReason::Crashed)) => Some(Self::Reason(reason)),
            _ => {
                let outcome = &delivery.last.as_ref()?.outcome;
                let of_outcome = outcome.error_kind().map_or(Self::Status(outcome.status_code()), Self::Error);
                (!outcome.is_success()).then_some(of_outcome)
            }
        }
    }

    /// The cause that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        if let Ok(status) = word.parse::<u16>() {
            return (100..=999).contains(&status).then_some(Self::Status(status));
        }
        let reason = || FailureReason::parse(word).map(Self::Reason);
        ErrorKind::parse(word).map(Self::Error).or_else(reason)
    }

    /// What a person can do about it.
    pub const fn suggested_action(self) -> &'static str {
        match self {
            Self::Status(status) => suggested_action(status, None),
            Self::Error(kind) => suggested_action(crate::outcome::NO_RESPONSE_STATUS, Some(kind)),
            Self::Reason(FailureReason::PayloadGone) => {
                "The payload is no longer stored, so the delivery cannot be sent again. Publish the lead again, or keep events longer (--keep-events)."
            }
            Self::Reason(_) => {
                "Leadline crashed repeatedly while it worked on the delivery. Look into its log around this time, and retry the delivery after an update."
            }
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Error(kind) => f.write_str(kind.as_str()),
            Self::Reason(reason) => f.write_str(reason.as_str()),
        }
    }
}

/// How a fact about a delivery changes the problems of its destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// The cause with which the delivery no longer fails.
    pub left: Option<Cause>,
    /// The cause with which the delivery fails from now on.
    pub entered: Option<Cause>,
    /// The cause with which the delivery failed once more.
    pub repeated: Option<Cause>,
}

impl Step {
    /// The step between the causes of a delivery before and after a fact. `attempted` says whether the fact is an
    /// attempt.
    pub fn between(before: Option<Cause>, after: Option<Cause>, attempted: bool) -> Self {
        if before == after {
            return Self { repeated: after.filter(|_| attempted), ..Self::default() };
        }
        Self { left: before, entered: after, repeated: None }
    }
}

/// A problem, without its destination and cause.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problem {
    /// The deliveries that fail with the cause now.
    pub deliveries: u64,
    /// When the first delivery failed since the problem was last closed.
    pub first_at: Timestamp,
    /// When an attempt last failed.
    pub last_at: Timestamp,
    /// `None` if the problem is not closed.
    pub closed_at: Option<Timestamp>,
    /// The delivery that last failed; `None` if no delivery has failed yet.
    pub example: Option<DeliveryId>,
}

impl Problem {
    /// Adds a delivery that fails with the cause from now on.
    pub fn enter(&mut self, delivery: DeliveryId, at: Timestamp) {
        if self.deliveries == 0 {
            *self = Self { first_at: at, last_at: at, ..Self::default() };
        }
        self.deliveries += 1;
        self.repeat(delivery, at);
    }

    /// Notes that a delivery failed with the cause once more.
    pub fn repeat(&mut self, delivery: DeliveryId, at: Timestamp) {
        self.first_at = self.first_at.min(at);
        self.last_at = self.last_at.max(at);
        self.example = Some(delivery);
    }

    /// Removes a delivery that does not fail with the cause any more. Removing the last one closes the problem.
    pub fn leave(&mut self, at: Timestamp) {
        self.deliveries = self.deliveries.saturating_sub(1);
        if self.deliveries == 0 {
            self.closed_at = Some(at);
        }
    }

    /// The state that people see, given when a delivery last succeeded at the destination, and when a person
    /// acknowledged a problem with this cause there.
    pub fn state(&self, last_success_at: Option<Timestamp>, acknowledged_at: Option<Timestamp>) -> ProblemState {
        if self.deliveries == 0 {
            ProblemState::Closed
        } else if last_success_at.is_some_and(|at| at > self.last_at) {
            ProblemState::Recovering
        } else if self.is_acknowledged(acknowledged_at) {
            ProblemState::Acknowledged
        } else {
            ProblemState::Open
        }
    }

    /// Whether an acknowledgement belongs to this problem, and not to an earlier one that was closed.
    pub fn is_acknowledged(&self, at: Option<Timestamp>) -> bool {
        at.is_some_and(|at| at >= self.first_at)
    }
}

/// The state of a problem, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemState {
    Open,
    Acknowledged,
    /// Deliveries succeed at the destination again, but some deliveries of the problem have not.
    Recovering,
    /// No delivery fails with the cause any more.
    Closed,
}
