//! Why a form was not stored.

use api::publish::PublishError;
use axum::http::StatusCode;

/// Why a form was not stored.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<PublishError> for Refusal {
    fn from(error: PublishError) -> Self {
        crate::measured::refused(&error);
        Self::new(crate::http::errors::status_of(&error), error.to_string())
    }
}
