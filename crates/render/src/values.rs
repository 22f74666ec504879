//! The values that a template sees: the event, the payload, and numbers that keep their digits.

use std::{
    cmp::Ordering,
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use domain::{
    ClientId, DeliveryRef,
    json::{Json, parse},
};
use jiff::Timestamp;
use minijinja::{
    Error, ErrorKind, Value, context,
    value::{DynObject, Enumerator, Object, ObjectRepr},
};

/// The event to render.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    pub reference: &'a DeliveryRef,
    pub occurred_at: Timestamp,
    /// JSON.
    pub payload: &'a Bytes,
}

/// The names that a template may use besides those that it sets.
pub(crate) const ROOTS: [&str; 7] = ["payload", "event", "lead", "delivery", "account", "interface", "client"];

/// An integer with at most this many digits fits into an `i64`.
const MAX_PLAIN_DIGITS: usize = 18;

/// The values of [`ROOTS`]. The payload is only parsed when the template uses it.
#[derive(Debug)]
pub(crate) struct Root {
    given: Payload,
    payload: OnceLock<Value>,
    rest: Value,
}

#[derive(Debug)]
enum Payload {
    Text(Bytes),
    Placeholder { quoted: bool },
}

impl Root {
    pub(crate) fn of(input: &Input<'_>) -> Value {
        Self::with(Payload::Text(input.payload.clone()), input)
    }

    /// A placeholder for any payload. With `quoted` its fields are texts, otherwise numbers.
    pub(crate) fn placeholder(input: &Input<'_>, quoted: bool) -> Value {
        Self::with(Payload::Placeholder { quoted }, input)
    }

    fn with(given: Payload, input: &Input<'_>) -> Value {
        let reference = input.reference;
        let rest = context! {
            event => context! {
                id => reference.event_id.as_str(),
                type => reference.event_type.as_str(),
                occurred_at => input.occurred_at.to_string(),
            },
            lead => context! { id => reference.lead.as_str() },
            delivery => context! { id => reference.delivery.to_string() },
            account => reference.account.as_str(),
            interface => reference.interface.as_str(),
            client => reference.client.as_ref().map(ClientId::as_str),
        };
        Value::from_object(Self { given, payload: OnceLock::new(), rest })
    }

    fn payload(&self) -> Value {
        let read = || match &self.given {
            Payload::Placeholder { quoted } => Value::from_object(Placeholder { quoted: *quoted }),
            Payload::Text(text) => match parse(text) {
                Ok(json) => value(json),
                Err(e) => Error::new(ErrorKind::InvalidOperation, format!("the payload cannot be read: {e}")).into(),
            },
        };
        self.payload.get_or_init(read).clone()
    }
}

impl Object for Root {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        match key {
            "payload" => Some(self.payload()),
            _ => self.rest.get_attr(key).ok().filter(|value| !value.is_undefined()),
        }
    }
}

fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(truth) => Value::from(truth),
        Json::Number(digits) => number(digits),
        Json::Text(text) => Value::from(text),
        Json::Array(items) => Value::from(items.into_iter().map(value).collect::<Vec<_>>()),
        Json::Object(fields) => Value::from_pairs(fields.into_iter().map(|(name, field)| (name, value(field)))),
    }
}

/// A number of the engine if the engine writes it with the same digits; otherwise an [`Exact`].
fn number(digits: String) -> Value {
    let plain = digits.len() <= MAX_PLAIN_DIGITS && !digits.starts_with("-0");
    if let Some(integer) = plain.then(|| digits.parse::<i64>().ok()).flatten() {
        return Value::from(integer);
    }
    match native(&digits) {
        value if decimal(&value).is_some_and(|text| text == digits) => value,
        _ => Value::from_object(Exact(digits)),
    }
}

/// The nearest number that the engine can calculate with.
fn native(digits: &str) -> Value {
    if let Ok(integer) = digits.parse::<i128>() {
        return Value::from(integer);
    }
    Value::from(digits.parse::<f64>().unwrap_or(f64::NAN))
}

/// A number in the notation of JSON; `None` if JSON cannot express it.
pub(crate) fn decimal(value: &Value) -> Option<String> {
    if let Some(exact) = value.downcast_object_ref::<Exact>() {
        return Some(exact.0.clone());
    }
    if value.is_integer() {
        return Some(value.to_string());
    }
    serde_json::Number::from_f64(f64::try_from(value.clone()).ok()?).map(|number| number.to_string())
}

/// A number that the engine cannot represent with all its digits.
#[derive(Debug)]
pub(crate) struct Exact(String);

impl Exact {
    pub(crate) fn digits(&self) -> &str {
        &self.0
    }

    pub(crate) fn native(&self) -> Value {
        native(&self.0)
    }
}

impl Object for Exact {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.0.bytes().take_while(|b| !matches!(b, b'e' | b'E')).any(|b| matches!(b, b'1'..=b'9'))
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Self>()?;
        Some(self.native().cmp(&other.native()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text of the template itself, which is written unchanged.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) String);

impl Object for Raw {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// A placeholder for an unknown field of a payload. It has every field, and is a list with one item.
#[derive(Debug)]
pub(crate) struct Placeholder {
    quoted: bool,
}

/// The text of a placeholder. It is also a number.
pub(crate) const PLACEHOLDER: &str = "1";

pub(crate) fn is_placeholder(value: &Value) -> bool {
    value.downcast_object_ref::<Placeholder>().is_some()
}

/// A placeholder as JSON; `None` if the value is not a placeholder.
pub(crate) fn placeholder_json(value: &Value) -> Option<&'static str> {
    let placeholder = value.downcast_object_ref::<Placeholder>()?;
    Some(if placeholder.quoted { "\"1\"" } else { "1" })
}

impl Object for Placeholder {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Map
    }

    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::from_object(Self { quoted: self.quoted }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(vec![Value::from(PLACEHOLDER)])
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PLACEHOLDER)
    }
}
