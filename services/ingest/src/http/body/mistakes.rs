//! Names every mistake of an event that is JSON but not a valid event, in plain words.
//!
//! This runs only for events that are refused anyway, so it may parse them a second time.

use std::{borrow::Cow, collections::BTreeMap};

use api::publish::{Fields, Mistakes, PublishError};
use bytes::Bytes;
use domain::text::quoted;
use jiff::Timestamp;
use serde_json::value::RawValue;

/// The fields of an event whose value is a text.
const TEXTS: [&str; 7] = ["account", "interface", "client", "destination_id", "event_id", "lead_id", "type"];
/// The required fields of an event.
const REQUIRED: [&str; 2] = ["account", "interface"];
/// The maximum number of unknown fields that an error names.
const MAX_UNKNOWN: usize = 5;
/// Replaces the value of a field whose mistake is noted already, so that it is not noted twice.
const NOTED: &str = "x";

/// The mistakes of an event. `raw` is JSON.
pub(super) fn of(raw: &[u8]) -> PublishError {
    let mut mistakes = Mistakes::default();
    let fields: BTreeMap<Cow<'_, str>, &RawValue> = match serde_json::from_slice(raw) {
        Ok(fields) => fields,
        Err(error) if !error.is_data() => return no_json(&error),
        Err(_) => return PublishError::invalid("body", "is not a JSON object with account, interface and payload"),
    };
    let mut texts = BTreeMap::new();
    for field in TEXTS {
        let text = fields.get(field).map_or(Ok(None), |value| text(field, value));
        let noted = || Some(NOTED.to_owned());
        texts.insert(field, mistakes.note(text).unwrap_or_else(noted).unwrap_or_default());
    }
    for field in REQUIRED.iter().filter(|field| fields.get(**field).is_some_and(|value| value.get() == "null")) {
        texts.insert(field, String::new());
    }
    if let Some(error) = unknown(&fields) {
        mistakes.note::<()>(Err(error));
    }
    if let Some(value) = fields.get("occurred_at") {
        mistakes.note(time(value));
    }
    let text = |field: &str| texts.get(field).map_or("", String::as_str);
    let rest = Fields {
        account: text("account"),
        interface: text("interface"),
        client: text("client"),
        destination_id: text("destination_id"),
        event_id: text("event_id"),
        lead_id: text("lead_id"),
        event_type: text("type"),
        occurred_at: None,
        payload: fields.get("payload").map(|raw| Bytes::copy_from_slice(raw.get().as_bytes())).unwrap_or_default(),
    };
    mistakes.note(rest.parse());
    mistakes.end().err().unwrap_or_else(|| PublishError::invalid("body", "has a field twice"))
}

fn text(field: &'static str, value: &RawValue) -> Result<Option<String>, PublishError> {
    serde_json::from_str(value.get()).map_err(|_| PublishError::invalid(field, "has to be a text"))
}

fn time(value: &RawValue) -> Result<(), PublishError> {
    let read = serde_json::from_str::<Option<Timestamp>>(value.get());
    let how = "has to be a time as in RFC 3339, such as \"2026-01-31T09:30:00Z\"";
    read.map(drop).map_err(|_| PublishError::invalid("occurred_at", how))
}

fn unknown(fields: &BTreeMap<Cow<'_, str>, &RawValue>) -> Option<PublishError> {
    let is_known = |name: &str| TEXTS.contains(&name) || ["occurred_at", "payload"].contains(&name);
    let unknown: Vec<_> = fields.keys().filter(|name| !is_known(name)).collect();
    let named: Vec<_> = unknown.iter().take(MAX_UNKNOWN).map(|name| quoted(name).to_string()).collect();
    let which = match unknown.len() {
        0 => return None,
        1 => format!("{} is not a field of an event", named[0]),
        count => format!("{} names are not fields of an event: {}", count, named.join(", ")),
    };
    let known = "account, interface, client, destination_id, event_id, lead_id, type, occurred_at and payload";
    Some(PublishError::invalid("body", format!("{which}; its fields are {known}, and your own fields go into payload")))
}

/// The refusal of a text that is not JSON.
pub(super) fn no_json(error: &serde_json::Error) -> PublishError {
    let place = match error.is_eof() {
        true => "it ends too early".to_owned(),
        false => format!("the mistake is at line {}, column {}", error.line(), error.column()),
    };
    PublishError::invalid(
        "body",
        format!("is not a JSON object, array of objects, or NDJSON sent as application/x-ndjson; {place}"),
    )
}
