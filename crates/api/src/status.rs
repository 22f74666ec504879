//! Refusals become gRPC statuses here and nowhere else. Their messages are short, whatever they quote.

use domain::{
    access::Denial,
    delivery::RetryRefusal,
    job::JobRefusal,
    registry::{KeyRefusal, Refusal},
    text::bounded,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::publish::PublishError;

/// The status `INVALID_ARGUMENT` for a field of a request.
pub fn invalid(field: &str, problem: impl std::fmt::Display) -> Status {
    Status::invalid_argument(bounded(format!("{field}: {problem}")))
}

/// A refused change of the configuration.
pub fn refusal(refusal: &Refusal) -> Status {
    let code = match refusal {
        Refusal::Invalid { .. } => Code::InvalidArgument,
        Refusal::AlreadyExists { .. } => Code::AlreadyExists,
        Refusal::NotFound { .. } => Code::NotFound,
        Refusal::InUse { .. } => Code::FailedPrecondition,
        Refusal::TooMany { .. } | Refusal::Limit { .. } => Code::ResourceExhausted,
    };
    Status::new(code, bounded(refusal.to_string()))
}

/// A call that the caller's API key does not permit.
pub fn denied(denial: &Denial) -> Status {
    Status::permission_denied(denial.to_string())
}

/// A call whose API key is refused.
pub fn not_authenticated(refusal: KeyRefusal) -> Status {
    Status::unauthenticated(refusal.to_string())
}

/// A refused retry.
pub fn retry_refusal(refusal: RetryRefusal) -> Status {
    Status::failed_precondition(refusal.to_string())
}

/// A refused job.
pub fn job_refusal(refusal: &JobRefusal) -> Status {
    match refusal {
        JobRefusal::Ended(_) => Status::failed_precondition(refusal.to_string()),
        JobRefusal::NoTime { .. } => invalid("until", refusal),
        JobRefusal::Nothing | JobRefusal::TooMany(_) | JobRefusal::Twice(_) => invalid("delivery_ids", refusal),
    }
}

/// A refused publish.
pub fn publish_error(error: &PublishError) -> Status {
    let code = match error {
        PublishError::Invalid { .. } => Code::InvalidArgument,
        PublishError::Denied(_) => Code::PermissionDenied,
        PublishError::Loop { .. } => Code::FailedPrecondition,
        PublishError::TooFast { account, retry_after, .. } => {
            let mut details = ErrorDetails::with_retry_info(Some(*retry_after));
            details.add_quota_failure_violation(format!("account:{account}"), error.to_string());
            return Status::with_error_details(Code::ResourceExhausted, error.to_string(), details);
        }
        PublishError::KeyEnded(_) => Code::Unauthenticated,
        PublishError::Unavailable(_) => Code::Unavailable,
    };
    Status::new(code, error.to_string())
}
