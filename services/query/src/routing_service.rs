//! `leadline.v1.RoutingService`: why a destination gets an event, or does not.
//!
//! The rules of [`domain::routing`] are evaluated with the configuration that was in force when the event was
//! published. Later facts come from the read model.

mod event_history;
mod to_api;

use std::{sync::Arc, time::Duration};

use api::{
    request::{Violations, required},
    routing_service_server::RoutingServiceServer,
    status::{not_found, unavailable},
};
use domain::{AccountId, DeliveryId, DestinationId, EventId, LeadId, LeadSequence, Registry};
use journal::{Journal, PastRegistry, RegistryView};
use read_model::{History, Store, tables::events::EventOutline};
use runtime::ErrorChain as _;
use tokio::{sync::Semaphore, time::timeout};
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use self::event_history::EventHistory;
use crate::call::{
    caller::Caller,
    errors::{failed, unknown_configuration},
    not_found,
};

/// At most this many events of a lead are explained.
const MAX_EVENTS: usize = 20;
/// At most this many calls read the registry from its beginning at once, because each of them holds a copy of it.
const MAX_READING: usize = 2;
/// How long a call waits for a permit to read, and for the configuration of the past.
const PAST_TIMEOUT: Duration = Duration::from_secs(10);

struct RoutingService {
    journal: Journal,
    store: Store,
    registry: RegistryView,
    history: History,
    reading: Semaphore,
}

pub(crate) fn service(
    journal: Journal,
    store: Store,
    registry: RegistryView,
    history: History,
) -> RoutingServiceServer<impl api::routing_service_server::RoutingService> {
    let reading = Semaphore::new(MAX_READING);
    RoutingServiceServer::new(RoutingService { journal, store, registry, history, reading })
        .accept_compressed(CompressionEncoding::Gzip)
}

#[tonic::async_trait]
impl api::routing_service_server::RoutingService for RoutingService {
    async fn explain_routing(
        &self,
        request: Request<api::ExplainRoutingRequest>,
    ) -> Result<Response<api::ExplainRoutingResponse>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let id = required("destination_id", &request.destination_id, DestinationId::parse);
        let of = fields.note(caller.account_and(&request.account_id, id));
        let requested = Requested::of(&mut fields, request);
        let ((account, id), requested) = fields.end(|| of.zip(requested))?;
        // The destination may have been created a moment ago by another process.
        let now = self.registry.up_to_date().await.map_err(unknown_configuration)?;
        if now.destination_ever(&id).is_none_or(|destination| destination.account != account) {
            return Err(not_found("DESTINATION", format!("account {account} has no destination {id}")));
        }
        let mut outlines = self.outlines(&account, requested).await?;
        let more = outlines.len() > MAX_EVENTS;
        outlines.truncate(MAX_EVENTS);
        let mut explained = self.with_past(&caller, &account, &id, &now, outlines).await?;
        explained.sort_by_key(|of_event| std::cmp::Reverse(of_event.0));
        let explanations = explained.into_iter().map(|(_, explanation)| explanation).collect();
        Ok(Response::new(api::ExplainRoutingResponse { explanations, more }))
    }
}

/// The events that a request wants explained.
enum Requested {
    Event(EventId),
    /// The latest events of a lead.
    Lead(LeadId),
}

impl Requested {
    /// Reads a request, and notes what is wrong with it.
    fn of(fields: &mut Violations, request: &api::ExplainRoutingRequest) -> Option<Self> {
        match (request.event_id.as_str(), request.lead_id.as_str()) {
            ("", "") => fields.wrong("event_id", "is missing, and so is lead_id; give one of the two"),
            (text, "") => return fields.note(required("event_id", text, EventId::parse)).map(Self::Event),
            ("", text) => return fields.note(required("lead_id", text, LeadId::parse)).map(Self::Lead),
            _ => fields.wrong("lead_id", "is given together with event_id; give one of the two"),
        }
        None
    }
}

impl RoutingService {
    /// The events that a request names.
    async fn outlines(&self, account: &AccountId, requested: Requested) -> Result<Vec<EventOutline>, Status> {
        let (found, kind, what) = match requested {
            Requested::Event(id) => {
                let found = self.store.event(account, &id).await.map_err(failed)?;
                (found.into_iter().collect(), "EVENT", format!("account {account} has no event {id}"))
            }
            Requested::Lead(lead) => {
                let found = self.store.events_of(account, &lead, MAX_EVENTS + 1).await.map_err(failed)?;
                (found, "LEAD", format!("account {account} has no lead {lead}"))
            }
        };
        if found.is_empty() {
            return Err(not_found::in_history(self.history, &self.registry.snapshot(), Some(account), kind, &what));
        }
        Ok(found)
    }

    /// Explains events with the configuration at the time of each.
    async fn with_past(
        &self,
        caller: &Caller,
        account: &AccountId,
        id: &DestinationId,
        now: &Arc<Registry>,
        outlines: Vec<EventOutline>,
    ) -> Result<Vec<(LeadSequence, api::RoutingExplanation)>, Status> {
        let mut events = vec![];
        for event in outlines {
            events.push(self.event_history(account, id, event).await?);
        }
        // The configuration is read once, from its beginning, so the events have to be in the order of its changes.
        events.sort_by_key(|of| (of.stored.as_ref().map_or(0, |event| event.registry_sequence), of.event.received_at));
        let explain = async {
            let _permit = self.reading.acquire().await;
            let (mut past, mut of_erased) = (PastRegistry::of(&self.journal), PastRegistry::of(&self.journal));
            let mut explained = vec![];
            for of in events {
                let then = match &of.stored {
                    Some(event) if event.registry_sequence >= now.sequence() => now,
                    Some(event) => past.at(event.registry_sequence).await,
                    None => of_erased.at_time(of.event.received_at, now.sequence()).await,
                };
                explained.push((of.event.sequence, to_api::explanation(caller, account, id, then, now, &of)));
            }
            explained
        };
        let late = "the configuration at the time of the event cannot be read in time; repeat the call";
        timeout(PAST_TIMEOUT, explain).await.map_err(|_| unavailable(late))
    }

    async fn event_history(
        &self,
        account: &AccountId,
        id: &DestinationId,
        event: EventOutline,
    ) -> Result<EventHistory, Status> {
        let delivery = DeliveryId::of(account, &event.event_id, id);
        let delivery = self.store.delivery(delivery).await.map_err(failed)?;
        let until = self.store.anonymised_until(account, &event.lead).await.map_err(failed)?;
        let after = self.store.earlier_in_order(id, &event).await.map_err(failed)?;
        let stored = self.journal.leads().get(event.sequence).await.map_err(|error| {
            tracing::warn!(error = error.chain(), "cannot read the event of an explanation; refused the call");
            unavailable(format!("the event cannot be read: {error}; repeat the call"))
        })?;
        // After a loss of data, LEADS may hold another event at this sequence.
        let stored = stored.filter(|stored| stored.event_id == event.event_id && !stored.payload.is_empty());
        Ok(EventHistory { anonymised: event.sequence <= until, event, stored, delivery, after })
    }
}
