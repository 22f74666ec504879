//! The request of an attempt, signed by Standard Webhooks.

use bytes::Bytes;
use crypto::{MasterKey, Signer, sign};
use domain::{
    Registry, Work,
    delivery::RequestLine,
    lead::HOPS,
    registry::{Algorithm, Destination, Method, Token, TokenSecret, WebhookId},
};
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_TYPE, HeaderName},
};
use jiff::Timestamp;
use render::Rendered;
use runtime::trace::TraceContext;
use url::Url;

use crate::{
    transport::compatibility, transport::oauth::Grant, transport::redaction::Redaction, transport::route::Route,
};

/// A request that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: http::Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What must not be stored of the answer.
    pub(crate) redaction: Redaction,
    /// `None` if the receiver is reached as every other one.
    pub(crate) route: Option<Route>,
    /// What an access token is asked for with; `None` if the request needs none.
    pub(crate) grant: Option<Grant>,
}

/// Why the destination's settings do not make a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRequest {
    #[error(transparent)]
    Render(#[from] render::RenderError),
    #[error("the engine failed while it filled in the templates; simplify them, and tell the operator of Leadline")]
    Engine,
    #[error("the token that should sign the request was deleted; assign another one")]
    TokenGone,
    #[error("the token that should sign the request has no secret that is still valid")]
    NoSecret,
    #[error("a secret cannot be opened with the master key of this process: {0}")]
    Sealed(#[from] crypto::OpenError),
    #[error("the header {0} cannot be sent: its value is no text of HTTP")]
    Header(String),
    #[error("the destination's proxy cannot be used: its URL {0}")]
    Proxy(String),
}

impl Request {
    /// What an attempt shows of its request.
    pub(crate) fn line(&self) -> RequestLine {
        RequestLine { method: self.method.to_string(), url: self.url.to_string() }
    }
}

/// What an attempt shows when there was no request to make.
pub(crate) fn intended(destination: &Destination) -> RequestLine {
    RequestLine { method: destination.request.method.as_str().into(), url: destination.url.clone() }
}

/// What a request is made from.
pub(crate) struct Parts<'a> {
    pub(crate) work: &'a Work,
    pub(crate) destination: &'a Destination,
    pub(crate) registry: &'a Registry,
    pub(crate) key: &'a MasterKey,
    pub(crate) rendered: Rendered,
    /// How many deliveries led to the event.
    pub(crate) hops: u32,
    pub(crate) now: Timestamp,
    pub(crate) trace: &'a TraceContext,
}

/// Makes the request. The signature covers exactly the bytes that are sent.
pub(crate) fn make(parts: Parts<'_>) -> Result<Request, NoRequest> {
    let (reference, destination) = (&parts.work.reference, parts.destination);
    let id = match destination.request.webhook_id {
        WebhookId::Event => reference.event_id.to_string(),
        WebhookId::Delivery => reference.delivery.to_string(),
    };
    let timestamp = parts.now.as_second();
    let mut headers = HeaderMap::with_capacity(16);
    if let Some(content_type) = &parts.rendered.content_type {
        set(&mut headers, CONTENT_TYPE.as_str(), content_type)?;
    }
    // Those of the destination first: none of Leadline's own can be replaced by one of them.
    for (name, value) in &destination.request.headers {
        set(&mut headers, name, value)?;
    }
    let (redaction, grant) = credentials(&parts, &mut headers)?;
    let route = Route::of(destination, parts.key)?;
    set(&mut headers, "webhook-id", &id)?;
    set(&mut headers, "webhook-timestamp", &timestamp.to_string())?;
    let signers = signers(&parts)?;
    if !signers.is_empty() {
        set(&mut headers, "webhook-signature", &sign(&signers, &id, timestamp, &parts.rendered.body))?;
    }
    if let Some(how) = &destination.request.compatibility_signature {
        for (name, value) in compatibility::headers(how, &signers, timestamp, &parts.rendered.body) {
            set(&mut headers, name, &value)?;
        }
    }
    set(&mut headers, "leadline-event-id", reference.event_id.as_str())?;
    set(&mut headers, "leadline-delivery-id", &reference.delivery.to_string())?;
    set(&mut headers, "leadline-event-type", reference.event_type.as_str())?;
    set(&mut headers, "leadline-attempt", &parts.work.attempt.to_string())?;
    set(&mut headers, HOPS, &parts.hops.saturating_add(1).to_string())?;
    set(&mut headers, "traceparent", &parts.trace.traceparent())?;
    if let Some(state) = parts.trace.tracestate() {
        set(&mut headers, "tracestate", state)?;
    }
    let method = match destination.request.method {
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
        Method::Get => http::Method::GET,
        Method::Delete => http::Method::DELETE,
    };
    let Rendered { url, body, .. } = parts.rendered;
    Ok(Request { method, url, headers, body, redaction, route, grant })
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), NoRequest> {
    let wrong = || NoRequest::Header(name.to_owned());
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    headers.insert(name, HeaderValue::from_str(value).map_err(|_| wrong())?);
    Ok(())
}

fn credentials(parts: &Parts<'_>, headers: &mut HeaderMap) -> Result<(Redaction, Option<Grant>), NoRequest> {
    let Some(credentials) = &parts.destination.request.credentials else { return Ok((Redaction::default(), None)) };
    let belongs_to = Destination::belongs_to(&parts.destination.account, &parts.destination.id);
    let value = parts.key.open_bytes(&credentials.sealed.0, &belongs_to)?;
    if let Some(client) = &credentials.oauth2 {
        let redaction = Redaction::of_header(&value);
        return Ok((redaction, Some(Grant::new(client, &value, &credentials.sealed))));
    }
    let wrong = || NoRequest::Header(credentials.header.clone());
    let name = HeaderName::from_bytes(credentials.header.as_bytes()).map_err(|_| wrong())?;
    let redaction = Redaction::of_header(&value);
    let mut value = HeaderValue::from_bytes(&value).map_err(|_| wrong())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok((redaction, None))
}

/// What signs now; none if the destination has no token.
fn signers(parts: &Parts<'_>) -> Result<Vec<Signer>, NoRequest> {
    let Some(id) = &parts.destination.token else { return Ok(vec![]) };
    let account = &parts.destination.account;
    let token = parts.registry.token(account, id).ok_or(NoRequest::TokenGone)?;
    let belongs_to = Token::belongs_to(account, id);
    let open = |secret: &TokenSecret| {
        let secret = parts.key.open(&secret.sealed.0, &belongs_to)?;
        Ok::<_, NoRequest>(match token.algorithm {
            Algorithm::HmacSha256 => Signer::Hmac(secret),
            Algorithm::Ed25519 => Signer::Ed25519(secret),
        })
    };
    let signers = token.valid_secrets(parts.now).map(open).collect::<Result<Vec<_>, _>>()?;
    if signers.is_empty() { Err(NoRequest::NoSecret) } else { Ok(signers) }
}
