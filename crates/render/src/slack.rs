//! A message for Slack and its likes: a line about the event, and one for each simple field of the payload.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::{Input, RenderError};

/// Fields that are shown.
const MOST_FIELDS: usize = 20;
/// Characters of a field's name or value that are shown.
const LONGEST: usize = 200;

pub(crate) fn message(input: &Input<'_>) -> Result<Bytes, RenderError> {
    let payload: Value = serde_json::from_slice(input.payload).map_err(RenderError::Payload)?;
    let reference = input.reference;
    let mut lines = vec![format!("*{}* from {}: lead {}", reference.event_type, reference.interface, reference.lead)];
    if let Value::Object(fields) = payload {
        let simple = fields.iter().filter_map(|(name, value)| Some((name, simple(value)?)));
        lines.extend(simple.take(MOST_FIELDS).map(|(name, value)| format!("• {}: {}", plain(name), plain(&value))));
    }
    Ok(json!({"text": lines.join("\n")}).to_string().into())
}

fn simple(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Text without a meaning of its own: Slack asks for these three to be escaped, and then `<!channel>` calls nobody.
fn plain(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    short.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
