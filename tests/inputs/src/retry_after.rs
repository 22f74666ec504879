//! `Retry-After`, as a receiver may write it: a wait of at most a day, or nothing.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

/// The longest that a receiver is left alone because it asks for it.
const LONGEST: Duration = Duration::from_hours(24);

/// Tries this input.
pub fn retry_after(bytes: &[u8]) {
    // Other bytes do not get through HTTP.
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let wait = dispatcher::retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]));
    assert!(wait.is_none_or(|wait| wait <= LONGEST), "{wait:?}");
}
