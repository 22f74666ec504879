//! The body of an HTTP request: one JSON object for a lead event, an array of them, or one on each line (NDJSON).
//!
//! A payload is a slice of the request. It is never parsed into values and serialised again.

mod mistakes;

use std::{borrow::Cow, fmt};

use api::publish::{Fields, Publish, PublishError};
use bytes::Bytes;
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The byte order mark, which programs on Windows write before UTF-8. A reader may ignore it (RFC 8259, section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Maximum bytes of an event.
    pub(crate) max_event: usize,
    /// Maximum events in a request.
    pub(crate) max_events: usize,
}

/// The events of a request.
#[derive(Debug)]
pub(crate) enum RequestBody<'a> {
    One(Publish),
    /// The bytes of each event, for [`event`]. A small request can have very many events, so they are counted before
    /// any is parsed.
    Many(Vec<&'a [u8]>),
}

/// Why the whole request is refused.
#[derive(Debug)]
pub(crate) enum Unread {
    Wrong(PublishError),
    /// The event has too many bytes, or the request has too many events.
    TooLarge(PublishError),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event<'a> {
    #[serde(borrow, default)]
    account: Cow<'a, str>,
    #[serde(borrow, default)]
    interface: Cow<'a, str>,
    #[serde(borrow, default)]
    client: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    destination_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    lead_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    event_type: Option<Cow<'a, str>>,
    #[serde(default)]
    occurred_at: Option<Timestamp>,
    // Without this function, a payload of `null` would count as missing.
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a request. `lines` is true if its content type is NDJSON.
///
/// # Errors
/// If the body is not JSON, has more events than `limits` allow, or is one event that is invalid or too large.
pub(crate) fn read(body: &Bytes, lines: bool, limits: Limits) -> Result<RequestBody<'_>, Unread> {
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    if lines {
        let lines = || text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        if lines().nth(limits.max_events).is_some() {
            return Err(too_many(limits.max_events));
        }
        return Ok(RequestBody::Many(lines().collect()));
    }
    if text.trim_ascii_start().first() == Some(&b'[') {
        return array(text, limits.max_events).map(RequestBody::Many);
    }
    let raw = text.trim_ascii();
    event(body, raw, limits.max_event)
        .map(RequestBody::One)
        .map_err(|error| if raw.len() > limits.max_event { Unread::TooLarge(error) } else { Unread::Wrong(error) })
}

pub(crate) fn array(body: &[u8], max: usize) -> Result<Vec<&[u8]>, Unread> {
    let (mut events, mut has_more) = (vec![], false);
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let read = AtMost { max, events: &mut events, has_more: &mut has_more }.deserialize(&mut deserializer);
    if has_more {
        return Err(too_many(max));
    }
    read.and_then(|()| deserializer.end()).map_err(|error| Unread::Wrong(mistakes::no_json(&error)))?;
    Ok(events)
}

/// Reads at most `max` elements of an array.
struct AtMost<'a, 'de> {
    max: usize,
    events: &'a mut Vec<&'de [u8]>,
    has_more: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for AtMost<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AtMost<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(event) = elements.next_element::<&RawValue>()? {
            if self.events.len() == self.max {
                *self.has_more = true;
                return Err(A::Error::custom("too many elements"));
            }
            self.events.push(event.get().as_bytes());
        }
        Ok(())
    }
}

fn too_many(max: usize) -> Unread {
    let problem = format!(
        "the request has more than {max} events, which is the limit of one request (--max-events); send several requests"
    );
    Unread::TooLarge(PublishError::invalid("body", problem))
}

/// Reads one event. `raw` is its slice of `body`.
///
/// # Errors
/// If `raw` is not an event, or has more than `max_event` bytes.
pub(crate) fn event(body: &Bytes, raw: &[u8], max_event: usize) -> Result<Publish, PublishError> {
    check_size(raw, max_event)?;
    let mut deserializer = serde_json::Deserializer::from_slice(raw);
    let event = Event::deserialize(&mut deserializer).map_err(|error| match error.is_data() {
        true => mistakes::of(raw),
        false => mistakes::no_json(&error),
    })?;
    deserializer.end().map_err(|e| mistakes::no_json(&e))?;
    let text = |field: &Option<Cow<'_, str>>| field.as_deref().unwrap_or_default().to_owned();
    Fields {
        account: &event.account,
        interface: &event.interface,
        client: &text(&event.client),
        destination_id: &text(&event.destination_id),
        event_id: &text(&event.event_id),
        lead_id: &text(&event.lead_id),
        event_type: &text(&event.event_type),
        occurred_at: event.occurred_at,
        payload: event.payload.map(|raw| body.slice_ref(raw.get().as_bytes())).unwrap_or_default(),
    }
    .parse()
}

