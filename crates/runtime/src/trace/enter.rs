//! Creates spans, with their contexts.

use std::sync::Arc;

use opentelemetry::{Context, trace::TraceContextExt as _};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    context::{TraceContext, distinct},
    exporting::exporting,
    span::link,
};

impl TraceContext {
    /// Creates a span below `parent`, or at the root of a new trace, and returns it with its own context, which its
    /// children have to carry. Without an exporter there is no span, and the context is the parent's.
    pub fn enter(parent: Option<&Self>, make_span: impl FnOnce() -> Span) -> (Span, Self) {
        let parent = parent.filter(|parent| parent.span.is_valid());
        if !exporting() {
            return (Span::none(), parent.cloned().unwrap_or_default());
        }
        let span = make_span();
        if let Some(parent) = parent {
            let _ = span.set_parent(Context::new().with_remote_span_context(parent.span.clone()));
        }
        let own = Self::of_span(&span, parent.and_then(|parent| parent.baggage.clone()));
        (span, own.or_else(|| parent.cloned()).unwrap_or_default())
    }

    /// Creates a span at the root of a new trace, with links to its causes: each a context and its role. Empty and
    /// repeated causes are left out. Without an exporter there is no span, and the context is that of the first cause.
    pub fn enter_linked(causes: &[(Self, &'static str)], make_span: impl FnOnce() -> Span) -> (Span, Self) {
        let first = causes.iter().map(|(cause, _)| cause).find(|cause| cause.span.is_valid());
        if !exporting() {
            return (Span::none(), first.cloned().unwrap_or_default());
        }
        let span = make_span();
        let _ = span.set_parent(Context::new());
        for (cause, role) in distinct(causes) {
            link(&span, cause, role);
        }
        let baggage = causes.iter().find_map(|(cause, _)| cause.baggage.clone());
        let own = Self::of_span(&span, baggage).unwrap_or_default();
        (span, own)
    }

    fn of_span(span: &Span, baggage: Option<Arc<str>>) -> Option<Self> {
        let own = span.context().span().span_context().clone();
        own.is_valid().then_some(Self { span: own, baggage })
    }
}
