//! The read barrier: waits until the read model shows facts that are stored. It works whichever process projects.

use std::time::Duration;

use journal::{Journal, JournalError, StreamName};
use tokio::time::Instant;

use crate::{error::StoreError, store::Store};

/// The interval at which the read barrier reads the checkpoint.
pub const SHOWN_POLL: Duration = Duration::from_millis(10);
/// How long a call waits until the read model shows the fact that it is about. Under load that takes several
/// transactions.
pub const SHOWN_DEADLINE: Duration = Duration::from_secs(5);

/// Compares the read model with the streams.
#[derive(Debug, Clone)]
pub struct ReadBarrier {
    journal: Journal,
    store: Store,
}

/// Why it is unknown whether the read model is up to date.
#[derive(Debug, thiserror::Error)]
pub enum Stale {
    #[error("cannot read the journal")]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the read model is behind; repeat the call")]
    Behind,
}

impl ReadBarrier {
    pub fn new(journal: Journal, store: Store) -> Self {
        Self { journal, store }
    }

    /// Waits until the read model shows the facts of a stream up to this sequence. Returns `false` if it does not
    /// within [`SHOWN_DEADLINE`].
    pub async fn shows(&self, stream: StreamName, sequence: u64) -> Result<bool, StoreError> {
        let give_up = Instant::now() + SHOWN_DEADLINE;
        while self.store.checkpoint(stream).await? < sequence {
            if Instant::now() >= give_up {
                return Ok(false);
            }
            self.store.flush_hints.request(stream);
            tokio::time::sleep(SHOWN_POLL).await;
        }
        Ok(true)
    }

    /// Waits until the read model shows every fact that is stored now. Decisions need this, because the read model may
    /// be behind, for example after a rebuild.
    pub async fn wait_for_now(&self, stream: StreamName) -> Result<(), Stale> {
        let now = self.journal.stream(stream).last_sequence().await?;
        if self.shows(stream, now).await? { Ok(()) } else { Err(Stale::Behind) }
    }
}

#[cfg(test)]
mod tests {
    use journal::NatsOptions;
    use runtime::Platform;
    use testkit::NatsServer;

    use super::*;

    #[tokio::test]
    async fn a_caller_that_waits_for_a_stream_sends_flush_hints() {
        let (server, folder) = (NatsServer::start().await, tempfile::tempdir().unwrap());
        let options = NatsOptions { nats_url: Some(server.url()), ..NatsOptions::default() };
        let journal = Journal::connect(&options, &Platform::default()).await.unwrap();
        let url = format!("sqlite:{}?mode=rwc", folder.path().join("read_model.db").display());
        let store = Store::connect(&url).await.unwrap();
        let read_barrier = ReadBarrier::new(journal, store.clone());
        tokio::select! {
            biased;
            () = store.flush_hints.requested(StreamName::Deliveries) => {}
            shown = read_barrier.shows(StreamName::Deliveries, 1) => panic!("no flush hint was sent: {shown:?}"),
        }
    }
}
