//! The trace span of an attempt.

use domain::AttemptOutcome;
use tracing::{Span, info_span};

use crate::work_item::WorkItem;

/// The span of an attempt, before its outcome is known.
pub(crate) fn of_attempt(item: &WorkItem) -> Span {
    let reference = &item.work.reference;
    info_span!(
        "attempt",
        otel.kind = "client",
        otel.status_code = tracing::field::Empty,
        http.response.status_code = tracing::field::Empty,
        error.r#type = tracing::field::Empty,
        delivery = %reference.delivery,
        destination = %reference.destination,
        event_id = %reference.event_id,
        attempt = item.work.attempt,
    )
}

/// Records what came of it.
pub(crate) fn record(span: &Span, outcome: &AttemptOutcome) {
    span.record("http.response.status_code", outcome.status_code());
    if let Some(kind) = outcome.error_kind() {
        span.record("error.type", kind.as_str());
    }
    if !outcome.is_success() {
        span.record("otel.status_code", "ERROR");
    }
}
