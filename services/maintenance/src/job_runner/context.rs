//! The context of the job runner, and the ways in which work on a job ends.

use std::time::Duration;

use domain::job::IllegalJob;
use journal::{Journal, JournalError, RegistryView};
use read_model::{
    Store, StoreError,
    read_barrier::{ReadBarrier, Stale},
};
use runtime::Drain;

pub(super) struct Context {
    pub(super) journal: Journal,
    pub(super) store: Store,
    pub(super) registry: RegistryView,
    pub(super) read_barrier: ReadBarrier,
    pub(super) drain: Drain,
}

impl Context {
    /// Waits for this time. Returns `false` if the drain begins first.
    pub(super) async fn rest(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.drain.stopping() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}

/// Why this process ended its work on a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The job has ended.
    Done,
    /// Another process works on the job.
    TakenOver,
    /// This process is about to end; another one continues.
    Stopping,
}

/// Why a job cannot continue for now.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    History(#[from] IllegalJob),
}
