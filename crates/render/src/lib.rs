//! Requests from templates: the URL and the body of a destination, filled in with one event.
//!
//! Pure and bounded for every template and every event: a template takes at most [`FUEL`] steps, reads
//! and writes at most [`MAX_WORK`] bytes, and needs at most [`STACK`] bytes of the stack. It may use what
//! [`functions`] lists. What a lead holds comes from strangers, so no value can change the shape of what is made of it: in a
//! body `{{ value }}` is written as JSON, in a URL it is percent-encoded, and neither scheme nor host nor the number of
//! parts of the path can be filled in. Numbers keep their digits, and objects their order.

mod engine;
mod functions;
mod guard;
pub mod json;
mod meter;
mod operators;
mod slack;
mod stack;
mod trial;
mod url;
mod values;
mod write;

use ::url::Url;
use bytes::Bytes;
use domain::{
    DeliveryRef,
    registry::{Body, Destination},
};
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::{engine::Compiled, guard::Part, values::Root};

pub use crate::{meter::MAX_WORK, stack::STACK};

/// The longest that a rendered URL may be, in bytes; most servers take no more.
pub const LONGEST_URL: usize = 8 * 1024;
/// How many instructions a template may take.
pub const FUEL: u64 = 100_000;
/// The largest that a rendered body may be, in bytes.
pub const LARGEST: usize = 1024 * 1024;

/// The event that is filled in.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// What the delivery is about.
    pub reference: &'a DeliveryRef,
    /// When the event happened.
    pub occurred_at: Timestamp,
    /// Its payload: JSON.
    pub payload: &'a Bytes,
}

/// What the request is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Where it goes.
    pub url: Url,
    /// What it carries.
    pub body: Bytes,
}

/// Why a template does not make a request.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The template is wrong, or asks for what the event does not have.
    #[error("{part} template, line {line}: {problem}")]
    Template {
        /// URL or body.
        part: &'static str,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// What came out is none.
    #[error("URL template: what it makes of this lead is no URL: {0}")]
    Url(#[from] ::url::ParseError),
    /// It would be refused, and too large to be recorded.
    #[error("URL template: the URL that it makes of this lead has {size} bytes, and {LONGEST_URL} is the limit")]
    LongUrl {
        /// How long it is.
        size: usize,
    },
    /// Only path and query may be filled in.
    #[error(
        "URL template: the URL that it makes of this lead leads to another host; only path and query may be filled in"
    )]
    Host,
    /// The template says how many parts the path has.
    #[error("URL template: the lead may not change the shape of the path: {0}")]
    Path(String),
    /// It would be refused, and take too much memory.
    #[error("body template: the body that it makes of this lead has {size} bytes, and {LARGEST} is the limit")]
    LargeBody {
        /// How large it is.
        size: usize,
    },
    /// The body has to be JSON.
    #[error(
        "body template: what it makes is no JSON: {0}. Values bring their own quotes: write \
         {{{{ \"Hi \" ~ payload.name }}}} instead of \"Hi {{{{ payload.name }}}}\""
    )]
    NoJson(#[source] serde_json::Error),
    /// The payload has to be JSON.
    #[error("the payload cannot be read: {0}")]
    Payload(#[from] json::JsonError),
    /// The payload has to be JSON.
    #[error("the payload is no JSON: {0}")]
    Envelope(#[source] serde_json::Error),
    /// The system has no thread.
    #[error("the template cannot be tried now: {0}")]
    NoThread(#[source] std::io::Error),
}

/// Whether a destination has templates to fill in, which may take long: on a thread of its own, with [`STACK`] bytes.
pub fn has_template(destination: &Destination) -> bool {
    is_template(&destination.url) || matches!(destination.request.body, Body::Template(_))
}

/// Whether the templates of a destination can be read, and are not bound to fail with any lead.
///
/// # Errors
/// What is wrong, and in which line.
pub fn check(destination: &Destination) -> Result<(), RenderError> {
    if !has_template(destination) {
        return Ok(());
    }
    stack::on_large_stack(|| trial::attempt(destination)).map_err(RenderError::NoThread)?
}

/// Makes URL and body of a request. Needs [`STACK`] bytes of the stack if it [`has_template`].
///
/// # Errors
/// When a template cannot be filled in with this event, or what comes out is no URL or no JSON.
pub fn render(destination: &Destination, input: &Input<'_>) -> Result<Rendered, RenderError> {
    let values = Root::of(input);
    let body = match &destination.request.body {
        Body::Payload => input.payload.clone(),
        Body::Envelope => envelope(input)?,
        Body::Slack => slack::message(input)?,
        Body::Template(text) => {
            let body = Compiled::read(text, Part::Body)?.fill(values.clone())?;
            if body.len() > LARGEST {
                return Err(RenderError::LargeBody { size: body.len() });
            }
            serde_json::from_str::<&RawValue>(&body).map_err(RenderError::NoJson)?;
            body.into()
        }
    };
    let url = Url::parse(&destination.url)?;
    if !is_template(&destination.url) {
        return Ok(Rendered { url, body });
    }
    let filled = Compiled::read(&destination.url, Part::Url)?.fill(values)?;
    Ok(Rendered { url: url::checked(&filled, &url)?, body })
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Type, time and the payload as it is (Standard Webhooks, payload structure).
fn envelope(input: &Input<'_>) -> Result<Bytes, RenderError> {
    let data: &RawValue = serde_json::from_slice(input.payload).map_err(RenderError::Envelope)?;
    // An event type is lower-case words and dots, and a time digits and signs: neither has to be escaped.
    let text = format!(
        r#"{{"type":"{}","timestamp":"{}","data":{}}}"#,
        input.reference.event_type,
        input.occurred_at,
        data.get()
    );
    Ok(text.into())
}
