//! Leases: which process reads a stream in order, and the position that it has reached.
//!
//! A lease is the last message of its subject on POSITIONS. Its leader writes it at least every [`RENEW_INTERVAL`],
//! each time on the condition that no other process has written since. A lease that was not written for
//! [`LEASE_TIMEOUT`] is free. Clocks of different machines are never compared.
//!
//! Two processes may both act as leader for a moment. So the work of a leader has to be harmless if it is done twice,
//! in the same order.

use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use events::{ReaderPosition, Record as _};
use runtime::ErrorChain as _;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    connection::{broker_info, connect::Journal},
    error::JournalError,
    handles::Positions,
    streams::StreamName,
    subjects,
};

/// How often a leader has to write its lease, even without progress.
const RENEW_INTERVAL: Duration = Duration::from_secs(1);
/// How long a leader may collect facts that follow each other quickly.
const GATHER_INTERVAL: Duration = Duration::from_millis(100);
/// After this time without a write, another process takes the lease.
const LEASE_TIMEOUT: Duration = Duration::from_secs(4);
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// A lease, as long as no other process takes it.
#[derive(Debug)]
pub struct ReaderLease {
    journal: Journal,
    reader: &'static str,
    version: u64,
    sequence: u64,
    unsure_until: u64,
    written: Instant,
}

struct StoredLease {
    version: u64,
    /// `None` if the message is unreadable. The lease is free then, and the next leader has to read what was done.
    position: Option<ReaderPosition>,
}

impl Positions<'_> {
    /// Waits until a lease is free, and takes it. `None` if the drain has begun.
    pub async fn acquire(self, reader: &'static str) -> Option<ReaderLease> {
        let mut seen = None;
        // A process that has just given up the lease because of its drain must not take it again.
        while !self.journal.drain().is_stopping() {
            let wait = match self.try_acquire(reader, seen).await {
                Ok(Acquisition::Acquired(lease)) => return Some(lease),
                Ok(Acquisition::Held(version)) => {
                    seen = Some(version);
                    LEASE_TIMEOUT
                }
                Err(error) => {
                    tracing::debug!(error = error.chain(), reader, "cannot take lease; retrying");
                    RETRY_DELAY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.journal.drain().stopping() => {}
            }
        }
        None
    }

    /// `silent_since` is the version of the lease that was seen a [`LEASE_TIMEOUT`] ago.
    async fn try_acquire(self, reader: &'static str, silent_since: Option<u64>) -> Result<Acquisition, JournalError> {
        let free = ReaderPosition { reader: None, sequence: 0 };
        let stored = self.stored_lease(reader).await?.unwrap_or(StoredLease { version: 0, position: Some(free) });
        let (version, unsure_until) = (
            stored.version,
            match stored.position {
                Some(_) => 0,
                None => self.journal.stream(StreamName::Leads).last_sequence().await?,
            },
        );
        let position = stored.position.unwrap_or(free);
        let is_held = position.reader.is_some_and(|other| other != self.journal.process());
        if is_held && silent_since != Some(version) {
            return Ok(Acquisition::Held(version));
        }
        let (journal, sequence) = (self.journal.clone(), position.sequence);
        let mut lease = ReaderLease { journal, reader, version, sequence, unsure_until, written: Instant::now() };
        match lease.write(sequence, Some(self.journal.process())).await {
            Ok(()) => Ok(Acquisition::Acquired(lease)),
            Err(JournalError::LostRace) => Ok(Acquisition::Held(version)),
            Err(error) => Err(error),
        }
    }

    /// The position of a lease; 0 if it never had a leader.
    pub(crate) async fn position_of(self, reader: &str) -> Result<u64, JournalError> {
        let stored = self.stored_lease(reader).await?;
        Ok(stored.and_then(|stored| stored.position).map_or(0, |position| position.sequence))
    }

    async fn stored_lease(self, reader: &str) -> Result<Option<StoredLease>, JournalError> {
        let operation = "read the position of a lease";
        let last =
            broker_info::last_on(self.journal.context(), StreamName::Positions, &subjects::position(reader), operation)
                .await?;
        let Some(message) = last else { return Ok(None) };
        let (version, payload) = (message.sequence, message.payload);
        let position = ReaderPosition::decode(payload.clone());
        if let Err(error) = &position {
            self.journal.quarantine().add(StreamName::Positions, reader, version, payload, error).await?;
        }
        Ok(Some(StoredLease { version, position: position.ok() }))
    }
}

enum Acquisition {
    Acquired(ReaderLease),
    /// The last version that its leader wrote.
    Held(u64),
}

impl ReaderLease {
    /// The last sequence whose work is done.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Up to this sequence, work may or may not be done, because the lease was unreadable.
    pub const fn unsure_until(&self) -> u64 {
        self.unsure_until
    }

    /// The latest time at which the lease has to be written again.
    pub fn renew_at(&self) -> Instant {
        self.written + RENEW_INTERVAL
    }

    /// Until when a leader may collect facts, so that the lease is written at most ten times a second.
    pub fn gather_until(&self) -> Instant {
        self.written + GATHER_INTERVAL
    }

    /// Records that the work up to this sequence is done.
    ///
    /// # Errors
    /// [`JournalError::LostRace`] when another process has taken the lease; otherwise when the broker does not
    /// acknowledge.
    pub async fn advance(&mut self, sequence: u64) -> Result<(), JournalError> {
        let process = self.journal.process();
        self.write(sequence, Some(process)).await
    }

    /// Frees the lease for another process.
    ///
    /// # Errors
    /// As [`ReaderLease::advance`]; the lease then becomes free after a few seconds.
    pub async fn leave(mut self) -> Result<(), JournalError> {
        self.write(self.sequence, None).await
    }

    async fn write(&mut self, sequence: u64, process: Option<Uuid>) -> Result<(), JournalError> {
        let written = Instant::now();
        let message = PublishMessage::build()
            .payload(ReaderPosition { reader: process, sequence }.encode())
            .expected_last_subject_sequence(self.version);
        self.version = self.journal.publish(subjects::position(self.reader), message).await?.sequence;
        (self.sequence, self.written) = (sequence, written);
        Ok(())
    }
}
