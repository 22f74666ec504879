//! Converts refusals into gRPC statuses; no service makes a status by itself. The message of a status is short, even if
//! it quotes a long text.
//!
//! Each status has details, which every protocol carries: `ErrorInfo` with a reason for programs, `BadRequest` with
//! every invalid field, and `RetryInfo` if the same call may succeed later.

use std::{collections::HashMap, time::Duration};

use domain::{
    access::Denial,
    delivery::RetryRefusal,
    job::JobRefusal,
    registry::{KeyRefusal, Refusal},
    text::{bounded, bounded_to},
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::publish::error::PublishError;

/// The domain of every reason (`google.rpc.ErrorInfo`).
pub const DOMAIN: &str = "leadline";
/// The reason of an invalid field.
pub const FIELD_INVALID: &str = "FIELD_INVALID";
/// The delay after which to repeat a call, if the broker or the database does not answer.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);
/// A status lists at most this many invalid fields. The message and the fields fit into 8 KiB of trailers, which is all
/// that grpc-java accepts.
const MAX_FIELDS: usize = 20;
/// The maximum size of all problems together, in bytes.
const MAX_PROBLEMS: usize = 1_500;
/// The maximum size of a problem, in bytes.
const MAX_PROBLEM: usize = 400;

/// A status with a reason for programs.
pub fn because(code: Code, reason: &str, message: impl Into<String>) -> Status {
    with(code, message.into(), info(reason, []))
}

/// The status `INVALID_ARGUMENT` for a field of a request.
pub fn invalid(field: &str, problem: impl std::fmt::Display) -> Status {
    wrong_fields(&[(field, problem.to_string())])
}

/// The status `INVALID_ARGUMENT` for several fields of a request.
pub fn wrong_fields(mistakes: &[(&str, String)]) -> Status {
    let message = mistakes.iter().map(|(field, problem)| format!("{field}: {problem}")).collect::<Vec<_>>().join("; ");
    let mut details = info(FIELD_INVALID, []);
    let each = MAX_PROBLEM.min(MAX_PROBLEMS / mistakes.len().clamp(1, MAX_FIELDS));
    for (field, problem) in mistakes.iter().take(MAX_FIELDS) {
        details
            .add_bad_request_violation(bounded_to(MAX_PROBLEM, (*field).to_owned()), bounded_to(each, problem.clone()));
    }
    with(Code::InvalidArgument, message, details)
}

/// The status `UNAVAILABLE`, with the delay after which to call again.
pub fn unavailable(message: impl Into<String>) -> Status {
    let mut details = info("UNAVAILABLE", []);
    details.set_retry_info(Some(RETRY_DELAY));
    with(Code::Unavailable, message.into(), details)
}

/// The status `ABORTED`: another call was faster, and the same call may succeed now.
pub fn aborted(message: impl Into<String>) -> Status {
    let mut details = info("CONCURRENT_CHANGE", []);
    details.set_retry_info(Some(Duration::ZERO));
    with(Code::Aborted, message.into(), details)
}

/// The status `INTERNAL`: the same call fails again, and its caller can do nothing about it.
pub fn internal(message: impl Into<String>) -> Status {
    because(Code::Internal, "INTERNAL", message)
}

/// The status `NOT_FOUND` for a thing of this kind, such as `DELIVERY`.
pub fn not_found(kind: &str, message: impl Into<String>) -> Status {
    because(Code::NotFound, &format!("{kind}_NOT_FOUND"), message)
}

/// The status of a refused change of the configuration.
pub fn refusal(refusal: &Refusal) -> Status {
    let message = refusal.to_string();
    let about = |kind: domain::registry::EntityKind, what: &str| format!("{}_{what}", kind.as_str().to_uppercase());
    match refusal {
        Refusal::Invalid { field, problem } => wrong_fields(&[(*field, problem.clone())]),
        Refusal::Several(mistakes) => wrong_fields(mistakes),
        Refusal::AlreadyExists { kind, .. } => because(Code::AlreadyExists, &about(*kind, "EXISTS"), message),
        Refusal::NotFound { kind, .. } => because(Code::NotFound, &about(*kind, "NOT_FOUND"), message),
        Refusal::InUse { kind, .. } => because(Code::FailedPrecondition, &about(*kind, "IN_USE"), message),
        Refusal::TooMany { max, .. } => {
            with(Code::ResourceExhausted, message, info("LIMIT_REACHED", [("limit", max.to_string())]))
        }
        Refusal::Limit { limit, setting, .. } => with(
            Code::ResourceExhausted,
            message,
            info("LIMIT_REACHED", [("limit", limit.to_string()), ("setting", (*setting).to_owned())]),
        ),
    }
}

/// The status of a call that the caller's API key does not permit.
pub fn denied(denial: &Denial) -> Status {
    let details = match denial {
        Denial::Scope { needs, .. } => info("SCOPE_MISSING", [("scope", needs.as_str().to_owned())]),
        Denial::NotPlatform { .. } => info("PLATFORM_KEY_REQUIRED", []),
        Denial::OtherAccount { .. } => info("OTHER_ACCOUNT", []),
        Denial::FormsOnly { .. } => info("FORM_KEY", []),
        Denial::OneClient { .. } => info("ACCOUNT_KEY_REQUIRED", []),
        Denial::FromPortal { .. } => info("PORTAL_SESSION", []),
    };
    with(Code::PermissionDenied, denial.to_string(), details)
}

/// The status of a call whose API key is refused.
pub fn not_authenticated(refusal: KeyRefusal) -> Status {
    because(Code::Unauthenticated, key_reason(refusal), refusal.to_string())
}

/// The reason of a refused API key.
pub const fn key_reason(refusal: KeyRefusal) -> &'static str {
    match refusal {
        KeyRefusal::Unknown => "KEY_UNKNOWN",
        KeyRefusal::Revoked => "KEY_REVOKED",
        KeyRefusal::Expired => "KEY_EXPIRED",
    }
}

