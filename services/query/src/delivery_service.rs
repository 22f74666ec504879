//! `leadline.v1.DeliveryService`: seeing deliveries, and repeating failed ones.

use std::time::Duration;

use domain::{
    AccountId, Delivery, DeliveryId, DeliveryStatus, DestinationId, EventId, EventType, InterfaceId, LeadId, Registry,
    advice::suggested_action,
    delivery::{FailureReason, RetryRefusal, Subject, request_retry},
    ids::IdError,
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView, StreamName};
use runtime::trace::TraceContext;
use tokio::time::Instant;
use tonic::{Request, Response, Status};
use tracing::{Instrument as _, info_span};
use wire::{
    api::{self, delivery_service_server::DeliveryServiceServer},
    duration_to_api,
    status::{invalid, retry_refusal},
    timestamp, timestamp_to_api,
};

use crate::{
    LONGEST_ACTOR, actor, failed,
    page::{Page, Place},
    store::{
        Store,
        deliveries::{AttemptRow, DeliveryFilter},
    },
};

/// How often the read model is looked at meanwhile.
const SHOWN_POLL: Duration = Duration::from_millis(10);
/// How long the answer to a retry waits until the read model shows it; then it comes all the same.
const SHOWN_DEADLINE: Duration = Duration::from_secs(2);

struct DeliveryService {
    journal: Journal,
    store: Store,
    registry: RegistryView,
}

pub(crate) fn service(
    journal: Journal,
    store: Store,
    registry: RegistryView,
) -> DeliveryServiceServer<impl api::delivery_service_server::DeliveryService> {
    DeliveryServiceServer::new(DeliveryService { journal, store, registry })
}

impl DeliveryService {
    /// Waits until the read model shows the facts of DELIVERIES up to this one; whether it does in time. Whichever
    /// process projects them, the database knows.
    async fn shows(&self, sequence: u64) -> Result<bool, Status> {
        let give_up = Instant::now() + SHOWN_DEADLINE;
        while self.store.checkpoint(StreamName::Deliveries).await.map_err(failed)? < sequence {
            if Instant::now() >= give_up {
                return Ok(false);
            }
            tokio::time::sleep(SHOWN_POLL).await;
        }
        Ok(true)
    }

    /// A decision about a delivery needs what is recorded by now, not what was shown before a rebuild or a pause.
    async fn wait_for_now(&self) -> Result<(), Status> {
        let unknown = |e: JournalError| Status::unavailable(format!("cannot find out what is recorded: {e}"));
        let now = self.journal.last_sequence(StreamName::Deliveries).await.map_err(unknown)?;
        match self.shows(now).await? {
            true => Ok(()),
            false => Err(Status::unavailable("the read model is behind; ask again")),
        }
    }

    async fn find(&self, id: DeliveryId) -> Result<Delivery, Status> {
        let found = self.store.delivery(id).await.map_err(failed)?;
        found.ok_or_else(|| Status::not_found(format!("there is no delivery {id}")))
    }
}

#[tonic::async_trait]
impl api::delivery_service_server::DeliveryService for DeliveryService {
    async fn get_delivery(
        &self,
        request: Request<api::GetDeliveryRequest>,
    ) -> Result<Response<api::DeliveryDetail>, Status> {
        let delivery = self.find(delivery_id(&request.get_ref().delivery_id)?).await?;
        let attempts = self.store.attempts(delivery.reference.delivery).await.map_err(failed)?;
        Ok(Response::new(api::DeliveryDetail {
            delivery: Some(shown(&delivery, &self.registry.snapshot())),
            attempts: attempts.iter().map(shown_attempt).collect(),
        }))
    }

