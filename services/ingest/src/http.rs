//! `POST /v1/leads`: [`encoding`] decompresses the body of a request, [`body`] reads it, [`idempotency`] and [`hops`]
//! read its headers, [`cloud_events`] reads CloudEvents, and [`errors`] formats errors.

pub(crate) mod body;
pub(crate) mod cloud_events;
pub(crate) mod encoding;
pub(crate) mod errors;
pub(crate) mod hops;
pub(crate) mod idempotency;

use std::sync::Arc;

use api::publish::{Publish, PublishError};
use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::{Bytes, BytesMut};
use domain::Principal;
use futures::StreamExt as _;
use runtime::{Late, RequestId, trace::TraceContext};
use serde::Serialize;
use serde_json::{Value, json};

use self::{
    body::{Limits, RequestBody, Unread},
    cloud_events::CloudEvents,
    encoding::{ACCEPTED, Encoding, Undecoded},
    errors::{Reply, status_of},
};
use crate::publisher::{CalledFrom, Checked, IN_FLIGHT, Published, Publisher};

/// A request that is too large is read up to this multiple of the limit.
const MAX_DISCARDED: usize = 8;
/// The maximum number of errors that an answer lists. Further ones usually repeat the same mistake.
const MAX_ERRORS: usize = 100;

struct Endpoint {
    publisher: Publisher,
    limits: Limits,
    max_request: usize,
    max_hops: u32,
}

pub(crate) fn routes(publisher: Publisher, limits: Limits, max_request: usize, max_hops: u32) -> Router {
    let endpoint = Arc::new(Endpoint { publisher, limits, max_request, max_hops });
    Router::new().route("/v1/leads", post(publish).fallback(other_method)).with_state(endpoint)
}

async fn other_method(Extension(id): Extension<RequestId>) -> Response {
    let error = json!({"error": {
        "code": "unimplemented", "reason": "METHOD_NOT_ALLOWED", "message": "send lead events to /v1/leads with POST",
        "request_id": id.as_str(),
    }});
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], Json(error)).into_response()
}

async fn publish(
    State(endpoint): State<Arc<Endpoint>>,
    Extension(by): Extension<Principal>,
    Extension(id): Extension<RequestId>,
    request: Request,
) -> Response {
    let reply = Reply(id.clone());
    let answer = publish_all(&endpoint, &by, &reply, request).await;
    let answer = answer.unwrap_or_else(|refused| refused);
    if !answer.status().is_success() {
        tracing::debug!(request_id = id.as_str(), status = answer.status().as_u16(), "refused lead events");
    }
    answer
}

/// The answer if the events are stored, or if they are refused.
type Answered = Result<Response, Response>;

async fn publish_all(endpoint: &Endpoint, by: &Principal, reply: &Reply, request: Request) -> Answered {
    let (headers, address) = (request.headers().clone(), request.uri().clone());
    let encoding = Encoding::of(&headers).map_err(|error| refused_encoding(reply, &error))?;
    let body = read(request.into_body(), endpoint.max_request).await;
    let body = body.map_err(|(status, error)| reply.refused(status, &error))?;
    let body = encoding.decode(body, endpoint.max_request).map_err(|undecoded| match undecoded {
        Undecoded::TooLarge(error) => reply.refused(StatusCode::PAYLOAD_TOO_LARGE, &error),
        Undecoded::Wrong(error) => reply.refused(StatusCode::BAD_REQUEST, &error),
    })?;
    let refused = |error: PublishError| reply.refused(status_of(&error), &error);
    let hops = hops::of_request(&headers, endpoint.max_hops).map_err(refused)?;
    let key = idempotency::of_request(&headers).map_err(refused)?;
    let from = CalledFrom { trace: TraceContext::of_request(&headers), request_id: Some(reply.0.clone()) };
    let cloud_events = CloudEvents::of(&headers, &address).map_err(refused)?;
    let given = match &cloud_events {
        Some(cloud_events) => cloud_events.read(&headers, &body, endpoint.limits),
        None => body::read(&body, is_ndjson(&headers), endpoint.limits),
    };
    let event = |raw: &[u8]| match &cloud_events {
        Some(cloud_events) => cloud_events.event(&body, raw, endpoint.limits.max_event),
        None => body::event(&body, raw, endpoint.limits.max_event),
    };
    match given {
        Ok(RequestBody::One(publish)) => {
            let publish = idempotency::with_key(Publish { hops, ..publish }, key).map_err(refused)?;
            Ok(one(&endpoint.publisher, by, reply, publish, &from).await)
        }
        Ok(RequestBody::Many(_)) if key.is_some() => Err(refused(idempotency::names_one_event())),
        Ok(RequestBody::Many(events)) => {
            let events = endpoint.check(by, &events, hops, event).await.map_err(|wrong| wrong.answer(reply))?;
            Ok(many(&endpoint.publisher, reply, events, &from).await)
        }
        Err(Unread::TooLarge(error)) => Err(reply.refused(StatusCode::PAYLOAD_TOO_LARGE, &error)),
        Err(Unread::Wrong(error)) => Err(reply.refused(StatusCode::BAD_REQUEST, &error)),
    }
}

