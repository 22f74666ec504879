//! The id of an HTTP request: the one that the caller gives in `x-request-id`, or a new one. The answer carries it, and
//! so do errors, logs and traces, so that a caller can say which request failed.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header of the id.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The maximum length of an id that a caller gives.
const MAX_LENGTH: usize = 128;

/// The id of a request. It is in the extensions of every request to the HTTP listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id in these headers; a new one if it is missing, too long, or not printable ASCII.
    pub fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let good = |id: &&str| (1..=MAX_LENGTH).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        Self(given.filter(good).map_or_else(|| Uuid::now_v7().to_string().into(), Arc::from))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn to_header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printable_id_is_kept_and_any_other_is_replaced() {
        let of = |id: &str| {
            let id = HeaderValue::from_bytes(id.as_bytes()).unwrap();
            RequestId::of(&HeaderMap::from_iter([(REQUEST_ID, id)])).as_str().to_owned()
        };
        assert_eq!(of("order-7/try:2"), "order-7/try:2");
        for bad in ["", "two words", "ümlaut", &"x".repeat(129)] {
            assert_eq!(of(bad).len(), 36, "{bad}");
        }
        assert_ne!(RequestId::of(&HeaderMap::new()), RequestId::of(&HeaderMap::new()));
    }
}
