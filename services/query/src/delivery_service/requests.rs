//! Requests that are rendered but not sent: the request of a past attempt, or a preview. A note replaces each secret. A
//! note also replaces each value that exists only when the dispatcher sends the request, such as a signature.

use std::sync::Arc;

use api::{
    deliveries::headers_to_api,
    request::{Violations, WrongField, optional, required},
    status::{because, denied, internal, not_found, unavailable},
    timestamp_to_api,
};
use bytes::Bytes;
use domain::{
    AttemptId, DeliveryId, DeliveryRef, DestinationId, EventId, EventType, InterfaceId, LeadEvent, LeadId,
    LeadSequence,
    access::{Rule, Scope},
    delivery::{Exchange, LastAttempt},
    registry::{Destination, EntityKind, SentTrace},
};
use jiff::Timestamp;
use read_model::tables::{attempts::AttemptRow, audit::AuditFilter};
use render::{Head, HeaderText, Input, Rendered};
use runtime::ErrorChain as _;
use tonic::{Code, Status};
use uuid::Uuid;

use super::state::{DeliveryService, destination};
use crate::call::{
    caller::Caller,
    errors::{failed, unknown_configuration},
    listing,
    payload_views::Viewed,
};

/// Replaces signatures.
const MADE_LATER: &str = "[made when the request is sent]";
/// Replaces `traceparent`: only the dispatcher knows whether there will be a trace.
const MADE_IF_TRACED: &str = "[made when the request is sent, if it is traced]";
/// Replaces credentials.
const REDACTED: &str = "[redacted]";
/// The largest payload of a preview, in bytes: no event is larger.
const MAX_PAYLOAD: usize = 1024 * 1024;
/// At most this many requests are rendered at a time: a template may take tens of milliseconds of a processor.
pub(super) const MAX_RENDERING: usize = 2;
/// The size of the page that holds only the latest change.
const ONE: u32 = 1;

/// The event to render, and the delivery and attempt that would send it.
struct Rendering {
    event: LeadEvent,
    reference: DeliveryRef,
    attempt: u32,
}

impl DeliveryService {
    pub(super) async fn preview(
        &self,
        request: api::PreviewRequestRequest,
        caller: &Caller,
    ) -> Result<api::RenderedRequest, Status> {
        let mut fields = Violations::default();
        let id = required("destination_id", &request.destination_id, DestinationId::parse);
        let of = fields.note(caller.account_and(&request.account_id, id));
        let source = PreviewSource::of(&mut fields, request);
        let ((account, id), source) = fields.end(|| of.zip(source))?;
        let registry = self.registry.up_to_date().await.map_err(unknown_configuration)?;
        let destination = Arc::clone(destination(&registry, &account, &id)?);
        let event = match source {
            PreviewSource::Payload(payload, event_type) => made_up(&destination, payload, event_type),
            PreviewSource::Event(id) => {
                caller.principal().may(Rule::Needs(Scope::Payload)).map_err(|e| denied(&e))?;
                self.seen(caller, &account, &id).await?.0
            }
        };
        let reference = reference_of(&event, &destination, LeadSequence(0));
        self.rendered(&destination, &Rendering { event, reference, attempt: 1 }).await
    }

    pub(super) async fn attempt_request(
        &self,
        request: api::GetAttemptRequestRequest,
        caller: &Caller,
    ) -> Result<api::AttemptRequest, Status> {
        let mut fields = Violations::default();
        let attempt = fields.note(optional("attempt_id", &request.attempt_id, AttemptId::parse));
        let id = fields.note(self.named(caller, &request.delivery_id).await);
        let (attempt, id) = fields.end(|| attempt.zip(id))?;
        let delivery = self.find(caller, id).await?;
        let reference = DeliveryRef::clone(&delivery.reference);
        let row = self.attempt_of(&reference, attempt).await?;
        let registry = self.registry.snapshot();
        let gone = || because(Code::FailedPrecondition, "DESTINATION_UNKNOWN", "the destination is not known any more");
        let destination = Arc::clone(registry.destination_ever(&reference.destination).ok_or_else(gone)?);
        let (event, _) = self.seen(caller, &reference.account, &reference.event_id).await?;
        let attempt = row.attempt.attempt;
        let subject = Rendering { event, reference, attempt };
        let mut rendered = self.rendered(&destination, &subject).await?;
        let hash = crypto::sha256(&rendered.body);
        if let Some(exchange) = &row.exchange {
            rendered.headers = sent_headers(exchange);
        }
        Ok(api::AttemptRequest {
            attempt_id: row.attempt.attempt_id.to_string(),
            number: attempt,
            body_matches: row.exchange.as_ref().map(|exchange| exchange.request_hash == hash),
            url_matches: rendered.url == row.attempt.request.url,
            settings_changed_at: self.changed_since(&destination, &row.attempt).await?.map(timestamp_to_api),
            request: Some(rendered),
        })
    }

