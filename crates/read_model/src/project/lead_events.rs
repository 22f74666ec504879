//! The effects of a lead event on the read model: its lead, and the values by which the lead is found.

use std::collections::HashSet;

use bytes::Bytes;
use domain::LeadEvent;
use events::{Record, RecordError};
use journal::{Entry, StreamFact, StreamName};
use sqlx::{Any, Transaction};

use super::{
    audit::Describe,
    projected::{Projected, readable},
};
use crate::{
    error::StoreError,
    hashing::Hashing,
    tables::{
        anonymised, leads,
        values::{self, FieldHash, NewValues},
    },
};

/// A lead event as the projector keeps it: with hashes of the searchable values instead of the payload.
#[derive(Debug)]
pub struct Received {
    event: LeadEvent,
    hashes: Vec<FieldHash>,
}

impl Record for Received {
    const NAME: &'static str = LeadEvent::NAME;

    fn encode(&self) -> Bytes {
        self.event.encode()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        Ok(Self { event: LeadEvent::decode(bytes)?, hashes: vec![] })
    }
}

impl StreamFact for Received {
    const STREAM: StreamName = LeadEvent::STREAM;
}

impl Projected for Received {
    type Memory = ();

    fn memory(_: Describe) {}

    fn strip(&mut self, hashing: Option<&Hashing>) {
        match hashing.map(|hashing| hashing.hashes(&self.event)) {
            // The payload stays until the configuration is known, which takes some milliseconds.
            Some(None) => return,
            Some(Some(hashes)) => self.hashes = hashes,
            None => {}
        }
        self.event.payload = Bytes::new();
    }

    async fn complete(batch: &mut [Entry<Self>], hashing: Option<&Hashing>) -> bool {
        let Some(hashing) = hashing else { return true };
        for received in batch.iter_mut().filter_map(|entry| entry.value.as_mut()) {
            if received.event.payload.is_empty() {
                continue;
            }
            if !hashing.knows(&received.event).await {
                return false;
            }
            received.strip(Some(hashing));
        }
        true
    }

    async fn project(
        transaction: &mut Transaction<'static, Any>,
        batch: &[Entry<Self>],
        (): &mut (),
    ) -> Result<(), StoreError> {
        let events: Vec<_> = readable(batch).map(|(sequence, received)| (sequence, &received.event)).collect();
        let added = leads::add_events(transaction, &events, false).await?;
        values::add(transaction, &new_values(batch, &added.new)).await?;
        anonymised::forget(transaction, &added.marks).await
    }
}

/// The values of new events. A repeat of an event adds none, because the event may have been erased.
fn new_values<'a>(batch: &'a [Entry<Received>], new: &HashSet<u64>) -> Vec<NewValues<'a>> {
    let new = readable(batch).filter(|(sequence, received)| !received.hashes.is_empty() && new.contains(sequence));
    let values = new.map(|(sequence, Received { event, hashes })| NewValues {
        account: &event.account,
        lead: &event.lead,
        client: event.client.as_ref(),
        sequence,
        hashes,
    });
    values.collect()
}
