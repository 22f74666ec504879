//! The refusal of a form, with a text for people and an error in JSON for scripts.

use std::time::Duration;

use access::Refused;
use api::{
    publish::PublishError,
    status::{self, word},
};
use axum::http::StatusCode;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::http::errors::{retry_after, status_of, to_json};

#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// For a person.
    pub(super) message: String,
    /// For a script: code, reason, message and field, as in the errors of `/v1/leads`.
    pub(super) error: Value,
    /// When a repeat may succeed.
    pub(super) retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: Code, reason: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let error = json!({"code": word(code), "reason": reason, "message": message});
        Self { status, message, error, retry_after: None }
    }

    /// A form that cannot be read.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidArgument, "FORM_INVALID", message)
    }

    /// A body that cannot be read, with the status of the answer.
    pub(super) fn of_body((status, error): (StatusCode, PublishError)) -> Self {
        Self { status, ..Self::from(error) }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        let retry_after = retry_after(&error);
        Self { status: status_of(&error), error: to_json(&error), message: error.to_string(), retry_after }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let status = Status::from(&refused);
        Self::new(refused.http_status(), status.code(), &status::reason(&status), refused.to_string())
    }
}