    /// An attempt of a delivery: the named one, or the latest.
    async fn attempt_of(&self, reference: &DeliveryRef, named: Option<AttemptId>) -> Result<AttemptRow, Status> {
        let mut attempts = self.store.attempts(reference).await.map_err(failed)?;
        let found = match named {
            None => attempts.pop(),
            Some(id) => attempts.into_iter().find(|row| row.attempt.attempt_id == id),
        };
        found.ok_or_else(|| not_found("ATTEMPT", format!("delivery {} has no such attempt", reference.delivery)))
    }

    /// An event with its payload. The view is recorded, because the caller sees the payload in the rendered request.
    async fn seen(
        &self,
        caller: &Caller,
        account: &domain::AccountId,
        event: &EventId,
    ) -> Result<(LeadEvent, LeadSequence), Status> {
        let Some(row) = self.payloads.event(account, event).await? else {
            return Err(not_found("EVENT", format!("account {account} has no event {event}")));
        };
        match self.payloads.view(caller, &row).await? {
            Viewed::Stored(event) => Ok((*event, row.sequence)),
            Viewed::Anonymised => Err(because(
                Code::FailedPrecondition,
                "LEAD_ANONYMISED",
                "the lead was anonymised, so there is no payload left to render",
            )),
            Viewed::Expired => {
                Err(because(Code::FailedPrecondition, "PAYLOAD_GONE", "the payload is no longer stored"))
            }
        }
    }

    /// The time of the last change of a destination's settings; `None` if they did not change since the attempt began.
    async fn changed_since(&self, of: &Destination, attempt: &LastAttempt) -> Result<Option<Timestamp>, Status> {
        let filter = AuditFilter {
            account: Some(of.account.clone()),
            kind: Some(EntityKind::Destination),
            id: Some(of.id.to_string()),
            from: Some(attempt.started_at),
            before: None,
            action: Some("updated"),
        };
        let page = listing::own_page(ONE, "", &filter)?;
        let latest = self.store.audit_log(&filter, &page).await.map_err(failed)?;
        Ok(latest.first().map(|entry| entry.at))
    }

    async fn rendered(&self, destination: &Arc<Destination>, of: &Rendering) -> Result<api::RenderedRequest, Status> {
        let permit = Arc::clone(&self.rendering).acquire_owned().await;
        let _permit = permit.map_err(|_| unavailable("this server is stopping; repeat the call"))?;
        let (settings, reference) = (Arc::clone(destination), of.reference.clone());
        let (payload, occurred_at) = (of.event.payload.clone(), of.event.occurred_at);
        let rendering = tokio::task::spawn_blocking(move || {
            render::render_apart(&settings, &Input { reference: &reference, occurred_at, payload: &payload })
        });
        let rendered = rendering.await.map_err(|_| internal("the template engine failed; simplify the templates"))?;
        let rendered = rendered.map_err(|error| {
            let problem = format!("the destination's settings make no valid request of this event: {}", error.chain());
            because(Code::FailedPrecondition, "NOT_RENDERED", problem)
        })?;
        Ok(rendered_to_api(destination, of, rendered))
    }
}

/// What a preview renders.
enum PreviewSource {
    Payload(Bytes, Option<EventType>),
    Event(EventId),
}

