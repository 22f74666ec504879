//! `leadline.v1.DeliveryService`: shows, watches and retries deliveries, shows and previews their requests, and sends
//! test deliveries.

mod requests;
mod searching;
mod state;
mod to_api;
mod trial;
mod watch;
mod watchers;

use std::sync::Arc;

use api::{
    deliveries::{filter, retry_reason},
    delivery_service_server::DeliveryServiceServer,
    request::{Violations, optional, required},
    status::{retry_refusal, unavailable},
};
use domain::{
    Delivery, DeliveryId, DestinationId, RequestId,
    delivery::{RetryRequest, request_retry},
};
use jiff::Timestamp;
use journal::{Journal, RegistryView, StreamName};
use read_model::{
    History, Store,
    hashing::Hashing,
    page::Place,
    read_barrier::{ReadBarrier, Stale},
    request_retry,
    tables::{attempts::DestinationEvent, deliveries::pages::SwitchedOff},
};
use requests::MAX_RENDERING;
use runtime::{Drain, ErrorChain as _, publishing, trace::TraceContext};
pub(crate) use searching::{chosen, wanted};
use state::{Changes, DeliveryService, no_destination};
use to_api::{attempt_for, event_for};
pub(crate) use to_api::{delivery_for, place};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status, codec::CompressionEncoding};
use tracing::Instrument as _;
pub use watchers::WatchLimits;
use watchers::Watchers;

use crate::call::{
    caller::Caller,
    errors::{failed, stale},
    for_clients, listing,
    payload_views::PayloadViews,
};

/// At most this many attempts at a destination are on a page.
const MAX_EVENTS: u32 = 100;

pub(crate) fn service(
    journal: Journal,
    store: Store,
    registry: RegistryView,
    hashing: Hashing,
    drain: Drain,
    watch_limits: WatchLimits,
    history: History,
) -> DeliveryServiceServer<impl api::delivery_service_server::DeliveryService> {
    let watchers = Watchers::new(watch_limits);
    let read_barrier = ReadBarrier::new(journal.clone(), store.clone());
    let payloads = PayloadViews::new(journal.clone(), store.clone());
    let rendering = Arc::new(Semaphore::new(MAX_RENDERING));
    let service = DeliveryService {
        journal,
        store,
        registry,
        hashing,
        read_barrier,
        drain,
        watchers,
        history,
        payloads,
        rendering,
    };
    DeliveryServiceServer::new(service).accept_compressed(CompressionEncoding::Gzip)
}

impl DeliveryService {
    /// Requests another round of a delivery, unless the same call requested it before.
    async fn retry(
        &self,
        caller: &Caller,
        id: DeliveryId,
        retry: RetryRequest,
        trace: &TraceContext,
    ) -> Result<(), Status> {
        self.read_barrier.wait_for_now(StreamName::Deliveries).await.map_err(stale)?;
        let delivery = self.find(caller, id).await?;
        if self.is_requested(&delivery, retry.request.as_ref()).await? {
            return Ok(());
        }
        let registry = self.registry.snapshot();
        for_clients::may_retry(caller, &registry, &delivery)?;
        let context = request_retry::context::<Stale>(&self.journal, &self.store, &registry, &delivery, retry.force)
            .await
            .map_err(stale)?;
        let request = retry.request.clone();
        let fact = request_retry(&delivery, context, Timestamp::now(), retry).map_err(retry_refusal)?;
        let stored = request_retry::append(&self.journal, &fact, trace).await.map_err(|error| {
            tracing::warn!(error = error.chain(), "cannot append the request of a retry; refused the call");
            unavailable(format!(
                "cannot confirm that the retry was stored: {error}; repeat the call, the retry is stored once"
            ))
        })?;
        match stored {
            Ok(sequence) => {
                self.read_barrier.shows(StreamName::Deliveries, sequence).await.map_err(failed)?;
            }
            Err(why) => {
                // The same call may have arrived twice at the same time.
                self.read_barrier.wait_for_now(StreamName::Deliveries).await.map_err(stale)?;
                if !self.is_requested(&delivery, request.as_ref()).await? {
                    return Err(retry_refusal(why));
                }
            }
        }
        Ok(())
    }

    async fn is_requested(&self, delivery: &Delivery, request: Option<&RequestId>) -> Result<bool, Status> {
        match request {
            Some(request) => self.store.has_request(&delivery.reference, request).await.map_err(failed),
            None => Ok(false),
        }
    }
}

#[tonic::async_trait]
impl api::delivery_service_server::DeliveryService for DeliveryService {
    async fn get_delivery(
        &self,
        request: Request<api::GetDeliveryRequest>,
    ) -> Result<Response<api::DeliveryDetail>, Status> {
        let caller = Caller::of(&request)?;
        let id = self.named(&caller, &request.get_ref().delivery_id).await?;
        let delivery = self.find(&caller, id).await?;
        let attempts = self.store.attempts(&delivery.reference).await.map_err(failed)?;
        let registry = self.registry.snapshot();
        let destination = registry.destination_ever(&delivery.reference.destination).map(AsRef::as_ref);
        let attempts = attempts.iter().map(|row| attempt_for(&caller, row, destination));
        let attempts = attempts.map(|attempt| for_clients::attempt(&caller, &delivery, &registry, attempt)).collect();
        let delivery = Some(delivery_for(&caller, &delivery, &registry));
        Ok(Response::new(api::DeliveryDetail { delivery, attempts }))
    }

