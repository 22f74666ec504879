//! Requests from settings and templates: renders the URL and the body of a destination for one event, and says which
//! headers go with them.
//!
//! Rendering is pure, and bounded for every template and every event: a template takes at most [`FUEL`] steps, reads
//! and writes at most [`MAX_WORK`] bytes, and needs at most [`STACK`] bytes of stack. It may use the functions that
//! [`functions`] lists. Strangers write leads, so no value can change the shape of the request: in a body `{{ value }}`
//! is written as the content type demands ([`part`]), in a URL it is percent-encoded, and a template cannot compute the
//! scheme, the host or the number of path segments. Numbers keep their digits, and objects their order.
//!
//! Errors are stored and shown to people who may not see the lead, so none of them quotes a value of it.

mod engine;
mod form;
mod functions;
mod guard;
mod headers;
mod meter;
mod operators;
mod part;
mod slack;
mod stack;
mod trial;
mod url;
mod values;
mod write;
mod xml;

use std::borrow::Cow;

use ::url::Url;
use bytes::Bytes;
use domain::{
    DeliveryRef,
    registry::{Body, Destination},
};
use jiff::Timestamp;
use minijinja::Value;
use serde_json::value::RawValue;

use crate::{engine::Compiled, part::Part, values::Root};

pub use crate::{
    headers::{ACCEPT, AGENT, Head, HeaderText, authority, webhook_id},
    meter::MAX_WORK,
    stack::STACK,
    url::without_values,
    xml::NoXml,
};
pub use domain::json;

/// Maximum length of a rendered URL, in bytes; most servers refuse longer ones.
pub const MAX_URL: usize = 8 * 1024;
/// Maximum number of instructions that a template may take.
pub const FUEL: u64 = 100_000;
/// Maximum size of a rendered body, in bytes.
pub const LARGEST: usize = 1024 * 1024;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// The event to render.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    pub reference: &'a DeliveryRef,
    pub occurred_at: Timestamp,
    /// JSON.
    pub payload: &'a Bytes,
}

/// A rendered request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub url: Url,
    /// Empty if the method carries no body.
    pub body: Bytes,
    /// `None` if the method carries no body.
    pub content_type: Option<Cow<'static, str>>,
}

/// Why a request cannot be rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The template is wrong, or uses a value that the event does not have.
    #[error("{part} template, line {line}: {problem}")]
    Template {
        /// URL or body.
        part: &'static str,
        /// Counted from 1.
        line: usize,
        problem: String,
    },
    /// The result is no URL.
    #[error("URL template: the result for this lead is no URL")]
    Url(#[from] ::url::ParseError),
    /// The receiver would refuse it, and it is too large to be recorded.
    #[error("URL template: the URL for this lead has {size} bytes, and {MAX_URL} is the limit")]
    LongUrl {
        /// In bytes.
        size: usize,
    },
    /// A template may only compute path and query.
    #[error("URL template: the URL for this lead leads to another host; only path and query may be filled in")]
    Host,
    /// The template fixes the number of path segments.
    #[error("URL template: the lead may not change the shape of the path: {0}")]
    Path(String),
    /// The receiver would refuse it, and it takes too much memory.
    #[error("body template: the body for this lead has {size} bytes, and {LARGEST} is the limit")]
    LargeBody {
        /// In bytes.
        size: usize,
    },
    /// A rendered body has to be JSON.
    #[error(
        "body template: the result is no JSON; values bring their own quotes: write \
         {{{{ \"Hi \" ~ payload.name }}}} instead of \"Hi {{{{ payload.name }}}}\""
    )]
    NoJson(#[source] serde_json::Error),
    /// The body of the form is larger than [`LARGEST`].
    #[error("the form for this lead has more than {LARGEST} bytes, the limit")]
    LargeForm,
    /// The template's result is not a form.
    #[error(
        "body template: the result is not a form: {0:?} has to be percent-encoded, a blank as + or %20. Values are \
         encoded by Leadline"
    )]
    NoForm(char),
    /// The template's result is no well-formed XML.
    #[error("body template: the result is no XML: {0}")]
    NoXml(NoXml),
    /// A form can only be made of an object.
    #[error("the payload is not an object, so it has no fields for a form; send it as JSON, or use a body template")]
    NoFields,
    /// A template cannot read the payload.
    #[error("the payload cannot be read")]
    Payload(#[from] json::JsonError),
    /// An envelope can only hold JSON.
    #[error("the payload is no JSON")]
    Envelope(#[source] serde_json::Error),
    /// The operating system has no thread for it.
    #[error("cannot try the template now")]
    NoThread(#[source] std::io::Error),
}

impl RenderError {
    /// The same error without what it quotes of the result.
    fn of_a_lead(self) -> Self {
        match self {
            Self::NoXml(wrong) => Self::NoXml(wrong.without_quotes()),
            other => other,
        }
    }
}

/// Whether a destination has templates. Rendering them may take long: use a thread of its own, with [`STACK`] bytes.
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
    stack::on_large_stack(|| trial::attempt(destination)).map_err(RenderError::NoThread)?
}

/// Renders URL and body of a request. Needs [`STACK`] bytes of stack if it [`has_template`].
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

/// Renders URL and body of a request on a thread of its own if it [`has_template`]; the calling thread waits.
///
/// # Errors
/// As of [`render`], or if the operating system has no thread for it.
pub fn render_apart(destination: &Destination, input: &Input<'_>) -> Result<Rendered, RenderError> {
    if !has_template(destination) {
        return render(destination, input);
    }
    stack::on_large_stack(|| render(destination, input)).map_err(RenderError::NoThread)?
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

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Type, time and the unchanged payload (Standard Webhooks, payload structure).
fn envelope(input: &Input<'_>) -> Result<Bytes, RenderError> {
    let data: &RawValue = serde_json::from_slice(input.payload).map_err(RenderError::Envelope)?;
    // An event type only has lower-case words and dots, a time only digits and signs, so they need no escapes.
    let text = format!(
        r#"{{"type":"{}","timestamp":"{}","data":{}}}"#,
        input.reference.event_type,
        input.occurred_at,
        data.get()
    );
    Ok(text.into())
}
