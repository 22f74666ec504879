//! The anonymised leads: their payloads are removed from the cache and are not sent any more.
//!
//! The dispatcher follows the stream, so it knows within milliseconds that a lead was anonymised. Leads that were
//! anonymised earlier are looked up once for each account, when a payload turns out to be gone. If a publisher repeats
//! an anonymised event, its id is known, and the event is not sent either.

use std::{sync::Arc, time::Duration};

use domain::{AccountId, AnonymisationFact, DeliveryRef, EventId, LeadId, LeadSequence};
use jiff::Timestamp;
use journal::{Journal, JournalError, StreamFact as _};
use moka::{policy::EvictionPolicy, sync::Cache};
use runtime::{Drain, ErrorChain as _};
use tokio::sync::Mutex;

use crate::{fifo_cache::FifoCache, payloads::Payloads};

/// The maximum number of leads that are remembered. If a lead was evicted, a delivery that waited meanwhile ends as if
/// its payload were too old.
const MAX_LEADS: usize = 200_000;
/// The maximum number of events that are remembered. If an event was evicted and is published again, it reaches its
/// receiver before it is erased.
const MAX_EVENTS: usize = 200_000;
/// The maximum number of accounts whose earliest look-up is remembered.
const MAX_ACCOUNTS: u64 = 10_000;
/// The number of facts that are read at the start: as many as are remembered. Reading them takes about a second.
const RECENT: u64 = MAX_EVENTS as u64;
/// The maximum number of facts in one batch.
const MAX_BATCH: usize = 1_000;
/// The delay before the broker is asked again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The leads that were anonymised, each with the last sequence of LEADS that its anonymisation covers, and the ids of
/// their events.
#[derive(Debug)]
pub(crate) struct AnonymisedLeads {
    events: FifoCache<(AccountId, EventId), ()>,
    leads: FifoCache<(AccountId, LeadId), LeadSequence>,
    read_since: Cache<AccountId, Arc<Mutex<Option<Timestamp>>>>,
}

impl Default for AnonymisedLeads {
    fn default() -> Self {
        Self {
            events: FifoCache::new(MAX_EVENTS, Duration::MAX),
            leads: FifoCache::new(MAX_LEADS, Duration::MAX),
            read_since: Cache::builder().max_capacity(MAX_ACCOUNTS).eviction_policy(EvictionPolicy::lru()).build(),
        }
    }
}

impl AnonymisedLeads {
    /// Follows ANONYMISED until the drain. It begins with recent facts, because their events may not be erased yet, and
    /// erased events may be published again.
    pub(crate) async fn follow(&self, journal: &Journal, payloads: &Payloads, drain: &Drain) {
        let from = loop {
            match journal.stream(AnonymisationFact::STREAM).last_sequence().await {
                Ok(last) => break last.saturating_sub(RECENT) + 1,
                Err(error) => tracing::debug!(error = error.chain(), "cannot read the end of ANONYMISED; retrying"),
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_DELAY) => {}
                () = drain.stopping() => return,
            }
        };
        let mut facts = journal.facts::<AnonymisationFact>().read(from);
        loop {
            let batch = facts.next_batch(MAX_BATCH).await;
            if batch.is_empty() {
                return;
            }
            for fact in batch.into_iter().filter_map(|entry| entry.value) {
                match fact {
                    AnonymisationFact::LeadAnonymised(f) => self.remember(f.account, f.lead, f.until),
                    AnonymisationFact::EventBlanked(f) => {
                        payloads.forget(f.sequence);
                        self.events.put((f.event.account, f.event.event_id), 1, |_| ());
                    }
                }
            }
        }
    }

    /// Whether this process knows that the payload of the delivery was anonymised.
    pub(crate) fn covers(&self, reference: &DeliveryRef) -> bool {
        let lead = (reference.account.clone(), reference.lead.clone());
        self.leads.get(&lead).is_some_and(|until| {
            reference.lead_sequence <= until
                || self.events.get(&(reference.account.clone(), reference.event_id.clone())).is_some()
        })
    }

    /// Whether the payload of the delivery was anonymised at `since` or later.
    pub(crate) async fn has(
        &self,
        journal: &Journal,
        reference: &DeliveryRef,
        since: Timestamp,
    ) -> Result<bool, JournalError> {
        let account = &reference.account;
        let read_since = self.read_since.get_with_by_ref(account, Arc::default);
        let mut read_since = read_since.lock().await;
        if !self.covers(reference) && read_since.is_none_or(|from| since < from) {
            for (lead, until) in journal.anonymised().leads(account, since).await? {
                self.remember(account.clone(), lead, until);
            }
            *read_since = Some(since);
        }
        Ok(self.covers(reference))
    }

    fn remember(&self, account: AccountId, lead: LeadId, until: LeadSequence) {
        self.leads.put((account, lead), 1, |known| known.map_or(until, |known| known.max(until)));
    }
}
