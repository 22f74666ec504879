//! CloudEvents 1.0 over HTTP at `/v1/leads`: in binary mode (attributes are headers), in structured mode and in
//! batches.
//!
//! An event id is computed from `source` and `id`, which together identify a CloudEvent: another source may use the
//! same `id` for another event. Account, interface, client and lead are the extension attributes `leadlineaccount`,
//! `leadlineinterface`, `leadlineclient` and `leadlinelead`. Senders that cannot set attributes give account, interface
//! and client as parameters of the URL.

use std::borrow::Cow;

use api::publish::{Fields, Publish, PublishError};
use axum::{
    extract::Query,
    http::{HeaderMap, Uri, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use domain::EventId;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::http::body::{self, Limits, RequestBody, Unread};

/// The namespace of the event ids. It must not change, because a repeated event would then count as a new one.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f0b_6a3e_52f4_4c0d_9a53_7c8f_0d1e_b2a4);
const VERSION: &str = "1.0";

/// How a request carries CloudEvents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Binary,
    Structured,
    Batch,
}

/// The parameters of the URL. They replace missing attributes of an event.
#[derive(Debug, Default, Deserialize)]
struct Defaults {
    #[serde(default)]
    account: String,
    #[serde(default)]
    interface: String,
    #[serde(default)]
    client: String,
}

/// An event in the JSON format. Unknown attributes are extensions of other systems.
#[derive(Debug, Default, Deserialize)]
struct CloudEvent<'a> {
    #[serde(borrow, default)]
    specversion: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    source: Cow<'a, str>,
    #[serde(borrow, default, rename = "type")]
    event_type: Cow<'a, str>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    datacontenttype: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    leadlineaccount: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    leadlineinterface: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    leadlineclient: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    leadlinelead: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data_base64: Option<Cow<'a, str>>,
}

/// A request with CloudEvents.
#[derive(Debug)]
pub(crate) struct CloudEvents {
    mode: Mode,
    defaults: Defaults,
}

impl CloudEvents {
    /// `None` if the request carries no CloudEvent.
    ///
    /// # Errors
    /// If the parameters of the URL are invalid.
    pub(crate) fn of(headers: &HeaderMap, address: &Uri) -> Result<Option<Self>, PublishError> {
        let mode = match media_type(text(headers, header::CONTENT_TYPE.as_str())).as_str() {
            "application/cloudevents+json" => Mode::Structured,
            "application/cloudevents-batch+json" => Mode::Batch,
            _ if headers.contains_key("ce-specversion") => Mode::Binary,
            _ => return Ok(None),
        };
        let parameters = Query::<Defaults>::try_from_uri(address);
        let invalid = |_| PublishError::invalid("body", "was sent to a URL with invalid parameters");
        Ok(Some(Self { mode, defaults: parameters.map_err(invalid)?.0 }))
    }

    /// Reads the events of a request.
    ///
    /// # Errors
    /// If the body is not a CloudEvent, has more events than `limits` allow, or is one event that is invalid or too
    /// large.
    pub(crate) fn read<'a>(
        &self,
        headers: &HeaderMap,
        body: &'a Bytes,
        limits: Limits,
    ) -> Result<RequestBody<'a>, Unread> {
        let event = match self.mode {
            Mode::Batch => return body::array(body, limits.max_events).map(RequestBody::Many),
            Mode::Binary if body.len() <= limits.max_event => binary(headers, body, &self.defaults),
            Mode::Binary | Mode::Structured => self.event(body, body, limits.max_event),
        };
        let is_large = body.len() > limits.max_event;
        event
            .map(RequestBody::One)
            .map_err(|error| if is_large { Unread::TooLarge(error) } else { Unread::Wrong(error) })
    }

    /// Reads one event of a batch. `raw` is its slice of `body`.
    ///
    /// # Errors
    /// If `raw` is not a CloudEvent, or has more than `max_event` bytes.
    pub(crate) fn event(&self, body: &Bytes, raw: &[u8], max_event: usize) -> Result<Publish, PublishError> {
        body::check_size(raw, max_event)?;
        structured(body, raw, &self.defaults)
    }
}