impl PreviewSource {
    /// Reads a request, and notes what is wrong with it.
    fn of(fields: &mut Violations, request: api::PreviewRequestRequest) -> Option<Self> {
        // A stored event has its own type, so this field is ignored for it.
        let event_type = if request.event_id.is_empty() { request.event_type.as_str() } else { "" };
        let event_type = fields.note(optional("event_type", event_type, EventType::parse));
        let event = fields.note(optional("event_id", &request.event_id, EventId::parse))?;
        match (request.payload.is_empty(), event) {
            (false, None) => Some(Self::Payload(fields.note(payload(request.payload, MAX_PAYLOAD))?, event_type?)),
            (true, Some(event)) => Some(Self::Event(event)),
            (true, None) => {
                fields.wrong("payload", "is missing; give it, or an event_id");
                None
            }
            (false, Some(_)) => {
                fields.wrong("payload", "is given together with event_id; give one of them");
                None
            }
        }
    }
}

/// Checks a payload that a request gives.
pub(super) fn payload(given: Vec<u8>, max: usize) -> Result<Bytes, WrongField> {
    if given.len() > max {
        return Err(WrongField::new("payload", format!("has {} bytes, and {max} is the limit", given.len())));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(&given) {
        Ok(_) => Ok(given.into()),
        Err(error) => Err(WrongField::new("payload", format!("is not JSON: {error}"))),
    }
}

/// An event that is rendered and never stored.
fn made_up(destination: &Destination, payload: Bytes, event_type: Option<EventType>) -> LeadEvent {
    let (event_id, now) = (EventId::from_uuid(Uuid::now_v7()), Timestamp::now());
    LeadEvent {
        lead: LeadId::of_event(&destination.account, &event_id),
        event_id,
        account: destination.account.clone(),
        interface: InterfaceId::tests(),
        client: None,
        destination: Some(destination.id.clone()),
        event_type: event_type.unwrap_or_else(EventType::webhook_test),
        occurred_at: now,
        received_at: now,
        registry_sequence: 0,
        hops: 0,
        payload,
    }
}

fn reference_of(event: &LeadEvent, destination: &Destination, lead_sequence: LeadSequence) -> DeliveryRef {
    DeliveryRef {
        delivery: DeliveryId::of(&event.account, &event.event_id, &destination.id),
        account: event.account.clone(),
        interface: event.interface.clone(),
        client: event.client.clone(),
        destination: destination.id.clone(),
        event_id: event.event_id.clone(),
        event_type: event.event_type.clone(),
        lead: event.lead.clone(),
        lead_sequence,
        requested_at: None,
    }
}

fn rendered_to_api(destination: &Destination, of: &Rendering, rendered: Rendered) -> api::RenderedRequest {
    let compatibility = destination.request.compatibility_signature.as_ref();
    let sends_trace = destination.request.trace_context != SentTrace::None;
    let head = Head {
        destination,
        reference: &of.reference,
        attempt: of.attempt,
        hops: of.event.hops,
        content_type: rendered.content_type.as_deref(),
        timestamp: Timestamp::now().as_second(),
        signature: destination.token.as_ref().map(|_| MADE_LATER.to_owned()),
        compatibility: compatibility.map(|how| (how.header.clone(), MADE_LATER.to_owned())).into_iter().collect(),
        traceparent: sends_trace.then(|| MADE_IF_TRACED.to_owned()),
        // Sent only if the publisher sent them, which is rare.
        tracestate: None,
        baggage: None,
    };
    let mut lines: Vec<api::ExchangeHeader> = vec![];
    let mut set = |name: &str, value: &str, replaces: bool| {
        if let Some(line) = lines.iter_mut().find(|line| line.name == name) {
            if replaces {
                value.clone_into(&mut line.value);
            }
            return;
        }
        lines.push(api::ExchangeHeader { name: name.to_owned(), value: value.to_owned() });
    };
    for (name, value) in head.headers() {
        match value {
            HeaderText::Plain(text) => set(name, &text, true),
            HeaderText::Credentials => set(name, REDACTED, true),
        }
    }
    let method = destination.request.method.as_str();
    if !rendered.body.is_empty() || destination.request.method.carries_body() {
        set("content-length", &rendered.body.len().to_string(), true);
    }
    set("user-agent", render::AGENT, false);
    set("accept", render::ACCEPT, false);
    set("host", render::authority(&rendered.url), true);
    api::RenderedRequest {
        method: method.to_owned(),
        url: rendered.url.to_string(),
        headers: lines,
        body_text: std::str::from_utf8(&rendered.body).unwrap_or_default().to_owned(),
        body: rendered.body,
    }
}

fn sent_headers(exchange: &Exchange) -> Vec<api::ExchangeHeader> {
    headers_to_api(&exchange.request_headers)
}