/// Reads the whole body. Reading continues up to [`MAX_DISCARDED`] times the limit, because a client that is
/// still sending would see a broken connection instead of the answer.
pub(crate) async fn read(body: Body, max: usize) -> Result<Bytes, (StatusCode, PublishError)> {
    let (mut kept, mut length) = (BytesMut::new(), 0_usize);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| match Late::of(&error) {
            Some(late) => (StatusCode::REQUEST_TIMEOUT, PublishError::invalid("body", late.to_string())),
            None => (StatusCode::BAD_REQUEST, PublishError::invalid("body", error.to_string())),
        })?;
        length = length.saturating_add(chunk.len());
        if length <= max {
            kept.extend_from_slice(&chunk);
        } else if length > max.saturating_mul(MAX_DISCARDED) {
            break;
        }
    }
    if length > max {
        let problem = format!("the request has more than {max} bytes");
        return Err((StatusCode::PAYLOAD_TOO_LARGE, PublishError::invalid("body", problem)));
    }
    Ok(kept.freeze())
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    ["application/x-ndjson", "application/ndjson", "application/jsonl"]
        .iter()
        .any(|known| media_type.eq_ignore_ascii_case(known))
}

async fn one(publisher: &Publisher, by: &Principal, reply: &Reply, publish: Publish, from: &CalledFrom) -> Response {
    let checked = publisher.latest().await.and_then(|registry| Publisher::check(&registry, by, publish));
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => return reply.refused(status_of(&error), &error),
    };
    if let Err(error) = publisher.rates().admit([&checked.event.account]) {
        return reply.refused(status_of(&error), &error);
    }
    let event_id = checked.event.event_id.clone();
    let looked_up = publisher.look_up(checked).await;
    match publisher.stored(publisher.send(looked_up, from).await).await {
        Ok(published) => (StatusCode::ACCEPTED, Json(Stored::of(&published))).into_response(),
        // A publisher that named no event id can repeat the call with this id.
        Err(error) => reply.not_stored(&error, &event_id),
    }
}

impl Endpoint {
    /// Checks the events of a request. If one event is invalid, none is stored.
    async fn check(
        &self,
        by: &Principal,
        events: &[&[u8]],
        hops: u32,
        read: impl Fn(&[u8]) -> Result<Publish, PublishError> + Send + Sync,
    ) -> Result<Vec<Checked>, Refusal> {
        let registry = self.publisher.latest().await?;
        let (mut good, mut wrong) = (vec![], Wrong::default());
        for (index, raw) in events.iter().enumerate() {
            match read(raw).and_then(|publish| Publisher::check(&registry, by, Publish { hops, ..publish })) {
                Ok(event) if wrong.count == 0 => good.push(event),
                Ok(_) => {}
                // The error is about the whole request, not about this event.
                Err(error) if error.field().is_none() => return Err(error.into()),
                Err(error) => {
                    good = vec![];
                    wrong.add(index, &error);
                }
            }
        }
        if wrong.count == 0 { Ok(good) } else { Err(Refusal::Events(wrong)) }
    }
}

