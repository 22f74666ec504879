//! Conversions of times, durations and optional texts.

use std::time::Duration;

use jiff::Timestamp;

/// The text, or an empty one if there is none.
pub(crate) fn or_empty<T: AsRef<str>>(text: Option<T>) -> String {
    text.map(|t| t.as_ref().to_owned()).unwrap_or_default()
}

/// `None` if the text is empty.
pub(crate) fn non_empty(text: &str) -> Option<&str> {
    if text.is_empty() { None } else { Some(text) }
}

/// `None` if the time is out of range.
pub fn timestamp(time: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds, time.nanos).ok()
}

pub fn timestamp_to_api(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

/// `None` if the duration is negative or out of range.
pub fn duration(duration: &prost_types::Duration) -> Option<Duration> {
    Some(Duration::new(u64::try_from(duration.seconds).ok()?, u32::try_from(duration.nanos).ok()?))
}

pub fn duration_to_api(duration: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0) }
}
