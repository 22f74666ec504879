//! Helpers that the tests of templates share.
#![allow(dead_code, unreachable_pub)] // each test uses some of them

use std::thread;

use bytes::Bytes;
use domain::{
    AccountId, DeliveryRef, DestinationId, EventId, EventType, InterfaceId, LeadEvent, LeadId, LeadSequence,
    RetryPolicy,
    delivery::request,
    registry::{Body, Destination, EventTypePattern, RequestShape, Scope},
};
use jiff::Timestamp;
use render::{Input, STACK, check, render};

pub fn reference() -> std::sync::Arc<DeliveryRef> {
    let event = LeadEvent {
        event_id: EventId::parse("evt:1").unwrap(),
        account: AccountId::parse("acme").unwrap(),
        interface: InterfaceId::parse("form").unwrap(),
        client: None,
        lead: LeadId::parse("lead:1").unwrap(),
        destination: None,
        event_type: EventType::lead_created(),
        occurred_at: Timestamp::UNIX_EPOCH,
        received_at: Timestamp::UNIX_EPOCH,
        registry_sequence: 0,
        hops: 0,
        payload: Bytes::new(),
    };
    let id = DestinationId::parse("dst").unwrap();
    request(&event, LeadSequence(1), &id, Timestamp::UNIX_EPOCH).reference().clone()
}

pub fn destination(url: &str, body: Body) -> Destination {
    Destination {
        account: AccountId::parse("acme").unwrap(),
        id: DestinationId::parse("dst").unwrap(),
        name: String::new(),
        scope: Scope::Account,
        url: url.into(),
        condition: None,
        event_types: vec![EventTypePattern::any()],
        timeout: Destination::DEFAULT_TIMEOUT,
        concurrency: 1,
        retry: RetryPolicy::standard(),
        rate: None,
        breaker_failures: 0,
        ordered: false,
        request: RequestShape { body, ..RequestShape::default() },
        transport: Default::default(),
        token: None,
        enabled: true,
        deactivated: None,
        skip_held_before: None,
        deleted: false,
    }
}

#[derive(Debug)]
pub struct RenderedRequest {
    pub url: String,
    pub body: String,
    pub content_type: Option<String>,
}

/// Renders URL, body and content type on a large enough stack.
fn made(payload: &str, destination: Destination) -> Result<RenderedRequest, String> {
    let payload = Bytes::copy_from_slice(payload.as_bytes());
    let make = move || {
        let reference = reference();
        let input = Input { reference: &reference, occurred_at: Timestamp::UNIX_EPOCH, payload: &payload };
        let rendered = render(&destination, &input).map_err(|e| e.to_string())?;
        let body = String::from_utf8(rendered.body.to_vec()).unwrap();
        Ok(RenderedRequest { url: rendered.url.to_string(), body, content_type: rendered.content_type.map(Into::into) })
    };
    thread::Builder::new().stack_size(STACK).spawn(make).unwrap().join().unwrap()
}

pub fn rendered_with(payload: &str, url: &str, body: Body) -> Result<(String, String), String> {
    made(payload, destination(url, body)).map(|made| (made.url, made.body))
}

fn of_shape(request: RequestShape) -> Destination {
    Destination { request, ..destination("https://crm.example/", Body::Payload) }
}

pub fn shaped(request: RequestShape, payload: &str) -> Result<RenderedRequest, String> {
    made(payload, of_shape(request))
}

pub fn check_shape(request: &RequestShape) -> Result<(), String> {
    check(&of_shape(request.clone())).map_err(|e| e.to_string())
}

pub fn body(body: Body, payload: &str) -> Result<String, String> {
    rendered_with(payload, "https://crm.example/", body).map(|(_, body)| body)
}

pub fn body_of(template: &str, payload: &str) -> Result<String, String> {
    body(Body::Template(template.into()), payload)
}

pub fn url_of(template: &str, payload: &str) -> Result<String, String> {
    rendered_with(payload, template, Body::Payload).map(|(url, _)| url)
}

pub fn checked(url: &str, template: &str) -> Result<(), String> {
    check(&destination(url, Body::Template(template.into()))).map_err(|e| e.to_string())
}
