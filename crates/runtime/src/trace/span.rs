//! Attributes, status and links of spans.

use std::{borrow::Cow, sync::OnceLock, time::SystemTime};

use opentelemetry::{
    Context, Key, KeyValue, Value,
    trace::{Link, Span as _, SpanKind, Status, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    context::{TraceContext, distinct},
    exporting::exporting,
};

/// The attribute of a link that names the role of the linked span.
const ROLE: &str = "leadline.link";
/// Marks a span that is sampled because it failed, even if its trace is not.
pub(crate) const KEPT: &str = "leadline.kept_failure";

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

pub(crate) fn set_tracer(tracer: SdkTracer) {
    let _ = TRACER.set(tracer);
}

/// An attribute of a span.
pub type Attribute = (&'static str, Value);

/// Adds an attribute to a span. Nothing happens without an exporter.
pub fn attribute(span: &Span, key: &'static str, value: impl Into<Value>) {
    if exporting() && !span.is_none() {
        span.set_attribute(Key::from_static_str(key), value);
    }
}

pub fn attributes(span: &Span, all: impl IntoIterator<Item = Attribute>) {
    all.into_iter().for_each(|(key, value)| attribute(span, key, value));
}

/// Gives a span another name.
pub(crate) fn rename(span: &Span, name: impl Into<Cow<'static, str>>) {
    if exporting() && !span.is_none() {
        span.context().span().update_name(name);
    }
}

/// Marks a span as failed. `description` adds to the attributes; it may be empty.
pub fn fails(span: &Span, description: impl Into<String>) {
    if exporting() && !span.is_none() {
        span.set_status(Status::error(description.into()));
    }
}

/// Links a span to another one.
pub fn link(span: &Span, to: &TraceContext, role: &'static str) {
    if exporting() && !span.is_none() {
        span.add_link_with_attributes(to.span.clone(), vec![KeyValue::new(ROLE, role)]);
    }
}

/// Exports a failure whose trace is not sampled: as a separate span, in a new trace that links to its causes. Returns
/// the context of that span; `None` without an exporter.
pub fn keep_failure(
    causes: &[(TraceContext, &'static str)],
    name: String,
    (started, ended): (SystemTime, SystemTime),
    attributes: impl IntoIterator<Item = Attribute>,
    description: String,
) -> Option<TraceContext> {
    let tracer = TRACER.get()?;
    let to_link = |(cause, role): (&TraceContext, &'static str)| {
        Link::new(cause.span.clone(), vec![KeyValue::new(ROLE, role)], 0)
    };
    let own = [KeyValue::new(KEPT, true)];
    let attributes = attributes.into_iter().map(|(key, value)| KeyValue::new(key, value));
    let builder = tracer
        .span_builder(name)
        .with_kind(SpanKind::Client)
        .with_start_time(started)
        .with_links(distinct(causes).map(to_link).collect())
        .with_attributes(own.into_iter().chain(attributes).collect::<Vec<_>>());
    let mut span = tracer.build_with_context(builder, &Context::new());
    span.set_status(Status::error(description));
    let kept = span.span_context().clone();
    span.end_with_timestamp(ended);
    let baggage = causes.iter().find_map(|(cause, _)| cause.baggage.clone());
    kept.is_valid().then_some(TraceContext { span: kept, baggage })
}
