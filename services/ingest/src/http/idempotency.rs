//! `Idempotency-Key`: a header with which a publisher may give the event id.
//!
//! The value is a text in quotes, as in the draft of the IETF (draft-ietf-httpapi-idempotency-key-header), or without
//! quotes, as most clients send it.

use api::publish::{Publish, PublishError};
use axum::http::HeaderMap;
use domain::EventId;

const HEADER: &str = "idempotency-key";

/// The event id that the header gives; `None` without the header.
///
/// # Errors
/// If the header is not an event id.
pub(crate) fn of_request(headers: &HeaderMap) -> Result<Option<EventId>, PublishError> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(PublishError::invalid(HEADER, "has to be given once"));
    }
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    EventId::parse(bare).map(Some).map_err(|error| PublishError::invalid(HEADER, error.to_string()))
}

/// The event with the id of the header, if there is one.
///
/// # Errors
/// If the event has another id.
pub(crate) fn with_key(publish: Publish, key: Option<EventId>) -> Result<Publish, PublishError> {
    match (&publish.event_id, key) {
        (_, None) => Ok(publish),
        (Some(event_id), Some(key)) if *event_id != key => {
            Err(PublishError::invalid(HEADER, "differs from event_id; give one of them, or the same value"))
        }
        (_, key) => Ok(Publish { event_id: key, ..publish }),
    }
}

pub(crate) fn names_one_event() -> PublishError {
    PublishError::invalid(
        HEADER,
        "names one event, and the request is a list; send the event alone, or give each event its event_id",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_an_event_id_with_or_without_quotes() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(HEADER, value.parse().unwrap());
            }
            of_request(&headers).map(|key| key.map(|key| key.to_string()))
        };
        assert_eq!(read(&[]), Ok(None));
        for good in ["order-7", "\"order-7\"", " order-7 "] {
            assert_eq!(read(&[good]), Ok(Some("order-7".into())), "{good}");
        }
        for wrong in [&[""][..], &["two words"], &["a", "a"], &["\"a"]] {
            assert_eq!(read(wrong).unwrap_err().field(), Some(HEADER), "{wrong:?}");
        }
    }
}
