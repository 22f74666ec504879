//! Errors of `/v1/leads` in JSON: code and reason for programs, a message for people, every invalid field, and the id
//! of the request.

use std::time::Duration;

use api::{
    publish::PublishError,
    status::{self, publish_error, word},
};
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::{EventId, text::bounded};
use runtime::RequestId;
use serde_json::{Value, json};

use crate::measured;

/// Answers to one request.
#[derive(Debug, Clone)]
pub(crate) struct Reply(pub(crate) RequestId);

impl Reply {
    pub(crate) fn refused(&self, status: StatusCode, error: &PublishError) -> Response {
        with_retry_after(status, retry_after(error), Json(json!({"error": self.to_json(error)})))
    }

    /// The refusal of an event that was sent to the broker. It has the event id, so that the publisher can repeat the
    /// call.
    pub(crate) fn not_stored(&self, error: &PublishError, event_id: &EventId) -> Response {
        let answer = json!({"error": self.to_json(error), "event_id": event_id.as_str()});
        with_retry_after(status_of(error), None, Json(answer))
    }

    fn to_json(&self, error: &PublishError) -> Value {
        let mut shown = to_json(error);
        shown["request_id"] = self.0.as_str().into();
        shown
    }
}

/// An error in JSON, without the id of the request.
pub(crate) fn to_json(error: &PublishError) -> Value {
    measured::refused(error);
    let status = publish_error(error);
    let mut shown = json!({
        "code": word(status.code()), "reason": status::reason(&status), "message": bounded(error.to_string()),
    });
    if let Some(field) = error.field() {
        shown["field"] = field.into();
    }
    if let PublishError::Invalid(mistakes) = error
        && mistakes.len() > 1
    {
        let fields = mistakes.iter().map(|(field, problem)| json!({"field": field, "message": problem}));
        shown["fields"] = fields.collect();
    }
    shown
}

/// How long a limit asks the publisher to wait.
pub(crate) const fn retry_after(error: &PublishError) -> Option<Duration> {
    match error {
        PublishError::TooFast { retry_after, .. } => Some(*retry_after),
        _ => None,
    }
}

/// An answer with `Retry-After`, if a repeat can succeed.
pub(crate) fn with_retry_after(status: StatusCode, after: Option<Duration>, answer: impl IntoResponse) -> Response {
    let away = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(status::RETRY_DELAY);
    let mut response = (status, answer).into_response();
    if let Some(after) = after.or(away)
        && let Ok(seconds) = HeaderValue::from_str(&after.as_millis().div_ceil(1_000).to_string())
    {
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

pub(crate) const fn status_of(error: &PublishError) -> StatusCode {
    match error {
        PublishError::Invalid(_) => StatusCode::BAD_REQUEST,
        PublishError::Conflict { .. } => StatusCode::CONFLICT,
        PublishError::KeyEnded(_) => StatusCode::UNAUTHORIZED,
        PublishError::Denied(_) => StatusCode::FORBIDDEN,
        PublishError::Loop { .. } => StatusCode::LOOP_DETECTED,
        PublishError::TooFast { .. } => StatusCode::TOO_MANY_REQUESTS,
        PublishError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
