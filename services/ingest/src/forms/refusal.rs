//! The refusal of a form, with a text for people and an error in JSON for scripts.

use api::publish::PublishError;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::http::errors::{status_of, to_json};

/// Why a form was not stored.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// For a person.
    pub(super) message: String,
    /// For a script: like the errors of `/v1/leads`, as far as the refusal has code, reason and field.
    pub(super) error: Value,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, error: json!({"message": message}), message }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        Self { status: status_of(&error), error: to_json(&error), message: error.to_string() }
    }
}