/// The status of a refused retry.
pub fn retry_refusal(refusal: RetryRefusal) -> Status {
    let details = match (refusal, refusal.status()) {
        (_, Some(status)) => info("DELIVERY_NOT_FAILED", [("status", status.as_str().to_owned())]),
        (RetryRefusal::Unknown, None) => info("DELIVERY_NOT_FOUND", []),
        (other, None) => info(&other.as_str().to_uppercase(), []),
    };
    with(Code::FailedPrecondition, refusal.to_string(), details)
}

/// The status of a refused job.
pub fn job_refusal(refusal: &JobRefusal) -> Status {
    match refusal {
        JobRefusal::Ended(_) => because(Code::FailedPrecondition, "JOB_ENDED", refusal.to_string()),
        JobRefusal::NoTime { .. } => invalid("until", refusal),
        JobRefusal::Nothing | JobRefusal::TooMany(_) | JobRefusal::Twice(_) => invalid("delivery_ids", refusal),
    }
}

/// The status of a refused event.
pub fn publish_error(error: &PublishError) -> Status {
    let message = error.to_string();
    match error {
        PublishError::Invalid(mistakes) => {
            let mistakes: Vec<_> = mistakes.iter().map(|(field, problem)| (*field, problem.clone())).collect();
            wrong_fields(&mistakes)
        }
        PublishError::Denied(denial) => {
            let mut details = denied(denial).get_error_details();
            details.add_bad_request_violation("account", denial.to_string());
            with(Code::PermissionDenied, message, details)
        }
        PublishError::Loop { .. } => because(Code::FailedPrecondition, "LOOP", message),
        PublishError::Conflict { .. } => because(Code::AlreadyExists, "EVENT_CONFLICT", message),
        PublishError::TooFast { account, retry_after, .. } => {
            let mut details = info("RATE_EXCEEDED", [("account", account.to_string())]);
            details.set_retry_info(Some(*retry_after));
            details.add_quota_failure_violation(format!("account:{account}"), message.clone());
            with(Code::ResourceExhausted, message, details)
        }
        PublishError::KeyEnded(refusal) => because(Code::Unauthenticated, key_reason(*refusal), message),
        PublishError::Unavailable(_) => unavailable(message),
    }
}

/// The name of a code in JSON, as the Connect protocol defines it.
pub const fn word(code: Code) -> &'static str {
    match code {
        Code::Cancelled => "canceled",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
        Code::Ok | Code::Unknown => "unknown",
    }
}

/// The reason of a status; empty if it has none.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

fn info<const N: usize>(reason: &str, metadata: [(&str, String); N]) -> ErrorDetails {
    let metadata: HashMap<_, _> = metadata.map(|(name, value)| (name.to_owned(), value)).into();
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

fn with(code: Code, message: String, details: ErrorDetails) -> Status {
    Status::with_error_details(code, bounded(message), details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_listed_and_the_whole_stays_small() {
        let status = wrong_fields(&[("url", "is not a URL".into()), ("timeout", "is negative".into())]);
        assert_eq!(status.message(), "url: is not a URL; timeout: is negative");
        let fields: Vec<_> = status.get_details_bad_request().unwrap().field_violations;
        let fields: Vec<_> = fields.iter().map(|it| (it.field.as_str(), it.description.as_str())).collect();
        assert_eq!(fields, [("url", "is not a URL"), ("timeout", "is negative")]);
        assert_eq!((reason(&status).as_str(), DOMAIN), (FIELD_INVALID, "leadline"));

        let long: Vec<_> = (0..100).map(|_| ("headers", "€".repeat(10_000))).collect();
        let status = wrong_fields(&long);
        assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), MAX_FIELDS);
        // The bytes are sent in base64, and the message percent-encoded.
        assert!(status.details().len() * 4 / 3 + status.message().len() * 3 < 8 * 1024, "{}", status.details().len());
    }

    #[test]
    fn a_status_has_a_reason_and_a_retry_delay() {
        let reason_of = |refusal| reason(&retry_refusal(refusal));
        assert_eq!(reason_of(RetryRefusal::LeadAnonymised), "LEAD_ANONYMISED");
        assert_eq!(reason_of(RetryRefusal::InterfaceDeleted), "INTERFACE_DELETED");
        assert_eq!(reason_of(RetryRefusal::Unknown), "DELIVERY_NOT_FOUND");
        let not_failed = retry_refusal(RetryRefusal::NotFailed(domain::delivery::DeliveryStatus::Succeeded));
        let info = not_failed.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["status"].as_str()), ("DELIVERY_NOT_FAILED", "succeeded"));
        assert_eq!(unavailable("away").get_details_retry_info().unwrap().retry_delay, Some(RETRY_DELAY));
    }
}
