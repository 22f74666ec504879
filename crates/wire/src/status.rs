//! The one place where refusals become gRPC statuses.

use domain::{delivery::RetryRefusal, registry::Refusal};
use tonic::{Code, Status};

use crate::publish::PublishError;

/// A field of a request is wrong: `INVALID_ARGUMENT`, naming it.
pub fn invalid(field: &str, problem: impl std::fmt::Display) -> Status {
    Status::invalid_argument(format!("{field}: {problem}"))
}

/// A refused change of the configuration.
pub fn refusal(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::Invalid { .. } => Code::InvalidArgument,
        Refusal::AlreadyExists { .. } => Code::AlreadyExists,
        Refusal::NotFound { .. } => Code::NotFound,
        Refusal::InUse { .. } => Code::FailedPrecondition,
        Refusal::TooMany { .. } => Code::ResourceExhausted,
    };
    Status::new(code, refusal.to_string())
}

/// A refused retry.
pub fn retry_refusal(refusal: RetryRefusal) -> Status {
    Status::failed_precondition(refusal.to_string())
}

/// A refused publish.
pub fn publish_error(error: &PublishError) -> Status {
    let code = match error {
        PublishError::Invalid { .. } => Code::InvalidArgument,
        PublishError::Unavailable(_) => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}
