//! Conversions of times, durations, ids and optional texts.

use std::{fmt::Display, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::record::RecordError;

/// An invalid field: record, field, problem.
pub(crate) fn wrong(record: &'static str, field: &'static str, problem: impl Display) -> RecordError {
    RecordError::Field { record, field, problem: problem.to_string() }
}

pub(crate) fn message<M: prost::Message + Default>(record: &'static str, bytes: Bytes) -> Result<M, RecordError> {
    M::decode(bytes).map_err(|source| RecordError::Encoding { record, source })
}

pub(crate) fn time(record: &'static str, field: &'static str, micros: i64) -> Result<Timestamp, RecordError> {
    // `from_microsecond` would refuse the microseconds of the last second that a timestamp can have.
    Timestamp::from_nanosecond(i128::from(micros) * 1_000).map_err(|e| wrong(record, field, e))
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn span(record: &'static str, field: &'static str, micros: i64) -> Result<Duration, RecordError> {
    u64::try_from(micros).map(Duration::from_micros).map_err(|e| wrong(record, field, e))
}

pub(crate) fn uuid(record: &'static str, field: &'static str, bytes: &[u8]) -> Result<Uuid, RecordError> {
    Uuid::from_slice(bytes).map_err(|e| wrong(record, field, e))
}

pub(crate) fn parsed<T, E: Display>(
    record: &'static str,
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, RecordError> {
    parse(text).map_err(|e| wrong(record, field, e))
}

/// The text, or an empty one if there is none.
pub(crate) fn or_empty<T: AsRef<str>>(text: Option<T>) -> String {
    text.map(|t| t.as_ref().to_owned()).unwrap_or_default()
}

/// `None` if the text is empty.
pub(crate) fn non_empty(text: &str) -> Option<&str> {
    if text.is_empty() { None } else { Some(text) }
}
