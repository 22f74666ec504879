//! One execution of an attempt, and the next step that the retry policy decides.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    exchange::EncodedExchange,
    facts::{FailureReason, NextStep, RequestLine},
    tracing::SpanRef,
    work::Work,
};
use crate::{
    ids::AttemptId,
    outcome::{AttemptOutcome, ErrorKind},
    policy::{RetryPolicy, RetryProgress},
};

/// One execution of an attempt, as the dispatcher saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    pub attempt_id: AttemptId,
    pub started_at: Timestamp,
    pub duration: Duration,
    pub request: RequestLine,
    pub outcome: AttemptOutcome,
    /// What was sent and received; `None` if no request was made.
    pub exchange: Option<EncodedExchange>,
    /// Whether the destination was switched off meanwhile, so that this attempt cannot deactivate it.
    pub destination_off: bool,
    /// Whether a delivery succeeded at the destination since this one first failed. The dispatcher looks it up only if
    /// [`spared_by_success_since`](super::spared_by_success_since) requires it.
    pub others_succeeded: bool,
    /// The span of the execution; `None` if the attempt belongs to no trace.
    pub trace: Option<SpanRef>,
}

impl Execution {
    pub fn ended_at(&self) -> Timestamp {
        self.started_at.checked_add(self.duration).unwrap_or(Timestamp::MAX)
    }
}

/// The next step of the delivery after an execution, and the progress of the retry policy.
pub(super) fn next_step(work: &Work, policy: &RetryPolicy, execution: &Execution) -> (NextStep, RetryProgress) {
    if execution.outcome.is_success() {
        return (NextStep::Succeeded, work.progress);
    }
    if work.reference.event_type.is_test() && execution.outcome.error_kind() != Some(ErrorKind::Render) {
        return (NextStep::Failed(FailureReason::Exhausted), work.progress);
    }
    if execution.outcome.is_loop() {
        // Further attempts have the same number of hops.
        return (NextStep::Failed(FailureReason::Loop), work.progress);
    }
    let (delivery, requested_at) = (work.reference.delivery, work.requested_at);
    policy.after_failure(delivery, work.attempt, work.progress, requested_at, &execution.outcome, execution.ended_at())
}
