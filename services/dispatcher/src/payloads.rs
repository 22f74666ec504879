//! Payloads by reference: recent ones from memory, the others from the journal.

use std::time::Duration;

use bytes::Bytes;
use domain::{LeadEvent, LeadSequence};
use jiff::Timestamp;
use journal::{Journal, JournalError};
use runtime::trace::TraceContext;

use crate::fifo_cache::FifoCache;

/// The bytes that an entry takes besides its payload.
const OVERHEAD: usize = 256;
/// How long a payload may stay in memory. A payload that was read while it was anonymised may stay for this time, but
/// is not sent.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The parts of a lead event that an attempt needs.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) payload: Bytes,
    pub(crate) occurred_at: Timestamp,
    pub(crate) hops: u32,
    /// The trace context of the publisher.
    pub(crate) published: TraceContext,
}

/// The payload cache.
#[derive(Debug)]
pub(crate) struct Payloads {
    recent: FifoCache<u64, Content>,
}

impl Payloads {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { recent: FifoCache::new(bytes, MAX_AGE) }
    }

    /// Keeps an event's payload for its next attempts.
    pub(crate) fn remember(&self, sequence: LeadSequence, event: &LeadEvent, published: &TraceContext) -> Content {
        // A copy, because the message is a slice of a larger buffer that it would keep alive.
        let payload = Bytes::copy_from_slice(&event.payload);
        let content =
            Content { payload, occurred_at: event.occurred_at, hops: event.hops, published: published.clone() };
        self.recent.put(sequence.0, content.payload.len() + OVERHEAD, |_| content.clone());
        content
    }

    /// Drops the payload of an event that was anonymised.
    pub(crate) fn forget(&self, sequence: LeadSequence) {
        self.recent.forget(&sequence.0);
    }

    /// The payload of a lead event; `None` if the journal no longer has it.
    pub(crate) async fn get(&self, journal: &Journal, sequence: LeadSequence) -> Result<Option<Content>, JournalError> {
        if let Some(content) = self.recent.get(&sequence.0) {
            return Ok(Some(content));
        }
        let found = journal.leads().get_traced(sequence).await?;
        Ok(found.map(|(event, published)| self.remember(sequence, &event, &published)))
    }
}
