//! Views of payloads. A payload is read from LEADS when a caller requests it, and the view is recorded before the
//! answer with the payload is sent. A payload that was anonymised before the call is never shown.

use domain::{AccountId, EventId, LeadEvent, LeadSequence, RegistryFact, registry::Change};
use jiff::Timestamp;
use journal::{Journal, StreamName};
use read_model::{Store, read_barrier::ReadBarrier, tables::events::EventOutline};
use runtime::ErrorChain as _;
use tonic::Status;

use crate::call::{
    caller::Caller,
    errors::{failed, stale, unread},
};

/// Reads payloads for callers. Clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct PayloadViews {
    journal: Journal,
    store: Store,
    read_barrier: ReadBarrier,
}

/// The payload of an event, or why it is gone.
#[derive(Debug)]
pub(crate) enum Viewed {
    Stored(Box<LeadEvent>),
    /// The lead was anonymised.
    Anonymised,
    /// LEADS no longer holds it.
    Expired,
}

impl PayloadViews {
    pub(crate) fn new(journal: Journal, store: Store) -> Self {
        let read_barrier = ReadBarrier::new(journal.clone(), store.clone());
        Self { journal, store, read_barrier }
    }

    /// An event of an account; `None` if it does not exist, or its history is no longer kept.
    pub(crate) async fn event(&self, account: &AccountId, event: &EventId) -> Result<Option<EventOutline>, Status> {
        if let Some(found) = self.store.event(account, event).await.map_err(failed)? {
            return Ok(Some(found));
        }
        // The event may be stored and not projected yet.
        self.read_barrier.wait_for_now(StreamName::Leads).await.map_err(stale)?;
        self.store.event(account, event).await.map_err(failed)
    }

    /// The payload of an event. If the payload is still stored, the caller's view is recorded before this returns.
    pub(crate) async fn view(&self, caller: &Caller, event: &EventOutline) -> Result<Viewed, Status> {
        self.read_barrier.wait_for_now(StreamName::Anonymised).await.map_err(stale)?;
        let anonymised_until = self.store.anonymised_until(&event.account, &event.lead).await.map_err(failed)?;
        if event.anonymised || event.sequence <= anonymised_until {
            return Ok(Viewed::Anonymised);
        }
        let Some(stored) = self.stored(event.sequence).await? else { return Ok(Viewed::Expired) };
        let change = Change::PayloadViewed(event.account.clone(), event.event_id.clone(), event.lead.clone());
        let fact = RegistryFact { at: Timestamp::now(), by: caller.by(), change };
        self.journal.registry().append_view(&fact).await.map_err(|error| {
            tracing::warn!(error = error.chain(), "cannot record the view of a payload; refused the call");
            api::status::unavailable(format!("cannot record that you see the payload: {error}; repeat the call"))
        })?;
        Ok(Viewed::Stored(Box::new(stored)))
    }

    async fn stored(&self, sequence: LeadSequence) -> Result<Option<LeadEvent>, Status> {
        self.journal.leads().get(sequence).await.map_err(unread)
    }
}
