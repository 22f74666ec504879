//! Times, durations and ids, there and back.

use std::{fmt::Display, time::Duration};

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::WireError;

/// A wrong field: record, field, problem.
pub(crate) fn wrong(record: &'static str, field: &'static str, problem: impl Display) -> WireError {
    WireError::Field { record, field, problem: problem.to_string() }
}

pub(crate) fn message<M: prost::Message + Default>(record: &'static str, bytes: Bytes) -> Result<M, WireError> {
    M::decode(bytes).map_err(|source| WireError::Encoding { record, source })
}

pub(crate) fn time(record: &'static str, field: &'static str, micros: i64) -> Result<Timestamp, WireError> {
    // Not `from_microsecond`: that refuses the microseconds of the last second that a time can have.
    Timestamp::from_nanosecond(i128::from(micros) * 1_000).map_err(|e| wrong(record, field, e))
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn span(record: &'static str, field: &'static str, micros: i64) -> Result<Duration, WireError> {
    u64::try_from(micros).map(Duration::from_micros).map_err(|e| wrong(record, field, e))
}

pub(crate) fn uuid(record: &'static str, field: &'static str, bytes: &[u8]) -> Result<Uuid, WireError> {
    Uuid::from_slice(bytes).map_err(|e| wrong(record, field, e))
}

pub(crate) fn parsed<T, E: Display>(
    record: &'static str,
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, WireError> {
    parse(text).map_err(|e| wrong(record, field, e))
}

/// A text that may be missing, as an empty one.
pub(crate) fn or_empty<T: AsRef<str>>(text: Option<T>) -> String {
    text.map(|t| t.as_ref().to_owned()).unwrap_or_default()
}

/// A text of the API that is missing when it is empty.
pub(crate) fn non_empty(text: &str) -> Option<&str> {
    if text.is_empty() { None } else { Some(text) }
}

/// A time of the API; `None` if it is out of range.
pub fn timestamp(time: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

/// A time for the API.
pub fn timestamp_to_api(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

/// A duration of the API; `None` if it is negative or out of range.
pub fn duration(duration: &prost_types::Duration) -> Option<Duration> {
    Some(Duration::new(u64::try_from(duration.seconds).ok()?, u32::try_from(duration.nanos).ok()?))
}

/// A duration for the API.
pub fn duration_to_api(duration: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0) }
}