    async fn list_deliveries(
        &self,
        request: Request<api::ListDeliveriesRequest>,
    ) -> Result<Response<api::ListDeliveriesResponse>, Status> {
        let request = request.into_inner();
        let filter = filter(request.filter.unwrap_or_default())?;
        let page = Page::of(request.page_size, &request.page_token, &filter)?;
        let mut found = self.store.deliveries(&filter, &page).await.map_err(failed)?;
        let next_page_token = page.cut(&mut found, place);
        let registry = self.registry.snapshot();
        let deliveries = found.iter().map(|delivery| shown(delivery, &registry)).collect();
        Ok(Response::new(api::ListDeliveriesResponse { deliveries, next_page_token }))
    }

    async fn retry_delivery(
        &self,
        request: Request<api::RetryDeliveryRequest>,
    ) -> Result<Response<api::RetryDeliveryResponse>, Status> {
        let caller = TraceContext::of_request(request.metadata().as_ref());
        let by = match request.get_ref().requested_by.as_str() {
            "" => actor(&request),
            given if given.chars().count() > LONGEST_ACTOR || given.chars().any(char::is_control) => {
                return Err(invalid("requested_by", format!("is not one line of at most {LONGEST_ACTOR} characters")));
            }
            given => given.to_owned(),
        };
        let id = delivery_id(&request.get_ref().delivery_id)?;
        self.wait_for_now().await?;
        let delivery = self.find(id).await?;
        let subject = subject(&delivery, &self.registry.snapshot());
        let fact = request_retry(&delivery, subject, Timestamp::now(), by).map_err(retry_refusal)?;
        let (span, trace) = TraceContext::enter(caller.as_ref(), || info_span!("retry", delivery = %id));
        let appended = self.journal.append_delivery(&fact, &trace).instrument(span).await;
        let appended = appended.map_err(|error| {
            tracing::warn!(error = error.chain(), "a retry was not stored; its caller was told so");
            Status::unavailable(format!(
                "whether the retry was stored is not known: {error}; ask again, it is stored once"
            ))
        })?;
        if appended.duplicate {
            // Somebody else asked first, and the read model did not show it yet.
            return Err(retry_refusal(RetryRefusal::NotFailed(DeliveryStatus::Pending)));
        }
        self.shows(appended.sequence).await?;
        let delivery = self.find(id).await?;
        let shown = shown(&delivery, &self.registry.snapshot());
        Ok(Response::new(api::RetryDeliveryResponse { delivery: Some(shown) }))
    }
}

fn subject(delivery: &Delivery, registry: &Registry) -> Subject {
    let reference = &delivery.reference;
    Subject {
        interface_deleted: registry.interface(&reference.account, &reference.interface).is_none(),
        destination_deleted: registry.destination(&reference.destination).is_none(),
        lead_anonymised: delivery.failure == Some(FailureReason::Anonymised),
    }
}

fn delivery_id(text: &str) -> Result<DeliveryId, Status> {
    if text.is_empty() {
        return Err(invalid("delivery_id", "is missing"));
    }
    DeliveryId::parse(text).map_err(|e| invalid("delivery_id", e))
}

fn optional<T>(field: &str, text: &str, parse: impl FnOnce(&str) -> Result<T, IdError>) -> Result<Option<T>, Status> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some).map_err(|e| invalid(field, e)) }
}

fn filter(given: api::DeliveryFilter) -> Result<DeliveryFilter, Status> {
    let time = |field: &str, given: Option<prost_types::Timestamp>| {
        given.map(|time| timestamp(&time).ok_or_else(|| invalid(field, "is out of range"))).transpose()
    };
    Ok(DeliveryFilter {
        account: optional("filter.account_id", &given.account_id, AccountId::parse)?,
        interface: optional("filter.interface_id", &given.interface_id, InterfaceId::parse)?,
        destination: optional("filter.destination_id", &given.destination_id, DestinationId::parse)?,
        lead: optional("filter.lead_id", &given.lead_id, LeadId::parse)?,
        event_id: optional("filter.event_id", &given.event_id, EventId::parse)?,
        event_type: optional("filter.event_type", &given.event_type, EventType::parse)?,
        status: match given.status() {
            api::DeliveryStatus::Unspecified => None,
            api::DeliveryStatus::Pending => Some(DeliveryStatus::Pending),
            api::DeliveryStatus::Processing => Some(DeliveryStatus::Processing),
            api::DeliveryStatus::Retrying => Some(DeliveryStatus::Retrying),
            api::DeliveryStatus::Held => Some(DeliveryStatus::Held),
            api::DeliveryStatus::Succeeded => Some(DeliveryStatus::Succeeded),
            api::DeliveryStatus::Failed => Some(DeliveryStatus::Failed),
        },
        requested_from: time("filter.requested_from", given.requested_from)?,
        requested_before: time("filter.requested_before", given.requested_before)?,
    })
}