fn binary(headers: &HeaderMap, body: &Bytes, defaults: &Defaults) -> Result<Publish, PublishError> {
    let attribute = |name: &str| percent_decode_str(text(headers, &format!("ce-{name}"))).decode_utf8_lossy();
    let optional = |name: &str| Some(attribute(name)).filter(|value| !value.is_empty());
    let event = CloudEvent {
        specversion: attribute("specversion"),
        id: attribute("id"),
        source: attribute("source"),
        event_type: attribute("type"),
        time: optional("time"),
        datacontenttype: Some(text(headers, header::CONTENT_TYPE.as_str()).into())
            .filter(|value: &Cow<'_, str>| !value.is_empty()),
        leadlineaccount: optional("leadlineaccount"),
        leadlineinterface: optional("leadlineinterface"),
        leadlineclient: optional("leadlineclient"),
        leadlinelead: optional("leadlinelead"),
        ..CloudEvent::default()
    };
    publish(&event, json("body", body.clone())?, defaults)
}

fn structured(body: &Bytes, raw: &[u8], defaults: &Defaults) -> Result<Publish, PublishError> {
    let event: CloudEvent<'_> = serde_json::from_slice(raw).map_err(|error| {
        let place = format!("the mistake is at line {}, column {}", error.line(), error.column());
        PublishError::invalid(
            "body",
            format!("is not a CloudEvent in the JSON format; its attributes have to be texts; {place}"),
        )
    })?;
    let payload = match (event.data, &event.data_base64) {
        (Some(data), None) => body.slice_ref(data.get().as_bytes()),
        (None, Some(data)) => {
            let decoded = STANDARD.decode(data.as_bytes());
            json("data_base64", decoded.map_err(|_| PublishError::invalid("data_base64", "is not base64"))?.into())?
        }
        (None, None) => Bytes::new(),
        (Some(_), Some(_)) => return Err(PublishError::invalid("data", "is given twice: as data and as data_base64")),
    };
    publish(&event, payload, defaults)
}

fn publish(event: &CloudEvent<'_>, payload: Bytes, defaults: &Defaults) -> Result<Publish, PublishError> {
    if event.specversion != VERSION {
        return Err(PublishError::invalid("specversion", format!("has to be {VERSION}")));
    }
    for (name, value) in [("id", &event.id), ("source", &event.source), ("type", &event.event_type)] {
        if value.is_empty() {
            return Err(PublishError::invalid(name, "is missing"));
        }
    }
    if payload.is_empty() {
        return Err(PublishError::invalid("data", "is missing"));
    }
    let content_type = event.datacontenttype.as_deref().unwrap_or("application/json");
    let media_type = media_type(content_type);
    if media_type != "application/json" && media_type != "text/json" && !media_type.ends_with("+json") {
        return Err(PublishError::invalid("datacontenttype", "is not JSON, and a payload has to be JSON"));
    }
    let time = event.time.as_deref().map(str::parse).transpose();
    let or = |attribute: &Option<Cow<'_, str>>, default: &str| attribute.as_deref().unwrap_or(default).to_owned();
    Fields {
        account: &or(&event.leadlineaccount, &defaults.account),
        interface: &or(&event.leadlineinterface, &defaults.interface),
        client: &or(&event.leadlineclient, &defaults.client),
        event_id: event_id(&event.source, &event.id).as_str(),
        lead_id: event.leadlinelead.as_deref().unwrap_or_default(),
        event_type: &event.event_type,
        occurred_at: time
            .map_err(|_| PublishError::invalid("time", "has to be as in RFC 3339: 2026-01-02T03:04:05Z"))?,
        payload,
        ..Fields::default()
    }
    .parse()
}

fn event_id(source: &str, id: &str) -> EventId {
    EventId::from_uuid(Uuid::new_v5(&NAMESPACE, format!("{source}\n{id}").as_bytes()))
}

