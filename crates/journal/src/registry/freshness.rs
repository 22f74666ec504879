//! Registry freshness: whether this process knows every change that was confirmed to a caller.
//!
//! A process learns of a change a moment after it was stored, or later if the process hangs. But a caller expects a
//! confirmed change to apply everywhere. So a process that acts for callers asks the broker for the last sequence of
//! the configuration, and waits until its view has reached it. An answer is used for [`MAX_ANSWER_AGE`], so that not
//! every call asks the broker; and a process that makes a change delays the confirmation by the same time. Each process
//! only measures durations, so clocks need not agree; but a suspended machine does not notice how old its answer is. A
//! caller that reads a change before it was confirmed may be ahead of others by [`MAX_ANSWER_AGE`].

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::error::JournalError;

/// How long the last sequence of the configuration may be used after it was requested.
const MAX_ANSWER_AGE: Duration = Duration::from_millis(5);

/// The delay before the broker is asked again after a failure, so that during an outage not every call waits for it.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The last answer of the broker.
#[derive(Debug, Default)]
pub(crate) struct Freshness {
    last: Mutex<Option<Outcome>>,
    /// Held by the task that asks the broker.
    pub(super) request_lock: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// The last sequence of the configuration, and when the request for it began.
    Answered(Instant, u64),
    /// When a request failed.
    Unanswered(Instant),
}

impl Freshness {
    /// A sequence that includes every change stored [`MAX_ANSWER_AGE`] before this time; `None` if the last answer is
    /// older.
    pub(super) fn before(&self, time: Instant) -> Option<u64> {
        match self.last()? {
            Outcome::Answered(at, latest) => (at + MAX_ANSWER_AGE > time).then_some(latest),
            Outcome::Unanswered(_) => None,
        }
    }

    pub(super) fn failed_recently(&self) -> bool {
        matches!(self.last(), Some(Outcome::Unanswered(since)) if since.elapsed() < RETRY_DELAY)
    }

    fn last(&self) -> Option<Outcome> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, outcome: Outcome) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }
}

/// Waits until [`RegistryView::up_to_date`](crate::RegistryView::up_to_date) of every process includes all changes that
/// are stored now. Each confirmation of a change waits for this.
pub async fn wait_propagation() {
    sleep(MAX_ANSWER_AGE).await;
}

#[derive(Debug, thiserror::Error)]
pub enum FreshnessError {
    /// The broker does not answer.
    #[error("{0}")]
    Unavailable(JournalError),
    /// The view of this process does not reach the sequence in time.
    #[error("this process has not read the latest changes yet")]
    Behind,
    /// The broker was asked a moment ago, and the request failed.
    #[error("the last request to the broker failed a moment ago")]
    FailedRecently,
}