    async fn list_deliveries(
        &self,
        request: Request<api::ListDeliveriesRequest>,
    ) -> Result<Response<api::ListDeliveriesResponse>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let given = request.filter.unwrap_or_default();
        let mut fields = Violations::default();
        let filter = filter(&mut fields, &given).and_then(|mut filter| {
            filter.account = fields.note(caller.narrowed(filter.account))?;
            filter.client = fields.note(caller.narrowed_client(filter.client))?;
            let values = fields.note(wanted(&self.hashing, filter.account.as_ref(), &given.r#where))?;
            Some((filter, values))
        });
        let page = listing::page(&mut fields, request.page_size, &request.page_token, filter.as_ref());
        let ((filter, values), page) = fields.end(|| filter.zip(page))?;
        let registry = self.registry.snapshot();
        let off = SwitchedOff::among(&filter, &registry);
        let chosen = chosen(&self.store, &filter, &values).await?;
        let mut found = self.store.deliveries_among(&chosen, &filter, &page, &off).await.map_err(failed)?;
        let next_page_token = page.cut(&mut found, place);
        let deliveries = found.iter().map(|delivery| delivery_for(&caller, delivery, &registry)).collect();
        Ok(Response::new(api::ListDeliveriesResponse { deliveries, next_page_token }))
    }

    async fn retry_delivery(
        &self,
        request: Request<api::RetryDeliveryRequest>,
    ) -> Result<Response<api::RetryDeliveryResponse>, Status> {
        let trace = TraceContext::of_request(request.metadata().as_ref());
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let mut fields = Violations::default();
        let caller = caller.with_requester(&mut fields, &request.requested_by);
        let id = fields.note(required("delivery_id", &request.delivery_id, DeliveryId::parse));
        let reason = fields.note(retry_reason(&request.reason));
        let call = fields.note(optional("request_id", &request.request_id, RequestId::parse));
        let (id, reason, call) = fields.end(|| Some((id?, reason?, call?)))?;
        let retry = RetryRequest {
            by: caller.by(),
            reason,
            request: call,
            force: request.force,
            previous: self.store.latest_span(id).await.map_err(failed)?,
        };
        let make = || publishing!(StreamName::Deliveries, leadline.delivery.id = %id);
        let (span, trace) = TraceContext::enter(trace.as_ref(), make);
        self.retry(&caller, id, retry, &trace).instrument(span).await?;
        let delivery = self.find(&caller, id).await?;
        let shown = delivery_for(&caller, &delivery, &self.registry.snapshot());
        Ok(Response::new(api::RetryDeliveryResponse { delivery: Some(shown) }))
    }

    async fn get_attempt_request(
        &self,
        request: Request<api::GetAttemptRequestRequest>,
    ) -> Result<Response<api::AttemptRequest>, Status> {
        let caller = Caller::of(&request)?;
        self.attempt_request(request.into_inner(), &caller).await.map(Response::new)
    }

    async fn preview_request(
        &self,
        request: Request<api::PreviewRequestRequest>,
    ) -> Result<Response<api::RenderedRequest>, Status> {
        let caller = Caller::of(&request)?;
        self.preview(request.into_inner(), &caller).await.map(Response::new)
    }

    async fn list_destination_events(
        &self,
        request: Request<api::ListDestinationEventsRequest>,
    ) -> Result<Response<api::ListDestinationEventsResponse>, Status> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let id = required("destination_id", &request.destination_id, DestinationId::parse);
        let of = fields.note(caller.account_and(&request.account_id, id));
        let limit = match request.limit {
            0 => MAX_EVENTS,
            limit => limit,
        };
        if limit > MAX_EVENTS {
            fields.wrong("limit", format!("{limit} is not from 1 to {MAX_EVENTS}"));
        }
        let list = of.as_ref().map(|(account, id)| ("destination events", account, id));
        let page = listing::page(&mut fields, limit.min(MAX_EVENTS), &request.page_token, list);
        let ((account, id), page) = fields.end(|| of.zip(page))?;
        // A deleted destination has attempts as well.
        let registry = self.registry.snapshot();
        let destination = registry.destination_ever(&id).filter(|destination| destination.account == account);
        let destination = destination.ok_or_else(|| no_destination(&account, &id))?;
        let mut events = self.store.destination_events(&account, &id, &page).await.map_err(failed)?;
        let next_page_token = page.cut(&mut events, place_of_event);
        let events = events.into_iter().map(|event| event_for(&caller, event, destination)).collect();
        Ok(Response::new(api::ListDestinationEventsResponse { events, next_page_token }))
    }

    type WatchDeliveriesStream = Changes;

    async fn watch_deliveries(
        &self,
        request: Request<api::WatchDeliveriesRequest>,
    ) -> Result<Response<Changes>, Status> {
        let watched = watch::WatchRequest::of(Caller::of(&request)?, request.into_inner())?;
        self.watch(watched).await.map(Response::new)
    }

    async fn send_test_delivery(
        &self,
        request: Request<api::SendTestDeliveryRequest>,
    ) -> Result<Response<api::SendTestDeliveryResponse>, Status> {
        let (caller, trace) = (Caller::of(&request)?, TraceContext::of_request(request.metadata().as_ref()));
        self.send_test(request.into_inner(), &caller, trace.as_ref()).await.map(Response::new)
    }
}

fn place_of_event(event: &DestinationEvent) -> Place {
    let attempt = &event.attempt.attempt;
    Place { at: attempt.started_at.as_microsecond(), id: attempt.attempt_id.to_string() }
}
