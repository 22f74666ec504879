//! The request of an attempt: what is sent, signed as Standard Webhooks has it.

use bytes::Bytes;
use crypto::{MasterKey, Secret, sign};
use domain::{
    Registry, Work,
    delivery::RequestLine,
    registry::{Destination, Token},
};
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_TYPE, HeaderName},
};
use jiff::Timestamp;
use runtime::trace::TraceContext;
use url::Url;

const METHOD: &str = "POST";

/// A request that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: crate::client::Body,
}

/// Why the destination's settings do not make a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRequest {
    #[error("the destination's URL is none: {0}")]
    Url(#[from] url::ParseError),
    #[error("the token that should sign the request was deleted; assign another one")]
    TokenGone,
    #[error("the token that should sign the request has no secret that is still valid")]
    NoSecret,
    #[error("the secret of the token cannot be opened with the master key of this process: {0}")]
    Sealed(#[from] crypto::OpenError),
    #[error("the {0} cannot be sent in a header")]
    Header(&'static str),
}

/// What an attempt shows of its request.
pub(crate) fn line(destination: &Destination) -> RequestLine {
    RequestLine { method: METHOD.into(), url: destination.url.clone() }
}

/// Makes the request. The signature covers exactly the bytes that are sent.
pub(crate) fn make(
    work: &Work,
    destination: &Destination,
    registry: &Registry,
    key: &MasterKey,
    payload: Bytes,
    now: Timestamp,
    trace: &TraceContext,
) -> Result<Request, NoRequest> {
    let url = Url::parse(&destination.url)?;
    let reference = &work.reference;
    let (id, timestamp) = (reference.event_id.as_str(), now.as_second());
    let mut headers = HeaderMap::with_capacity(10);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut set = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).map_err(|_| NoRequest::Header(name))?;
        headers.insert(HeaderName::from_static(name), value);
        Ok::<_, NoRequest>(())
    };
    set("webhook-id", id)?;
    set("webhook-timestamp", &timestamp.to_string())?;
    let secrets = secrets(destination, registry, key, now)?;
    if !secrets.is_empty() {
        set("webhook-signature", &sign(&secrets, id, timestamp, &payload))?;
    }
    set("leadline-delivery-id", &reference.delivery.to_string())?;
    set("leadline-event-type", reference.event_type.as_str())?;
    set("leadline-attempt", &work.attempt.to_string())?;
    set("traceparent", &trace.traceparent())?;
    if let Some(state) = trace.tracestate() {
        set("tracestate", state)?;
    }
    Ok(Request { url, headers, body: payload })
}

/// The secrets that sign now; none if the destination has no token.
fn secrets(
    destination: &Destination,
    registry: &Registry,
    key: &MasterKey,
    now: Timestamp,
) -> Result<Vec<Secret>, NoRequest> {
    let Some(id) = &destination.token else { return Ok(vec![]) };
    let token = registry.token(&destination.account, id).ok_or(NoRequest::TokenGone)?;
    let belongs_to = Token::belongs_to(&destination.account, id);
    let open = |secret: &domain::registry::TokenSecret| key.open(&secret.sealed.0, &belongs_to);
    let secrets = token.valid_secrets(now).map(open).collect::<Result<Vec<_>, _>>()?;
    if secrets.is_empty() { Err(NoRequest::NoSecret) } else { Ok(secrets) }
}
