//! The loop of a leader: wait for the lease, work while it is held, wait again.

use std::{error::Error, time::Duration};

use runtime::ErrorChain as _;

use crate::{connection::connect::Journal, error::JournalError, leader::lease::ReaderLease};

/// How long a process waits after it failed as a leader.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Why the work of a leader ended before the drain.
pub trait LeaderError: Error + 'static {
    /// The error of the journal; `None` if something else failed.
    fn as_journal_error(&self) -> Option<&JournalError>;
}

impl LeaderError for JournalError {
    fn as_journal_error(&self) -> Option<&JournalError> {
        Some(self)
    }
}

/// Calls `lead` whenever this process gets the lease of `reader`, until the drain begins.
///
/// `lead` works until the drain begins, and then frees the lease with [`ReaderLease::leave`]. It renews the lease in
/// time ([`ReaderLease::renew_at`]), and ends with [`JournalError::LostRace`] if another process has taken the lease.
/// After any other error, parts of its work may be done, and the next leader repeats them.
pub async fn run<Leading, E>(journal: &Journal, reader: &'static str, lead: impl Fn(ReaderLease) -> Leading)
where
    Leading: Future<Output = Result<(), E>>,
    E: LeaderError,
{
    while let Some(lease) = journal.positions().acquire(reader).await {
        tracing::info!(reader, "this process is the leader now");
        let Err(error) = lead(lease).await else { continue };
        match error.as_journal_error() {
            Some(JournalError::LostRace) => {
                tracing::info!(reader, "lost the lease to another process");
                continue;
            }
            Some(error) if error.is_logged() => {}
            _ => tracing::warn!(error = error.chain(), reader, "leader stopped; retrying"),
        }
        tokio::select! {
            () = tokio::time::sleep(RETRY_DELAY) => {}
            () = journal.drain().stopping() => {}
        }
    }
}
