//! The trace context, and its headers.

use std::sync::Arc;

use http::HeaderMap;
use opentelemetry::{
    Context,
    baggage::BaggageExt as _,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use uuid::Uuid;

use super::exporting::exporting;

/// The header of the trace context.
pub const TRACEPARENT: &str = "traceparent";
/// The header of vendor-specific trace state.
pub const TRACESTATE: &str = "tracestate";
/// The header with values that each service passes on to the services that it calls.
pub const BAGGAGE: &str = "baggage";
/// `tracestate` is dropped if it is longer, in bytes (W3C recommends to pass on at least 512).
const MAX_TRACESTATE: usize = 512;
/// `baggage` is dropped if it is longer, in bytes: each message about the event carries it.
const MAX_BAGGAGE: usize = 2_048;

/// The position of a span in its trace, or no position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    pub(super) span: SpanContext,
    pub(super) baggage: Option<Arc<str>>,
}

impl Default for TraceContext {
    fn default() -> Self {
        Self { span: SpanContext::empty_context(), baggage: None }
    }
}

/// The headers of a context.
struct Headers<'a> {
    traceparent: Option<&'a str>,
    tracestate: Option<&'a str>,
    baggage: Option<&'a str>,
}

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => self.traceparent,
            TRACESTATE => self.tracestate.filter(|state| state.len() <= MAX_TRACESTATE),
            BAGGAGE => self.baggage.filter(|baggage| baggage.len() <= MAX_BAGGAGE),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE, BAGGAGE]
    }
}

/// Takes the value of one header.
struct One<'a>(&'a str, Option<String>);

impl Injector for One<'_> {
    fn set(&mut self, key: &str, value: String) {
        if key == self.0 && !value.is_empty() {
            self.1 = Some(value);
        }
    }
}

impl TraceContext {
    /// The context in these headers; `None` if it is missing or invalid.
    pub fn from_headers(traceparent: Option<&str>, tracestate: Option<&str>, baggage: Option<&str>) -> Option<Self> {
        traceparent?;
        let headers = Headers { traceparent, tracestate, baggage };
        let extracted = TraceContextPropagator::new().extract_with_context(&Context::new(), &headers);
        let span = extracted.span().span_context().clone();
        span.is_valid().then(|| Self { span, baggage: baggage_of(&headers) })
    }

    /// The context in the headers of an HTTP or gRPC request; `None` if it is missing or invalid.
    pub fn of_request(headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self::from_headers(text(TRACEPARENT), text(TRACESTATE), text(BAGGAGE))
    }

    /// The context of the span that this code runs in; empty without a span, even within [`Traced`](super::Traced).
    pub fn current() -> Self {
        let span = Context::map_current(|context| context.span().span_context().clone());
        if span.is_remote() { Self::default() } else { Self { span, baggage: None } }
    }

    /// Whether this code runs in a span that is exported and sampled.
    pub fn is_sampled_here() -> bool {
        let is_sampled = |context: &Context| {
            let span = context.span();
            span.span_context().is_sampled() && !span.span_context().is_remote()
        };
        exporting() && Context::map_current(is_sampled)
    }

    /// The context of a span of which only the ids are known.
    pub fn of_ids(trace_id: u128, span_id: u64) -> Self {
        let (trace, span) = (TraceId::from(trace_id), SpanId::from(span_id));
        let span = SpanContext::new(trace, span, TraceFlags::default(), true, TraceState::default());
        Self { span, baggage: None }
    }

    /// The ids of trace and span; `None` if the context is empty.
    pub fn ids(&self) -> Option<(u128, u64)> {
        let ids = |span: &SpanContext| {
            (u128::from_be_bytes(span.trace_id().to_bytes()), u64::from_be_bytes(span.span_id().to_bytes()))
        };
        self.span.is_valid().then(|| ids(&self.span))
    }

    /// The ids of trace and span if the trace is exported from here and sampled.
    pub(crate) fn sampled(&self) -> Option<(u128, u64)> {
        self.ids().filter(|_| exporting() && self.is_sampled())
    }

    pub fn is_sampled(&self) -> bool {
        self.span.is_sampled()
    }

    /// The value of the header; `None` if the context is empty.
    pub fn traceparent(&self) -> Option<String> {
        self.injected(TRACEPARENT)
    }

    /// The value of the header; `None` if the context has no trace state.
    pub fn tracestate(&self) -> Option<String> {
        self.injected(TRACESTATE)
    }

    pub fn baggage(&self) -> Option<&str> {
        self.baggage.as_deref()
    }