/// Why the events of a request are not stored.
enum Refusal {
    All(PublishError),
    Events(Wrong),
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        Self::All(error)
    }
}

/// The invalid events of a request.
#[derive(Default)]
struct Wrong {
    count: usize,
    errors: Vec<Value>,
    status: StatusCode,
    code: Value,
}

impl Wrong {
    fn add(&mut self, index: usize, error: &PublishError) {
        let (status, mut shown) = (status_of(error), errors::to_json(error));
        // The answer has the highest status and its code: a denied event (403) is more important than an invalid one (400).
        if self.count == 0 || status > self.status {
            (self.status, self.code) = (status, shown["code"].clone());
        }
        self.count += 1;
        if self.errors.len() < MAX_ERRORS {
            shown["index"] = index.into();
            self.errors.push(shown);
        }
    }
}

impl Refusal {
    fn answer(self, reply: &Reply) -> Response {
        let Wrong { count, errors, status, code } = match self {
            Self::All(error) => return reply.refused(status_of(&error), &error),
            Self::Events(wrong) => wrong,
        };
        let are = if count == 1 { "is" } else { "are" };
        let mut message = format!("{count} of the events {are} wrong, so none was stored");
        let more = count - errors.len();
        if more > 0 {
            message += &format!("; the first {MAX_ERRORS} errors are listed, {more} more are not");
        }
        let error = json!({"code": code, "message": message, "request_id": reply.0.as_str()});
        (status, Json(json!({"error": error, "errors": errors, "more_errors": more}))).into_response()
    }
}

async fn many(publisher: &Publisher, reply: &Reply, events: Vec<Checked>, from: &CalledFrom) -> Response {
    if let Err(error) = publisher.rates().admit(events.iter().map(|checked| &checked.event.account)) {
        return reply.refused(status_of(&error), &error);
    }
    // Events go to the broker one after another, in the order of the request. The broker may acknowledge them in any
    // order.
    let (sends, from) = (publisher.clone(), from.clone());
    let looking_up = futures::stream::iter(events).map(|checked| publisher.look_up(checked)).buffered(IN_FLIGHT);
    let sending = looking_up.then(move |looked_up| {
        let (sends, from) = (sends.clone(), from.clone());
        async move { sends.send(looked_up, &from).await }
    });
    let stores = publisher.clone();
    let storing = sending.map(move |sent| {
        let (stores, event_id) = (stores.clone(), sent.event_id().clone());
        async move { stores.stored(sent).await.map_err(|error| (event_id, error)) }
    });
    let results: Vec<_> = storing.buffered(IN_FLIGHT).collect().await;
    // The answer has the highest status. The highest is 503, so publishers learn that the same call may succeed later.
    let failure = results.iter().filter_map(|result| result.as_ref().err()).map(|(_, error)| status_of(error)).max();
    let results = results.iter().map(|result| match result {
        Ok(published) => Stored::of(published),
        Err((event_id, error)) => Stored::No { error: errors::to_json(error), event_id: event_id.as_str() },
    });
    let answer = Json(Answer { results: results.collect() });
    match failure {
        None => (StatusCode::ACCEPTED, answer).into_response(),
        Some(status) => errors::with_retry_after(status, None, answer),
    }
}

/// The results of many events. These types take a fraction of the memory that JSON values would take.
#[derive(Serialize)]
struct Answer<'a> {
    results: Vec<Stored<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Stored<'a> {
    Yes { event_id: &'a str, lead_id: &'a str, duplicate: bool },
    No { error: Value, event_id: &'a str },
}

impl<'a> Stored<'a> {
    fn of(published: &'a Published) -> Self {
        Self::Yes {
            event_id: published.event_id.as_str(),
            lead_id: published.lead.as_str(),
            duplicate: published.duplicate,
        }
    }
}

/// The refusal of an encoding. It names the encodings that are accepted (RFC 9110, section 15.5.16).
fn refused_encoding(reply: &Reply, error: &PublishError) -> Response {
    let mut answer = reply.refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, error);
    answer.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(ACCEPTED));
    answer
}
