//! A message for Slack and its likes: a line about the event, and one for each simple field of the payload.

use bytes::Bytes;

use crate::{
    Input, RenderError,
    json::{Json, parse, quote},
};

/// Fields that are shown.
const MOST_FIELDS: usize = 20;
/// Characters of a field's name or value that are shown.
const LONGEST: usize = 200;

pub(crate) fn message(input: &Input<'_>) -> Result<Bytes, RenderError> {
    let reference = input.reference;
    let mut lines = vec![format!("*{}* from {}: lead {}", reference.event_type, reference.interface, reference.lead)];
    if let Json::Object(fields) = parse(input.payload)? {
        let simple: Vec<_> = fields.iter().filter_map(|(name, value)| Some((name, simple(value)?))).collect();
        lines.extend(
            simple.iter().take(MOST_FIELDS).map(|(name, value)| format!("• {}: {}", plain(name), plain(value))),
        );
        if simple.len() > MOST_FIELDS {
            lines.push(format!("…and {} more", simple.len() - MOST_FIELDS));
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

/// Text without a meaning of its own: Slack asks for these three to be escaped, and then `<!channel>` calls nobody.
fn plain(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    short.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