fn place(delivery: &Delivery) -> Place {
    let at = delivery.requested_at.unwrap_or(Timestamp::UNIX_EPOCH).as_microsecond();
    Place { at, id: delivery.reference.delivery.to_string() }
}

const fn shown_status(status: DeliveryStatus) -> api::DeliveryStatus {
    match status {
        DeliveryStatus::Pending => api::DeliveryStatus::Pending,
        DeliveryStatus::Processing => api::DeliveryStatus::Processing,
        DeliveryStatus::Retrying => api::DeliveryStatus::Retrying,
        DeliveryStatus::Held => api::DeliveryStatus::Held,
        DeliveryStatus::Succeeded => api::DeliveryStatus::Succeeded,
        DeliveryStatus::Failed => api::DeliveryStatus::Failed,
    }
}

fn shown(delivery: &Delivery, registry: &Registry) -> api::Delivery {
    let reference = &delivery.reference;
    let destination = registry.destination_ever(&reference.destination);
    let outcome = delivery.last.as_ref().map(|last| &last.outcome);
    let (status, kind) = outcome.map_or((0, None), |outcome| (outcome.status_code(), outcome.error_kind()));
    let unsuccessful = outcome.is_some_and(|outcome| !outcome.is_success());
    let request = delivery.last.as_ref().map(|last| last.request.clone());
    api::Delivery {
        delivery_id: reference.delivery.to_string(),
        account_id: reference.account.to_string(),
        interface_id: reference.interface.to_string(),
        client_id: reference.client.as_ref().map(ToString::to_string).unwrap_or_default(),
        destination_id: reference.destination.to_string(),
        destination_name: destination.map(|d| d.name.clone()).unwrap_or_default(),
        event_id: reference.event_id.to_string(),
        event_type: reference.event_type.to_string(),
        lead_id: reference.lead.to_string(),
        status: shown_status(delivery.status).into(),
        attempts: delivery.attempts,
        retries: delivery.round,
        requested_at: delivery.requested_at.map(timestamp_to_api),
        updated_at: Some(timestamp_to_api(delivery.updated_at)),
        next_attempt_at: delivery.next_attempt_at.map(timestamp_to_api),
        http_status_code: status.into(),
        webhook_response: outcome.map(|outcome| outcome.webhook_response().to_owned()).unwrap_or_default(),
        error_kind: kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        failure_reason: delivery.failure.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        suggested_action: if unsuccessful { suggested_action(status, kind).to_owned() } else { String::new() },
        request_method: request.as_ref().map(|line| line.method.clone()).unwrap_or_default(),
        request_url: request.map(|line| line.url).unwrap_or_default(),
    }
}

fn shown_attempt(row: &AttemptRow) -> api::Attempt {
    let AttemptRow { attempt, round } = row;
    api::Attempt {
        attempt_id: attempt.attempt_id.to_string(),
        number: attempt.attempt,
        round: *round,
        started_at: Some(timestamp_to_api(attempt.started_at)),
        duration: Some(duration_to_api(attempt.duration)),
        request_method: attempt.request.method.clone(),
        request_url: attempt.request.url.clone(),
        http_status_code: attempt.outcome.status_code().into(),
        webhook_response: attempt.outcome.webhook_response().to_owned(),
        error_kind: attempt.outcome.error_kind().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
    }
}