/// # Errors
/// If an event has more than `max_event` bytes.
pub(crate) fn check_size(raw: &[u8], max_event: usize) -> Result<(), PublishError> {
    if raw.len() <= max_event {
        return Ok(());
    }
    let problem = format!("the event has {} bytes, and {max_event} is the limit", raw.len());
    Err(PublishError::invalid("body", problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_event: 1_000, max_events: 3 };

    fn one(text: &str) -> Result<Publish, PublishError> {
        match read(&Bytes::copy_from_slice(text.as_bytes()), false, LIMITS) {
            Ok(RequestBody::One(publish)) => Ok(publish),
            Ok(RequestBody::Many(_)) => panic!("many"),
            Err(Unread::Wrong(error) | Unread::TooLarge(error)) => Err(error),
        }
    }

    fn many(text: &str, lines: bool) -> Result<Vec<Result<Publish, PublishError>>, Unread> {
        let body = Bytes::copy_from_slice(text.as_bytes());
        match read(&body, lines, LIMITS)? {
            RequestBody::One(_) => panic!("one"),
            RequestBody::Many(events) => Ok(events.iter().map(|raw| event(&body, raw, LIMITS.max_event)).collect()),
        }
    }

    #[test]
    fn the_payload_is_kept_byte_for_byte() {
        for payload in
            [r#"{"b" : 1.0, "a":1e2,  "b": "\u00e4"}"#, "null", "[ 1,2 ]", "\"text\"", "123456789012345678901234567890"]
        {
            let text = format!(r#" {{"account":"a","payload": {payload} ,"interface":"i"}} "#);
            assert_eq!(one(&text).unwrap().payload, payload.as_bytes(), "{payload}");
        }
    }

    #[test]
    fn every_field_is_read() {
        let publish =
            one(r#"{"account":"a","interface":"i","client":"c","destination_id":"dst_1","event_id":"e:1","lead_id":"l","type":"email.open",
                "occurred_at":"2026-01-02T03:04:05Z","payload":{}}"#)
            .unwrap();
        assert_eq!(publish.client.unwrap().as_str(), "c");
        assert_eq!(publish.destination.unwrap().as_str(), "dst_1");
        assert_eq!(publish.event_id.unwrap().as_str(), "e:1");
        assert_eq!(publish.lead.unwrap().as_str(), "l");
        assert_eq!(publish.event_type.as_str(), "email.open");
        assert_eq!(publish.occurred_at.unwrap().to_string(), "2026-01-02T03:04:05Z");
    }

    #[test]
    fn an_invalid_field_is_named() {
        for (text, field) in [
            (r#"{"interface":"i","payload":1}"#, "account"),
            (r#"{"account":"a.b","interface":"i","payload":1}"#, "account"),
            (r#"{"account":7,"interface":"i","payload":1}"#, "account"),
            (r#"{"account":"a","interface":"i"}"#, "payload"),
            (r#"{"account":"a","interface":"i","payload":1,"occurred_at":"yesterday"}"#, "occurred_at"),
            (r#"{"account":"a","interface":"i","payload":1,"type":"No Type"}"#, "type"),
            (r#"{"account":"a","interface":"i","payload":1,"eventid":"typo"}"#, "body"),
            (r#"{"account":"a","interface":"i","payload":{"#, "body"),
            (r#"{"account":"a","interface":"i","payload":1} {}"#, "body"),
            ("", "body"),
            ("nonsense", "body"),
            (&format!(r#"{{"account":"a","interface":"i","payload":"{}"}}"#, "x".repeat(LIMITS.max_event)), "body"),
        ] {
            let error = one(text).unwrap_err();
            assert_eq!(error.field(), Some(field), "{text}: {error}");
        }
    }

    #[test]
    fn all_mistakes_are_named_at_once_in_plain_words() {
        let text =
            r#"{"account":7,"client":"no id","interface":"i","eventid":"e","occurred_at":"yesterday","payload":1}"#;
        let Err(PublishError::Invalid(mistakes)) = one(text) else { panic!("{text} was read") };
        let fields: Vec<_> = mistakes.iter().map(|(field, _)| *field).collect();
        assert_eq!(fields, ["account", "body", "occurred_at", "client"], "{mistakes:?}");
        for text in [text, "{", "[", "nonsense", r#"{"account":{}}"#, "7"] {
            let message = match read(&Bytes::copy_from_slice(text.as_bytes()), false, LIMITS) {
                Err(Unread::Wrong(error)) => error.to_string(),
                other => panic!("{text}: {other:?}"),
            };
            for talk in ["invalid type", "expected", "EOF", "unknown field"] {
                assert!(!message.contains(talk), "{text}: {message}");
            }
        }
    }

    #[test]
    fn arrays_and_lines_are_read_event_by_event() {
        let good = r#"{"account":"a","interface":"i","payload":{"n": 1}}"#;
        for (text, lines) in [(format!("[{good}, 1 , {good}]"), false), (format!("{good}\r\n\n1\n{good}\n"), true)] {
            let events = many(&text, lines).unwrap();
            assert_eq!(events.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true], "{text}");
            assert_eq!(events[2].as_ref().unwrap().payload, r#"{"n": 1}"#.as_bytes());
        }
    }

    #[test]
    fn a_byte_order_mark_before_the_events_is_ignored() {
        let good = r#"{"account":"a","interface":"i","payload":{"n": 1}}"#;
        assert_eq!(one(&format!("\u{feff}{good}")).unwrap().payload, r#"{"n": 1}"#.as_bytes());
        for (text, lines) in [(format!("\u{feff}[{good}]"), false), (format!("\u{feff}{good}\n{good}"), true)] {
            assert!(many(&text, lines).unwrap().iter().all(Result::is_ok), "{text}");
        }
    }

    #[test]
    fn a_request_with_too_many_events_is_refused_unread() {
        for (text, lines) in [("[{},null,1]", false), ("{}\nnull\n1\n", true)] {
            assert_eq!(many(text, lines).unwrap().len(), 3, "{text}");
        }
        for (text, lines) in [("[{},null,1,{}]", false), ("[1,2,3,4,", false), ("1\n\n2\n3\n4", true)] {
            let Err(Unread::TooLarge(error)) = many(text, lines) else { panic!("{text} was read") };
            assert!(error.to_string().contains("more than 3 events"), "{error}");
        }
        assert!(matches!(many("[1,2", false), Err(Unread::Wrong(_))));
        assert!(matches!(many("[1] 2", false), Err(Unread::Wrong(_))));
    }
}