fn json(field: &'static str, bytes: Bytes) -> Result<Bytes, PublishError> {
    match serde_json::from_slice::<&RawValue>(&bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(PublishError::invalid(field, "is not JSON, and a payload has to be JSON")),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_event: 1_000, max_events: 3 };

    fn read(headers: &[(&'static str, &str)], address: &str, body: &str) -> Result<Vec<Publish>, PublishError> {
        let headers = headers.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
        let (headers, body) = (HeaderMap::from_iter(headers), Bytes::copy_from_slice(body.as_bytes()));
        let events = CloudEvents::of(&headers, &address.parse().unwrap())?.unwrap();
        match events.read(&headers, &body, LIMITS) {
            Ok(RequestBody::One(publish)) => Ok(vec![publish]),
            Ok(RequestBody::Many(raw)) => raw.iter().map(|raw| events.event(&body, raw, LIMITS.max_event)).collect(),
            Err(Unread::Wrong(error) | Unread::TooLarge(error)) => Err(error),
        }
    }

    const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json; charset=utf-8");
    const EVENT: &str = r#"{"specversion":"1.0","id":"A 1","source":"/shop","type":"lead.created","traceparent":"x",
        "time":"2026-01-02T03:04:05Z","leadlineaccount":"acme","leadlineinterface":"web","leadlinelead":"ada",
        "data":{"b" : 1.0}}"#;

    #[test]
    fn an_event_is_equal_in_each_mode() {
        let structured = read(&[STRUCTURED], "/v1/leads", EVENT).unwrap().remove(0);
        assert_eq!(structured.payload, r#"{"b" : 1.0}"#.as_bytes());
        assert_eq!((structured.account.as_str(), structured.lead.as_ref().unwrap().as_str()), ("acme", "ada"));
        assert_eq!(structured.occurred_at.unwrap().to_string(), "2026-01-02T03:04:05Z");
        let batch = read(&[("content-type", "application/cloudevents-batch+json")], "/v1/leads", &format!("[{EVENT}]"));
        let binary = [
            ("ce-specversion", "1.0"),
            ("ce-id", "A%201"),
            ("ce-source", "/shop"),
            ("ce-type", "lead.created"),
            ("ce-time", "2026-01-02T03:04:05Z"),
            ("ce-leadlinelead", "ada"),
            ("content-type", "application/json"),
        ];
        let binary = read(&binary, "/v1/leads?account=acme&interface=web", r#"{"b" : 1.0}"#);
        let encoded = EVENT.replace(r#""data":{"b" : 1.0}"#, r#""data_base64":"eyJiIiA6IDEuMH0=""#);
        for same in [batch, binary, read(&[STRUCTURED], "/v1/leads", &encoded)] {
            assert_eq!(same.unwrap(), std::slice::from_ref(&structured));
        }
    }

    #[test]
    fn the_same_id_of_another_source_is_another_event() {
        let one = read(&[STRUCTURED], "/v1/leads", EVENT).unwrap().remove(0);
        let other = read(&[STRUCTURED], "/v1/leads", &EVENT.replace("/shop", "/fair")).unwrap().remove(0);
        assert_ne!(one.event_id, other.event_id);
        assert!(one.event_id.is_some());
    }

    #[test]
    fn an_invalid_field_is_named() {
        for (from, to, field) in [
            ("\"1.0\"", "\"0.3\"", "specversion"),
            ("\"A 1\"", "\"\"", "id"),
            ("\"/shop\"", "\"\"", "source"),
            ("lead.created", "No Type", "type"),
            ("2026-01-02T03:04:05Z", "yesterday", "time"),
            ("\"leadlineaccount\":\"acme\",", "", "account"),
            (",\n        \"data\":{\"b\" : 1.0}", "", "data"),
            ("\"traceparent\":\"x\"", "\"datacontenttype\":\"text/xml\"", "datacontenttype"),
            ("\"data\"", "\"data_base64\":\"e30=\",\"data\"", "data"),
            ("\"data\":{\"b\" : 1.0}", "\"data_base64\":\"!\"", "data_base64"),
            ("\"data\":{\"b\" : 1.0}", "\"data_base64\":\"eA==\"", "data_base64"),
            ("\"A 1\"", "7", "body"),
            ("{", "", "body"),
        ] {
            let event = EVENT.replacen(from, to, 1);
            assert_ne!(event, EVENT, "{from}");
            let error = read(&[STRUCTURED], "/v1/leads", &event).unwrap_err();
            assert_eq!(error.field(), Some(field), "{event}: {error}");
        }
        let binary = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "lead.created")];
        let address = "/v1/leads?account=acme&interface=web";
        assert_eq!(read(&binary, address, "no json").unwrap_err().field(), Some("body"));
        assert!(read(&binary, address, &"1".repeat(1_001)).is_err());
    }
}
