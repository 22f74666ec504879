//! `POST /v1/leads`.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::{Bytes, BytesMut};
use domain::{LeadEvent, Principal};
use futures::{StreamExt as _, future::join_all};
use runtime::trace::TraceContext;
use serde_json::{Value, json};
use wire::publish::{Publish, PublishError};

use crate::{
    body::{self, Asked},
    publisher::{IN_FLIGHT, Published, Publisher},
};

/// How many times the limit is read of a request that is too large.
const MOST_DISCARDED: usize = 8;
/// When to ask again while the broker is away, in seconds.
const RETRY_AFTER: &str = "1";

struct Door {
    publisher: Publisher,
    max_event: usize,
    max_request: usize,
}

pub(crate) fn routes(publisher: Publisher, max_event: usize, max_request: usize) -> Router {
    let door = Arc::new(Door { publisher, max_event, max_request });
    Router::new().route("/v1/leads", post(publish).fallback(other_method)).with_state(door)
}

async fn other_method() -> Response {
    let error = json!({"error": {"message": "send lead events to /v1/leads with POST"}});
    (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], Json(error)).into_response()
}

async fn publish(State(door): State<Arc<Door>>, Extension(by): Extension<Principal>, request: Request) -> Response {
    let headers = request.headers().clone();
    let body = match read(request.into_body(), door.max_request).await {
        Ok(body) => body,
        Err((status, error)) => return refused(status, &error),
    };
    let caller = TraceContext::of_request(&headers);
    match body::read(&body, is_ndjson(&headers), door.max_event) {
        Ok(Asked::One(publish)) => one(&door.publisher, &by, publish, caller.as_ref()).await,
        Ok(Asked::Many(events)) => many(&door.publisher, &by, events, caller.as_ref()).await,
        Err(error) if body.trim_ascii().len() > door.max_event => refused(StatusCode::PAYLOAD_TOO_LARGE, &error),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error),
    }
}

/// The whole body. What is too large is read to its end, within reason: a client that is still sending would see a
/// broken connection instead of the answer.
async fn read(body: Body, most: usize) -> Result<Bytes, (StatusCode, PublishError)> {
    let (mut kept, mut length) = (BytesMut::new(), 0_usize);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| (StatusCode::BAD_REQUEST, PublishError::invalid("body", e.to_string())))?;
        length = length.saturating_add(chunk.len());
        if length <= most {
            kept.extend_from_slice(&chunk);
        } else if length > most.saturating_mul(MOST_DISCARDED) {
            break;
        }
    }
    if length > most {
        let problem = format!("the request has more than {most} bytes");
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

async fn one(publisher: &Publisher, by: &Principal, publish: Publish, caller: Option<&TraceContext>) -> Response {
    let event = match publisher.check(by, publish).await {
        Ok(event) => event,
        Err(error @ PublishError::Unavailable(_)) => return unavailable(json!({"error": shown_error(&error)})),
        Err(error) => return refused(status_of(&error), &error),
    };
    let event_id = event.event_id.clone();
    match publisher.stored(publisher.send(event, caller).await).await {
        Ok(published) => (StatusCode::ACCEPTED, Json(shown(&published))).into_response(),
        // With the id that it would have had, a publisher who named none can repeat the call too.
        Err(error) => unavailable(json!({"error": shown_error(&error), "event_id": event_id.as_str()})),
    }
}

/// All or none as far as mistakes go: if one event is wrong, none is stored.
async fn many(
    publisher: &Publisher,
    by: &Principal,
    events: Vec<Result<Publish, PublishError>>,
    caller: Option<&TraceContext>,
) -> Response {
    let checks = events.into_iter().map(async |event| publisher.check(by, event?).await);
    let checked: Vec<Result<LeadEvent, PublishError>> = join_all(checks).await;
    if let Some(error) = checked.iter().find_map(|event| event.as_ref().err().filter(|e| e.field().is_none())) {
        return match error {
            PublishError::Unavailable(_) => unavailable(json!({"error": shown_error(error)})),
            ended => refused(status_of(ended), ended),
        };
    }
    if checked.iter().any(Result::is_err) {
        let wrong = checked.iter().enumerate().filter_map(|(index, event)| {
            let mut error = shown_error(event.as_ref().err()?);
            error["index"] = index.into();
            Some(error)
        });
        let errors: Vec<Value> = wrong.collect();
        let message = format!("{} of the events are wrong, so none was stored", errors.len());
        let answer = json!({"error": {"message": message}, "errors": errors});
        // One that was none of the publisher's business says more than one that was wrong.
        let of = |event: &Result<LeadEvent, PublishError>| event.as_ref().err().map(status_of);
        let status = checked.iter().filter_map(of).max().unwrap_or(StatusCode::BAD_REQUEST);
        return (status, Json(answer)).into_response();
    }
    // One after another to the broker, in the order of the request; their acknowledgements come when they come.
    let (door, caller) = (publisher.clone(), caller.cloned());
    let sending = futures::stream::iter(checked.into_iter().flatten()).then(move |event| {
        let (door, caller) = (door.clone(), caller.clone());
        async move { door.send(event, caller.as_ref()).await }
    });
    let door = publisher.clone();
    let storing = sending.map(move |sent| {
        let (door, event_id) = (door.clone(), sent.event_id().clone());
        async move { door.stored(sent).await.map_err(|error| (event_id, error)) }
    });
    let results: Vec<_> = storing.buffered(IN_FLIGHT).collect().await;
    let complete = results.iter().all(Result::is_ok);
    let shown = results.iter().map(|result| match result {
        Ok(published) => shown(published),
        Err((event_id, error)) => json!({"error": shown_error(error), "event_id": event_id.as_str()}),
    });
    let answer = json!({"results": shown.collect::<Vec<_>>()});
    if complete { (StatusCode::ACCEPTED, Json(answer)).into_response() } else { unavailable(answer) }
}

const fn status_of(error: &PublishError) -> StatusCode {
    match error {
        PublishError::Invalid { .. } => StatusCode::BAD_REQUEST,
        PublishError::KeyEnded(_) => StatusCode::UNAUTHORIZED,
        PublishError::Denied(_) => StatusCode::FORBIDDEN,
        PublishError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn shown(published: &Published) -> Value {
    json!({
        "event_id": published.event_id.as_str(),
        "lead_id": published.lead.as_str(),
        "duplicate": published.duplicate,
    })
}

fn shown_error(error: &PublishError) -> Value {
    match error.field() {
        Some(field) => json!({"field": field, "message": error.to_string()}),
        None => json!({"message": error.to_string()}),
    }
}

fn unavailable(answer: Value) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)], Json(answer)).into_response()
}

fn refused(status: StatusCode, error: &PublishError) -> Response {
    (status, Json(json!({"error": shown_error(error)}))).into_response()
}
