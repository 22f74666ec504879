//! A message for Slack and compatible receivers: a line about the event, and one for each simple field of the payload.

use bytes::Bytes;

use crate::{error::RenderError, values::Input};
use domain::json::{Json, parse, quote};

/// Maximum number of fields that a message shows.
const MAX_FIELDS: usize = 20;
/// Maximum number of characters of a name or a value that a message shows.
const MAX_CHARS: usize = 200;

pub(crate) fn message(input: &Input<'_>) -> Result<Bytes, RenderError> {
    let reference = input.reference;
    let mut lines = vec![format!("*{}* from {}: lead {}", reference.event_type, reference.interface, reference.lead)];
    if let Json::Object(fields) = parse(input.payload)? {
        let simple: Vec<_> = fields.iter().filter_map(|(name, value)| Some((name, simple(value)?))).collect();
        lines
            .extend(simple.iter().take(MAX_FIELDS).map(|(name, value)| format!("• {}: {}", plain(name), plain(value))));
        if simple.len() > MAX_FIELDS {
            lines.push(format!("…and {} more", simple.len() - MAX_FIELDS));
        }
    }
    let mut message = r#"{"text":"#.to_owned();
    quote(&lines.join("\n"), &mut message);
    message.push('}');
    Ok(message.into())
}

fn simple(value: &Json) -> Option<&str> {
    match value {
        Json::Text(text) | Json::Number(text) => Some(text),
        Json::Bool(true) => Some("true"),
        Json::Bool(false) => Some("false"),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Escapes the three characters that have a meaning in Slack, so that `<!channel>` in a lead notifies no channel.
fn plain(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect();
    short.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
