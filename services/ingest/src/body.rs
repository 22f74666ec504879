//! Lead events as they come over HTTP: one JSON object, an array of them, or one on each line (NDJSON).
//!
//! The payload is never parsed into values and written again: it is the slice of the request between its first and its
//! last byte.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use wire::publish::{Fields, Publish, PublishError};

/// What a request asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// One event.
    One(Publish),
    /// Many: each by itself.
    Many(Vec<Result<Publish, PublishError>>),
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
    event_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    lead_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    event_type: Option<Cow<'a, str>>,
    #[serde(default)]
    occurred_at: Option<Timestamp>,
    // Without the function, a payload of `null` would count as missing.
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a request. `lines`: its content type says NDJSON.
///
/// # Errors
/// When it is no JSON, or one event that is wrong or larger than `max_event` bytes.
pub(crate) fn read(body: &Bytes, lines: bool, max_event: usize) -> Result<Asked, PublishError> {
    let one = |raw: &[u8]| event(body, raw, max_event);
    if lines {
        let lines = body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
        return Ok(Asked::Many(lines.map(one).collect()));
    }
    if body.trim_ascii_start().first() == Some(&b'[') {
        let events: Vec<&RawValue> = serde_json::from_slice(body).map_err(|e| no_json(&e))?;
        return Ok(Asked::Many(events.into_iter().map(|raw| one(raw.get().as_bytes())).collect()));
    }
    one(body.trim_ascii()).map(Asked::One)
}

fn event(body: &Bytes, raw: &[u8], max_event: usize) -> Result<Publish, PublishError> {
    if raw.len() > max_event {
        let problem = format!("the event has {} bytes, and {max_event} is the limit", raw.len());
        return Err(PublishError::invalid("body", problem));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(raw);
    let event: Event<'_> = serde_path_to_error::deserialize(&mut deserializer).map_err(|e| wrong(&e))?;
    deserializer.end().map_err(|e| no_json(&e))?;
    let text = |field: &Option<Cow<'_, str>>| field.as_deref().unwrap_or_default().to_owned();
    Fields {
        account: &event.account,
        interface: &event.interface,
        client: &text(&event.client),
        event_id: &text(&event.event_id),
        lead_id: &text(&event.lead_id),
        event_type: &text(&event.event_type),
        occurred_at: event.occurred_at,
        payload: event.payload.map(|raw| body.slice_ref(raw.get().as_bytes())).unwrap_or_default(),
    }
    .parse()
}

fn no_json(error: &serde_json::Error) -> PublishError {
    PublishError::invalid(
        "body",
        format!("is no JSON object, array of objects, or NDJSON sent as application/x-ndjson: {error}"),
    )
}

fn wrong(error: &serde_path_to_error::Error<serde_json::Error>) -> PublishError {
    const FIELDS: [&str; 8] =
        ["account", "interface", "client", "event_id", "lead_id", "type", "occurred_at", "payload"];
    let path = error.path().to_string();
    match FIELDS.into_iter().find(|field| path == *field) {
        Some(field) => PublishError::invalid(field, error.inner().to_string()),
        None => no_json(error.inner()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1_000;

    fn one(text: &str) -> Result<Publish, PublishError> {
        match read(&Bytes::copy_from_slice(text.as_bytes()), false, LIMIT)? {
            Asked::One(publish) => Ok(publish),
            Asked::Many(_) => panic!("many"),
        }
    }

    fn many(text: &str, lines: bool) -> Vec<Result<Publish, PublishError>> {
        match read(&Bytes::copy_from_slice(text.as_bytes()), lines, LIMIT).unwrap() {
            Asked::One(_) => panic!("one"),
            Asked::Many(events) => events,
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
            one(r#"{"account":"a","interface":"i","client":"c","event_id":"e:1","lead_id":"l","type":"email.open",
                "occurred_at":"2026-01-02T03:04:05Z","payload":{}}"#)
            .unwrap();
        assert_eq!(publish.client.unwrap().as_str(), "c");
        assert_eq!(publish.event_id.unwrap().as_str(), "e:1");
        assert_eq!(publish.lead.unwrap().as_str(), "l");
        assert_eq!(publish.event_type.as_str(), "email.open");
        assert_eq!(publish.occurred_at.unwrap().to_string(), "2026-01-02T03:04:05Z");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, field) in [
            (r#"{"interface":"i","payload":1}"#, "account"),
            (r#"{"account":"a.b","interface":"i","payload":1}"#, "account"),
            (r#"{"account":7,"interface":"i","payload":1}"#, "account"),
            (r#"{"account":"a","interface":"i"}"#, "payload"),
            (r#"{"account":"a","interface":"i","payload":1,"occurred_at":"yesterday"}"#, "occurred_at"),
            (r#"{"account":"a","interface":"i","payload":1,"type":"No Type"}"#, "type"),
            (r#"{"account":"a","interface":"i","payload":1,"eventid":"typo"}"#, "body"),
            (r#"{"account":"a","interface":"i","payload":{"#, "payload"),
            (r#"{"account":"a","interface":"i","payload":1} {}"#, "body"),
            ("", "body"),
            ("nonsense", "body"),
            (&format!(r#"{{"account":"a","interface":"i","payload":"{}"}}"#, "x".repeat(LIMIT)), "body"),
        ] {
            let error = one(text).unwrap_err();
            assert_eq!(error.field(), Some(field), "{text}: {error}");
        }
    }

    #[test]
    fn arrays_and_lines_are_read_event_by_event() {
        let good = r#"{"account":"a","interface":"i","payload":{"n": 1}}"#;
        for (text, lines) in [(format!("[{good}, 1 , {good}]"), false), (format!("{good}\r\n\n1\n{good}\n"), true)] {
            let events = many(&text, lines);
            assert_eq!(events.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true], "{text}");
            assert_eq!(events[2].as_ref().unwrap().payload, r#"{"n": 1}"#.as_bytes());
        }
    }
}
