//! Makes the request of an attempt, signed as Standard Webhooks specifies.

use bytes::Bytes;
use crypto::{MasterKey, Signer, sign};
use domain::{
    Registry, Work,
    delivery::RequestLine,
    registry::{Algorithm, Destination, Method, Token, TokenSecret},
};
use http::{HeaderMap, HeaderValue, header::HeaderName};
use jiff::Timestamp;
use render::{Head, HeaderText, Rendered};
use runtime::trace::TraceContext;
use url::Url;

use crate::{
    transport::compatibility,
    transport::grant::Grant,
    transport::redaction::Redaction,
    transport::route::{NoRoute, Route},
};

/// A request that is ready to be sent.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: http::Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The secrets that must not be stored with the answer.
    pub(crate) redaction: Redaction,
    /// The destination's own settings for connections; `None` if it has none.
    pub(crate) route: Option<Route>,
    /// The credentials for an access token; `None` if the request needs no token.
    pub(crate) grant: Option<Grant>,
}

/// Why the settings of a destination allow no request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoRequest {
    #[error(transparent)]
    Render(#[from] render::RenderError),
    #[error("the template engine failed; simplify the templates, and inform the operator of Leadline")]
    Engine,
    #[error("the token that should sign the request was deleted; assign another one")]
    TokenGone,
    #[error("the token that should sign the request has no valid secret any more")]
    NoSecret,
    #[error("a secret cannot be opened with the master key of this process")]
    Sealed(#[from] crypto::OpenError),
    #[error("the header {0} cannot be sent: its value is not valid in HTTP")]
    Header(String),
    #[error("the destination's proxy cannot be used: its URL {0}")]
    Proxy(String),
}

impl From<NoRoute> for NoRequest {
    fn from(failure: NoRoute) -> Self {
        match failure {
            NoRoute::Sealed(error) => Self::Sealed(error),
            NoRoute::Proxy(problem) => Self::Proxy(problem),
        }
    }
}

impl Request {
    /// The request line that an attempt shows.
    pub(crate) fn line(&self) -> RequestLine {
        RequestLine { method: self.method.to_string(), url: self.url.to_string() }
    }
}

/// The request line that an attempt shows if no request could be made.
pub(crate) fn intended(destination: &Destination) -> RequestLine {
    RequestLine { method: destination.request.method.as_str().into(), url: destination.url.clone() }
}

/// The inputs of [`make`].
pub(crate) struct Parts<'a> {
    pub(crate) work: &'a Work,
    pub(crate) destination: &'a Destination,
    pub(crate) registry: &'a Registry,
    pub(crate) key: &'a MasterKey,
    pub(crate) rendered: Rendered,
    /// The number of deliveries that led to the event.
    pub(crate) hops: u32,
    pub(crate) now: Timestamp,
    /// The trace context to send.
    pub(crate) trace: &'a TraceContext,
}

/// Makes the request. The signature covers exactly the bytes that are sent.
pub(crate) fn make(parts: Parts<'_>) -> Result<Request, NoRequest> {
    let (reference, destination) = (&parts.work.reference, parts.destination);
    let (credentials, redaction, grant) = credentials(&parts)?;
    let route = Route::of(destination, parts.key)?;
    let (signers, body, timestamp) = (signers(&parts)?, &parts.rendered.body, parts.now.as_second());
    let id = render::webhook_id(destination, reference);
    let compatibility = destination.request.compatibility_signature.as_ref();
    let compatibility = compatibility.map(|how| compatibility::headers(how, &signers, timestamp, body));
    let own = |(name, value): (&str, String)| (name.to_owned(), value);
    let head = Head {
        destination,
        reference,
        attempt: parts.work.attempt,
        hops: parts.hops,
        content_type: parts.rendered.content_type.as_deref(),
        timestamp,
        signature: (!signers.is_empty()).then(|| sign(&signers, &id, timestamp, body)),
        compatibility: compatibility.unwrap_or_default().into_iter().map(own).collect(),
        traceparent: parts.trace.traceparent(),
        tracestate: parts.trace.tracestate(),
        baggage: parts.trace.baggage(),
    };
    let headers = header_map(&head, credentials)?;
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

/// The headers of a request. `credentials` is `None` if they are added later, or the destination has none.
fn header_map(head: &Head<'_>, credentials: Option<HeaderValue>) -> Result<HeaderMap, NoRequest> {
    let mut headers = HeaderMap::with_capacity(16);
    for (name, value) in head.headers() {
        let wrong = || NoRequest::Header(name.to_owned());
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let value = match value {
            HeaderText::Plain(text) => HeaderValue::from_str(&text).map_err(|_| wrong())?,
            HeaderText::Credentials => match &credentials {
                Some(credentials) => credentials.clone(),
                None => continue,
            },
        };
        headers.insert(key, value);
    }
    Ok(headers)
}

/// The value of the header with the destination's credentials, its secrets, and the credentials for an access token.
fn credentials(parts: &Parts<'_>) -> Result<(Option<HeaderValue>, Redaction, Option<Grant>), NoRequest> {
    let Some(credentials) = &parts.destination.request.credentials else {
        return Ok((None, Redaction::default(), None));
    };
    let belongs_to = Destination::belongs_to(&parts.destination.account, &parts.destination.id);
    let value = parts.key.open_bytes(&credentials.sealed.0, &belongs_to)?;
    if let Some(client) = &credentials.oauth2 {
        let redaction = Redaction::of_header(&value);
        return Ok((None, redaction, Some(Grant::new(client, &value, &credentials.sealed))));
    }
    let redaction = Redaction::of_header(&value);
    let mut value = HeaderValue::from_bytes(&value).map_err(|_| NoRequest::Header(credentials.header.clone()))?;
    value.set_sensitive(true);
    Ok((Some(value), redaction, None))
}

/// The signers that are valid now; empty if the destination has no token.
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
