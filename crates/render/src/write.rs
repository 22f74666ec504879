//! Writes values: as JSON into JSON, percent-encoded into a URL or a form, escaped into XML, and unchanged into any
//! other text.

use minijinja::{
    AutoEscape, Error, Output, State, Value,
    value::{ObjectRepr, ValueKind},
};

use crate::{
    template::meter::{Meter, invalid, too_deep},
    values::{PLACEHOLDER, Raw, decimal, is_placeholder, placeholder_json},
    xml,
};
use domain::json::quote;

/// How many times longer a text can become as JSON, percent-encoded or escaped for XML.
const MAX_ESCAPE_GROWTH: usize = 6;
/// Maximum depth of a value that is written.
const MAX_DEPTH: usize = domain::payload::MAX_DEPTH + 64;

/// Writes a value into JSON.
pub(crate) fn into_json(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let as_json = *state.auto_escape() == AutoEscape::Json;
    let meter = Meter::of(state);
    if let Some(raw) = raw(value, meter)? {
        return Ok(out.write_str(raw)?);
    }
    if value.is_safe() || !as_json {
        meter.charge_for(value, MAX_ESCAPE_GROWTH)?;
        return Ok(out.write_str(&value.to_string())?);
    }
    Ok(out.write_str(&json(value, meter)?)?)
}

/// Writes a value into a URL as a part of it.
pub(crate) fn into_url(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let meter = Meter::of(state);
    if let Some(raw) = raw(value, meter)? {
        return Ok(out.write_str(raw)?);
    }
    meter.charge_for(value, MAX_ESCAPE_GROWTH)?;
    let text = one_piece(value);
    Ok(out.write_str(&percent_encoded(&text))?)
}

/// Encodes all characters except the unreserved ones of RFC 3986. A blank becomes %20, which is valid in URLs and in
/// forms.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Writes a value into a form, so that it stays within one name or one value of the form.
pub(crate) fn into_form(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    escaped(out, state, value, percent_encoded)
}

/// Writes a value into XML, so that it can be only text, or a part of a quoted attribute.
pub(crate) fn into_xml(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    escaped(out, state, value, xml::escaped)
}

/// Writes a value unchanged.
pub(crate) fn into_text(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let meter = Meter::of(state);
    if let Some(raw) = raw(value, meter)? {
        return Ok(out.write_str(raw)?);
    }
    meter.charge_for(value, 1)?;
    Ok(out.write_str(&one_piece(value))?)
}

fn escaped(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
    escape: fn(&str) -> String,
) -> Result<(), Error> {
    let meter = Meter::of(state);
    if let Some(raw) = raw(value, meter)? {
        return Ok(out.write_str(raw)?);
    }
    meter.charge_for(value, MAX_ESCAPE_GROWTH)?;
    let text = one_piece(value);
    // Only a captured block is marked as safe. Its values were escaped when they were written into the block.
    Ok(out.write_str(&if value.is_safe() { text } else { escape(&text) })?)
}

/// A text, a number, or a truth value as text; null is empty.
fn one_piece(value: &Value) -> String {
    match value.kind() {
        _ if is_placeholder(value) => PLACEHOLDER.to_owned(),
        ValueKind::None => String::new(),
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Number => decimal(value).unwrap_or_default(),
        _ => value.to_string(),
    }
}

/// The value as text of the template itself; `None` if it is another value.
fn raw<'v>(value: &'v Value, meter: &mut Meter) -> Result<Option<&'v str>, Error> {
    let Some(raw) = value.downcast_object_ref::<Raw>() else { return Ok(None) };
    meter.charge(raw.0.len())?;
    Ok(Some(&raw.0))
}

pub(crate) fn json(value: &Value, meter: &mut Meter) -> Result<String, Error> {
    let mut out = String::new();
    write(value, meter, &mut out, 0)?;
    Ok(out)
}

fn write(value: &Value, meter: &mut Meter, out: &mut String, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    meter.charge(MAX_ESCAPE_GROWTH)?;
    if let Some(text) = value.as_str() {
        meter.charge(text.len().saturating_mul(MAX_ESCAPE_GROWTH))?;
        quote(text, out);
        return Ok(());
    }
    if let Some(placeholder) = placeholder_json(value) {
        out.push_str(placeholder);
        return Ok(());
    }
    match value.kind() {
        ValueKind::Undefined if depth > 0 => return Err(minijinja::ErrorKind::UndefinedError.into()),
        ValueKind::None | ValueKind::Undefined => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (index, item) in value.try_iter()?.enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write(&item, meter, out, depth + 1)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            let pairs = value.as_object().filter(|o| o.repr() == ObjectRepr::Map).and_then(|o| o.try_iter_pairs());
            out.push('{');
            for (index, (name, field)) in pairs.into_iter().flatten().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                meter.charge_for(&name, MAX_ESCAPE_GROWTH)?;
                quote(&name.to_string(), out);
                out.push(':');
                write(&field, meter, out, depth + 1)?;
            }
            out.push('}');
        }
        _ => match decimal(value) {
            Some(number) => {
                meter.charge(number.len())?;
                out.push_str(&number);
            }
            None => return Err(invalid(format!("JSON cannot express {}", value.kind()))),
        },
    }
    Ok(())
}