    fn injected(&self, header: &str) -> Option<String> {
        let mut value = One(header, None);
        let context = Context::new().with_remote_span_context(self.span.clone());
        TraceContextPropagator::new().inject_context(&context, &mut value);
        value.1
    }

    /// This context without its baggage.
    #[must_use]
    pub fn without_baggage(&self) -> Self {
        Self { span: self.span.clone(), baggage: None }
    }

    /// The start of another trace, for a receiver that must learn nothing about this one. Empty unless this trace is
    /// exported and sampled: a context that is not sampled would keep the receiver from recording its own trace.
    #[must_use]
    pub fn restarted(&self) -> Self {
        if !exporting() || !self.is_sampled() {
            return Self::default();
        }
        let (trace, span) = (TraceId::from(Uuid::new_v4().as_u128()), SpanId::from(Uuid::new_v4().as_u64_pair().1));
        let span = SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default());
        Self { span, baggage: None }
    }
}

/// The baggage of headers, as the propagator writes it.
fn baggage_of(headers: &Headers<'_>) -> Option<Arc<str>> {
    headers.baggage?;
    let propagator = BaggagePropagator::new();
    let context = propagator.extract_with_context(&Context::new(), headers);
    if context.baggage().is_empty() {
        return None;
    }
    let mut value = One(BAGGAGE, None);
    propagator.inject_context(&context, &mut value);
    value.1.map(Arc::from)
}

/// Each cause once, with its first role.
pub(super) fn distinct<'a>(
    causes: &'a [(TraceContext, &'static str)],
) -> impl Iterator<Item = (&'a TraceContext, &'static str)> + 'a {
    let is_new = |index: usize, cause: &TraceContext| {
        cause.ids().is_some() && causes[..index].iter().all(|(before, _)| before.ids() != cause.ids())
    };
    let causes_and_roles = causes.iter().enumerate();
    causes_and_roles.filter(move |(index, (cause, _))| is_new(*index, cause)).map(|(_, (cause, role))| (cause, *role))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(traceparent: &str) -> Option<TraceContext> {
        TraceContext::from_headers(Some(traceparent), None, None)
    }

    #[test]
    fn a_context_survives_its_headers() {
        let context =
            TraceContext::from_headers(Some(EXAMPLE), Some("vendor=1"), Some("tenant=7, plan=a%20b")).unwrap();
        assert_eq!(context.traceparent().as_deref(), Some(EXAMPLE));
        assert_eq!(context.tracestate().as_deref(), Some("vendor=1"));
        let baggage = context.baggage().unwrap();
        assert!(baggage.contains("tenant=7") && baggage.contains("plan=a%20b"), "{baggage}");
        assert_eq!(context.ids(), Some((0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331)));
        assert_eq!(of(EXAMPLE).unwrap().tracestate(), None);
    }

    #[test]
    fn an_invalid_header_is_no_context() {
        for rubbish in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        ] {
            assert_eq!(of(rubbish), None, "{rubbish:?}");
        }
        let long = "x=".to_owned() + &"y".repeat(MAX_BAGGAGE);
        let context = TraceContext::from_headers(Some(EXAMPLE), Some(&long), Some(&long)).unwrap();
        assert_eq!((context.tracestate(), context.baggage()), (None, None));
    }

    #[test]
    fn without_export_the_context_passes_through_unchanged() {
        let parent = of(EXAMPLE).unwrap();
        let (span, own) = TraceContext::enter(Some(&parent), || unreachable!("no span is made"));
        assert!(span.is_none());
        assert_eq!(own, parent);
        let causes = [(TraceContext::default(), "published"), (parent.clone(), "asked")];
        let (_, own) = TraceContext::enter_linked(&causes, || unreachable!("no span is made"));
        assert_eq!(own, parent);
        let (_, own) = TraceContext::enter(None, || unreachable!("no span is made"));
        assert_eq!((own.traceparent(), own.restarted().traceparent()), (None, None));
    }

    #[test]
    fn each_cause_is_linked_once() {
        let (one, two) = (TraceContext::of_ids(1, 1), TraceContext::of_ids(1, 2));
        let causes = [(one.clone(), "published"), (TraceContext::default(), "x"), (one, "asked"), (two, "asked")];
        let roles: Vec<_> = distinct(&causes).map(|(cause, role)| (cause.ids().unwrap(), role)).collect();
        assert_eq!(roles, [((1, 1), "published"), ((1, 2), "asked")]);
    }
}
