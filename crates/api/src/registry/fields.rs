//! Reads fields of the configuration.

use std::time::Duration;

use domain::registry::Refusal;

use crate::primitives::duration;

pub(super) fn invalid(field: &'static str, problem: impl ToString) -> Refusal {
    Refusal::Invalid { field, problem: problem.to_string() }
}

pub(super) fn span(field: &'static str, given: &prost_types::Duration) -> Result<Duration, Refusal> {
    duration(given).ok_or_else(|| invalid(field, "is negative or out of range"))
}
