//! Converts the times of the broker, and bounds how long it may take to answer.

use std::time::Duration;

use jiff::Timestamp;

/// How long the broker may take to answer before it counts as unavailable.
pub const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// A time of the broker. A time out of range becomes the latest time.
pub(crate) fn timestamp(nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
}
