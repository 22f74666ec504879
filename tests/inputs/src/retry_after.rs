//! `Retry-After` headers of receivers: each is a wait of at most a day, or ignored.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

/// The maximum wait that a receiver can ask for.
const MAX_WAIT: Duration = Duration::from_hours(24);

pub fn retry_after(bytes: &[u8]) {
    // HTTP refuses other bytes.
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let wait = dispatcher::retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]));
    assert!(wait.is_none_or(|wait| wait <= MAX_WAIT), "{wait:?}");
}
