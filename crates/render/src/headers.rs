//! The headers of a request that follow from the settings and the delivery. This module knows no secrets. The caller
//! passes the values that it made with secrets, or placeholders for them.

use std::borrow::Cow;

use domain::{
    DeliveryRef,
    lead::HOPS,
    registry::{Credentials, Destination, WebhookId},
};
use url::{Position, Url};

/// The header `user-agent` of requests.
pub const AGENT: &str = concat!("Leadline/", env!("CARGO_PKG_VERSION"));
/// The header `accept` of requests: an answer may be anything.
pub const ACCEPT: &str = "*/*";

/// The input for the headers of a request.
#[derive(Debug, Clone)]
pub struct Head<'a> {
    pub destination: &'a Destination,
    pub reference: &'a DeliveryRef,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The number of deliveries that led to the event.
    pub hops: u32,
    /// `None` if there is no body.
    pub content_type: Option<&'a str>,
    /// When the request is signed, in seconds since 1970.
    pub timestamp: i64,
    /// `None` if the destination has no token.
    pub signature: Option<String>,
    /// The headers of the signature in another sender's format.
    pub compatibility: Vec<(String, String)>,
    /// The trace context to send; `None` for each header that is not sent.
    pub traceparent: Option<String>,
    pub tracestate: Option<String>,
    pub baggage: Option<&'a str>,
}

impl Head<'_> {
    /// The headers in the order in which they are set. A later header replaces an earlier one with the same name, so a
    /// header of a destination cannot replace a header of Leadline.
    pub fn headers(&self) -> Vec<(&str, HeaderText<'_>)> {
        fn line<'a>(name: &'a str, value: impl Into<Cow<'a, str>>) -> (&'a str, HeaderText<'a>) {
            (name, HeaderText::Plain(value.into()))
        }
        let (reference, shape) = (self.reference, &self.destination.request);
        let mut headers = Vec::with_capacity(16);
        headers.extend(self.content_type.map(|content_type| line("content-type", content_type)));
        headers.extend(shape.headers.iter().map(|(name, value)| line(name, value)));
        headers.extend(shape.credentials.as_ref().map(|credentials| (name_of(credentials), HeaderText::Credentials)));
        headers.push(line("webhook-id", webhook_id(self.destination, reference)));
        headers.push(line("webhook-timestamp", self.timestamp.to_string()));
        headers.extend(self.signature.as_deref().map(|signature| line("webhook-signature", signature)));
        headers.extend(self.compatibility.iter().map(|(name, value)| line(name, value)));
        headers.push(line("leadline-event-id", reference.event_id.as_str()));
        headers.push(line("leadline-delivery-id", reference.delivery.to_string()));
        headers.push(line("leadline-event-type", reference.event_type.as_str()));
        headers.push(line("leadline-attempt", self.attempt.to_string()));
        headers.push(line(HOPS, self.hops.saturating_add(1).to_string()));
        headers.extend(self.traceparent.as_deref().map(|parent| line("traceparent", parent)));
        headers.extend(self.tracestate.as_deref().map(|state| line("tracestate", state)));
        headers.extend(self.baggage.map(|baggage| line("baggage", baggage)));
        headers
    }
}

/// The value of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderText<'a> {
    Plain(Cow<'a, str>),
    /// The credentials of the destination. The caller puts them here, or shows a note instead.
    Credentials,
}

fn name_of(credentials: &Credentials) -> &str {
    match credentials.oauth2 {
        Some(_) => "authorization",
        None => &credentials.header,
    }
}

/// The id by which a receiver discards repeats.
pub fn webhook_id(destination: &Destination, reference: &DeliveryRef) -> String {
    match destination.request.webhook_id {
        WebhookId::Event => reference.event_id.to_string(),
        WebhookId::Delivery => reference.delivery.to_string(),
    }
}

/// The host and port of a URL, as the header `host` has them.
pub fn authority(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}
