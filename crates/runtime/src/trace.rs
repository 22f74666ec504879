//! Trace context as a value (W3C Trace Context). The headers of messages and requests carry it, so that one trace spans
//! every process and every retry, however much later.
//!
//! Without an exporter it passes through unchanged and no span is created.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use uuid::Uuid;

/// The header of the trace context.
pub const TRACEPARENT: &str = "traceparent";
/// The header of vendor-specific trace state.
pub const TRACESTATE: &str = "tracestate";
/// `tracestate` is dropped if it is longer, in bytes (W3C asks for at least 512).
const MAX_TRACESTATE: usize = 512;

static EXPORTING: AtomicBool = AtomicBool::new(false);

pub(crate) fn set_exporting() {
    EXPORTING.store(true, Ordering::Relaxed);
}

pub fn exporting() -> bool {
    EXPORTING.load(Ordering::Relaxed)
}

/// The position of a span in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    flags: u8,
    state: Option<Arc<str>>,
}

impl TraceContext {
    /// The context in these headers; `None` if it is missing or invalid.
    pub fn from_headers(traceparent: Option<&str>, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent?.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, length| {
            text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let valid = hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
        if !valid || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        let flags = u8::from_str_radix(flags, 16).ok()?;
        let state = tracestate.filter(|state| !state.is_empty() && state.len() <= MAX_TRACESTATE).map(Arc::from);
        Some(Self { trace, span, flags, state })
    }

    /// The root of a new trace that is not recorded.
    pub fn fresh() -> Self {
        let (trace, span) = (Uuid::new_v4().as_u128(), Uuid::new_v4().as_u64_pair().1);
        Self { trace, span, flags: 0, state: None }
    }

    /// The context in the headers of an HTTP or gRPC request; `None` if it is missing or invalid.
    pub fn of_request(headers: &http::HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self::from_headers(text(TRACEPARENT), text(TRACESTATE))
    }

    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace, self.span, self.flags)
    }

    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The ids of trace and span if the trace is exported from here and sampled.
    pub(crate) fn sampled(&self) -> Option<(u128, u64)> {
        const SAMPLED: u8 = 1;
        (exporting() && self.flags & SAMPLED != 0).then_some((self.trace, self.span))
    }

    /// Creates a span below `parent`, or at the root of a new trace, and returns it with its own context, which its
    /// children have to carry. Without an exporter there is no span, and the context is the parent's.
    pub fn enter(parent: Option<&Self>, make_span: impl FnOnce() -> Span) -> (Span, Self) {
        if !exporting() {
            return (Span::none(), parent.cloned().unwrap_or_else(Self::fresh));
        }
        let span = make_span();
        if let Some(parent) = parent {
            let remote = opentelemetry::Context::new().with_remote_span_context(parent.to_otel());
            let _ = span.set_parent(remote);
        }
        let own = Self::from_otel(span.context().span().span_context());
        (span, own.or_else(|| parent.cloned()).unwrap_or_else(Self::fresh))
    }

    fn to_otel(&self) -> SpanContext {
        let state = self.state.as_deref().and_then(|state| state.parse::<TraceState>().ok()).unwrap_or_default();
        SpanContext::new(
            TraceId::from_bytes(self.trace.to_be_bytes()),
            SpanId::from_bytes(self.span.to_be_bytes()),
            TraceFlags::new(self.flags),
            true,
            state,
        )
    }

    fn from_otel(context: &SpanContext) -> Option<Self> {
        let state = context.trace_state().header();
        context.is_valid().then(|| Self {
            trace: u128::from_be_bytes(context.trace_id().to_bytes()),
            span: u64::from_be_bytes(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8(),
            state: (!state.is_empty()).then(|| state.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_context_survives_its_headers() {
        let context = TraceContext::from_headers(Some(EXAMPLE), Some("vendor=1")).unwrap();
        assert_eq!(context.traceparent(), EXAMPLE);
        assert_eq!(context.tracestate(), Some("vendor=1"));
        let fresh = TraceContext::fresh();
        assert_eq!(TraceContext::from_headers(Some(&fresh.traceparent()), None), Some(fresh));
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
            assert_eq!(TraceContext::from_headers(Some(rubbish), None), None, "{rubbish:?}");
        }
    }

    #[test]
    fn without_export_the_context_passes_through() {
        let parent = TraceContext::from_headers(Some(EXAMPLE), None).unwrap();
        let (span, own) = TraceContext::enter(Some(&parent), || unreachable!("no span is made"));
        assert!(span.is_none());
        assert_eq!(own, parent);
    }
}
