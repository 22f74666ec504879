//! Requests from settings and templates: renders the URL and the body of a destination for one event, and says which
//! headers go with them.
//!
//! Rendering is pure, and bounded for every template and every event. A template executes at most [`FUEL`]
//! instructions, reads and writes at most [`MAX_WORK`] bytes, and needs at most [`STACK`] bytes of stack. It may use
//! the functions that [`template::functions`] lists. Leads are untrusted, so no value can change the shape of a
//! request. A template writes a value into a body as the content type demands ([`template::part`]), and percent-encodes
//! it in a URL. It cannot compute the scheme, the host or the port, and no value adds or removes a path segment.
//! Numbers keep their digits, and objects their order.
//!
//! Errors are stored and shown to people who may not see the lead, so no error quotes a value of the lead.

mod error;
mod form;
mod headers;
mod slack;
mod template;
mod url;
mod values;
mod write;
mod xml;

use std::borrow::Cow;

use ::url::Url;
use bytes::Bytes;
use domain::registry::{Body, Destination};
use minijinja::Value;
use serde_json::value::RawValue;

use crate::{
    template::{
        engine::{Compiled, is_template},
        part::Part,
        stack::on_large_stack,
        trial,
    },
    values::Root,
};

pub use crate::{
    error::{FUEL, LARGEST, MAX_URL, RenderError},
    headers::{ACCEPT, AGENT, Head, HeaderText, authority, webhook_id},
    template::{meter::MAX_WORK, stack::STACK},
    url::without_values,
    values::Input,
    xml::NoXml,
};
pub use domain::json;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// A rendered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub url: Url,
    /// Empty if the method carries no body.
    pub body: Bytes,
    /// `None` if the method carries no body.
    pub content_type: Option<Cow<'static, str>>,
}

impl RenderError {
    /// The same error without quotations from the result, which may contain values of the lead.
    fn of_a_lead(self) -> Self {
        match self {
            Self::NoXml(wrong) => Self::NoXml(wrong.without_quotes()),
            other => other,
        }
    }
}

/// Whether a destination has templates. Rendering them may take long, so use a separate thread with a stack of
/// [`STACK`] bytes.
pub fn has_template(destination: &Destination) -> bool {
    is_template(&destination.url) || matches!(destination.request.body, Body::Template(_))
}

/// Checks that the templates of a destination compile, and do not fail for every lead.
///
/// # Errors
/// When a template is wrong; the error names the line.
pub fn check(destination: &Destination) -> Result<(), RenderError> {
    if !has_template(destination) {
        return Ok(());
    }
    on_large_stack(|| trial::attempt(destination)).map_err(RenderError::NoThread)?
}

/// Renders URL and body of a request. Needs [`STACK`] bytes of stack if the destination [`has_template`].
///
/// # Errors
/// When a template fails for this event, or the result is not valid.
pub fn render(destination: &Destination, input: &Input<'_>) -> Result<Rendered, RenderError> {
    let values = Root::of(input);
    let (body, content_type) = body(destination, input, &values)?;
    let url = Url::parse(&destination.url)?;
    if !is_template(&destination.url) {
        return Ok(Rendered { url, body, content_type });
    }
    let filled = Compiled::read(&destination.url, Part::Url)?.fill(values)?;
    Ok(Rendered { url: url::checked(&filled, &url)?, body, content_type })
}

/// Renders URL and body of a request. If the destination [`has_template`], a separate thread does this, and the calling
/// thread waits for it.
///
/// # Errors
/// As [`render`], or if the operating system cannot start a thread.
pub fn render_apart(destination: &Destination, input: &Input<'_>) -> Result<Rendered, RenderError> {
    if !has_template(destination) {
        return render(destination, input);
    }
    on_large_stack(|| render(destination, input)).map_err(RenderError::NoThread)?
}

fn body(
    destination: &Destination,
    input: &Input<'_>,
    values: &Value,
) -> Result<(Bytes, Option<Cow<'static, str>>), RenderError> {
    let shape = &destination.request;
    if !shape.method.carries_body() {
        return Ok((Bytes::new(), None));
    }
    let set = shape.content_type.as_ref().map(|content_type| Cow::Owned(content_type.as_str().to_owned()));
    let or = |default: &'static str| set.clone().unwrap_or(Cow::Borrowed(default));
    let (body, content_type) = match &shape.body {
        Body::Payload => (input.payload.clone(), or(JSON)),
        Body::Envelope => (envelope(input)?, or(JSON)),
        Body::Slack => (slack::message(input)?, or(JSON)),
        Body::Form => (form::urlencoded(&shape.form, input)?, or(FORM)),
        Body::Multipart => {
            let (body, boundary) = form::multipart(&shape.form, input)?;
            (body, format!("{}; boundary={boundary}", or(MULTIPART)).into())
        }
        Body::Template(text) => {
            let part = Part::of_body(shape.format());
            let body = Compiled::read(text, part)?.fill(values.clone())?;
            if body.len() > LARGEST {
                return Err(RenderError::LargeBody { size: body.len() });
            }
            (part.checked(body).map_err(RenderError::of_a_lead)?.into(), or(JSON))
        }
    };
    Ok((body, Some(content_type)))
}

/// Type, time and the unchanged payload (Standard Webhooks, payload structure).
fn envelope(input: &Input<'_>) -> Result<Bytes, RenderError> {
    let data: &RawValue = serde_json::from_slice(input.payload).map_err(RenderError::Envelope)?;
    // Neither an event type nor a time contains a character that JSON escapes.
    let text = format!(
        r#"{{"type":"{}","timestamp":"{}","data":{}}}"#,
        input.reference.event_type,
        input.occurred_at,
        data.get()
    );
    Ok(text.into())
}
