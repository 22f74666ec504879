//! Payloads by reference: recent ones from memory, the others from the journal.

use bytes::Bytes;
use domain::LeadSequence;
use journal::{Journal, JournalError};
use moka::sync::Cache;

/// What one entry costs besides its payload, in bytes.
const OVERHEAD: usize = 64;

/// Recent payloads.
#[derive(Debug)]
pub(crate) struct Payloads {
    recent: Cache<u64, Bytes>,
}

impl Payloads {
    pub(crate) fn new(bytes: u64) -> Self {
        let weigh = |_: &u64, payload: &Bytes| u32::try_from(payload.len() + OVERHEAD).unwrap_or(u32::MAX);
        Self { recent: Cache::builder().max_capacity(bytes).weigher(weigh).build() }
    }

    /// Keeps a payload for the attempts that are about to come.
    pub(crate) fn remember(&self, sequence: LeadSequence, payload: &Bytes) {
        // A copy, because the message is a slice of a larger buffer that it would keep alive.
        self.recent.insert(sequence.0, Bytes::copy_from_slice(payload));
    }

    /// The payload of a lead event; none: the journal no longer has it.
    pub(crate) async fn get(&self, journal: &Journal, sequence: LeadSequence) -> Result<Option<Bytes>, JournalError> {
        if let Some(payload) = self.recent.get(&sequence.0) {
            return Ok(Some(payload));
        }
        let Some(event) = journal.lead_at(sequence).await? else { return Ok(None) };
        self.remember(sequence, &event.payload);
        Ok(Some(event.payload))
    }
}
