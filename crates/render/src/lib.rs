//! Requests from templates: the URL and the body of a destination, filled in with one event.
//!
//! Pure and bounded: a template runs on [`FUEL`] and writes at most [`LARGEST`] bytes, whoever wrote it and whatever the
//! event holds. What a lead holds comes from strangers, so no value can change the shape of what is made of it: in a
//! body `{{ value }}` is written as JSON, in a URL it is percent-encoded, and neither scheme nor host of a URL can be
//! filled in.

mod slack;

use std::io::{self, Write};

use bytes::Bytes;
use domain::{
    DeliveryRef,
    registry::{Body, Destination},
};
use jiff::Timestamp;
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value, context};
use serde_json::value::RawValue;
use url::Url;

/// The longest that a rendered URL may be, in bytes; most servers take no more.
pub const LONGEST_URL: usize = 8 * 1024;
/// How many instructions a template may take.
pub const FUEL: u64 = 100_000;
/// The largest that a rendered URL or body may be, in bytes.
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
        /// The line, from 1; 0 if it is not known.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// What came out is none.
    #[error("the rendered URL is none: {0}")]
    Url(#[from] url::ParseError),
    /// It would be refused, and too large to be recorded.
    #[error("the rendered URL is longer than {LONGEST_URL} bytes")]
    Long,
    /// Only path and query may be filled in.
    #[error("the rendered URL leads to another host than the template; only path and query may be filled in")]
    Host,
    /// The body has to be JSON.
    #[error("the rendered body is no JSON: {0}")]
    NoJson(#[source] serde_json::Error),
    /// The payload has to be JSON.
    #[error("the payload is no JSON: {0}")]
    Payload(#[source] serde_json::Error),
}

/// Whether the templates of a destination can be read.
///
/// # Errors
/// What is wrong, and in which line.
pub fn check(destination: &Destination) -> Result<(), RenderError> {
    if is_template(&destination.url) {
        let environment = for_urls();
        environment.template_from_str(&destination.url).map_err(|e| wrong("URL", &e))?;
    }
    if let Body::Template(text) = &destination.request.body {
        let environment = for_bodies();
        environment.template_from_str(text).map_err(|e| wrong("body", &e))?;
    }
    Ok(())
}

/// Makes URL and body of a request.
///
/// # Errors
/// When a template cannot be filled in with this event, or what comes out is no URL or no JSON.
pub fn render(destination: &Destination, input: &Input<'_>) -> Result<Rendered, RenderError> {
    let templates = is_template(&destination.url) || matches!(destination.request.body, Body::Template(_));
    let values = if templates { values(input)? } else { Value::UNDEFINED };
    let body = match &destination.request.body {
        Body::Payload => input.payload.clone(),
        Body::Envelope => envelope(input)?,
        Body::Slack => slack::message(input)?,
        Body::Template(text) => {
            let body = fill("body", &for_bodies(), text, values.clone())?;
            serde_json::from_slice::<&RawValue>(&body).map_err(RenderError::NoJson)?;
            body.into()
        }
    };
    Ok(Rendered { url: url(&destination.url, values)?, body })
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

fn url(text: &str, values: Value) -> Result<Url, RenderError> {
    let written = Url::parse(text)?;
    if !is_template(text) {
        return Ok(written);
    }
    let filled = fill("URL", &for_urls(), text, values)?;
    if filled.len() > LONGEST_URL {
        return Err(RenderError::Long);
    }
    let filled = Url::parse(&String::from_utf8_lossy(&filled))?;
    if filled.origin() == written.origin() { Ok(filled) } else { Err(RenderError::Host) }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
}

fn for_bodies() -> Environment<'static> {
    let mut environment = environment();
    environment.set_auto_escape_callback(|_| AutoEscape::Json);
    environment
}

fn for_urls() -> Environment<'static> {
    let mut environment = environment();
    environment.set_formatter(|out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value| {
        if value.is_undefined() {
            return Err(minijinja::ErrorKind::UndefinedError.into());
        }
        Ok(out.write_str(&percent_encoded(&value.to_string()))?)
    });
    environment
}

/// Everything but the unreserved characters of RFC 3986 is encoded.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}

fn fill(part: &'static str, environment: &Environment<'_>, text: &str, values: Value) -> Result<Vec<u8>, RenderError> {
    let template = environment.template_from_str(text).map_err(|e| wrong(part, &e))?;
    let mut out = Bounded(Vec::new());
    template.render_captured_to(values, &mut out).map_err(|e| wrong(part, &e))?;
    Ok(out.0)
}

fn wrong(part: &'static str, error: &minijinja::Error) -> RenderError {
    let problem = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    RenderError::Template { part, line: error.line().unwrap_or(0), problem }
}

/// A buffer that refuses to grow beyond [`LARGEST`].
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LARGEST {
            return Err(io::Error::other(format!("it writes more than {LARGEST} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a template may use.
fn values(input: &Input<'_>) -> Result<Value, RenderError> {
    let reference = input.reference;
    let payload: Value = serde_json::from_slice(input.payload).map_err(RenderError::Payload)?;
    Ok(context! {
        payload,
        event => context! {
            id => reference.event_id.as_str(),
            type => reference.event_type.as_str(),
            occurred_at => input.occurred_at.to_string(),
        },
        lead => context! { id => reference.lead.as_str() },
        delivery => context! { id => reference.delivery.to_string() },
        account => reference.account.as_str(),
        interface => reference.interface.as_str(),
        client => reference.client.as_ref().map(domain::ClientId::as_str),
    })
}

/// Type, time and the payload as it is (Standard Webhooks, payload structure).
fn envelope(input: &Input<'_>) -> Result<Bytes, RenderError> {
    let data: &RawValue = serde_json::from_slice(input.payload).map_err(RenderError::Payload)?;
    // An event type is lower-case words and dots, and a time digits and signs: neither has to be escaped.
    let text = format!(
        r#"{{"type":"{}","timestamp":"{}","data":{}}}"#,
        input.reference.event_type,
        input.occurred_at,
        data.get()
    );
    Ok(text.into())
}
