//! Trace context in message headers.

use async_nats::HeaderMap;
use runtime::trace::{BAGGAGE, TRACEPARENT, TRACESTATE, TraceContext};

/// Headers with the trace context; empty if there is none.
pub(crate) fn carrying(trace: &TraceContext) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(traceparent) = trace.traceparent() {
        headers.insert(TRACEPARENT, traceparent);
        if let Some(state) = trace.tracestate() {
            headers.insert(TRACESTATE, state);
        }
        if let Some(baggage) = trace.baggage() {
            headers.insert(BAGGAGE, baggage);
        }
    }
    headers
}

/// The trace context of a message; empty if it carries none.
pub(crate) fn carried_by(headers: Option<&HeaderMap>) -> TraceContext {
    let text = |name: &str| headers.and_then(|headers| headers.get(name)).map(async_nats::HeaderValue::as_str);
    TraceContext::from_headers(text(TRACEPARENT), text(TRACESTATE), text(BAGGAGE)).unwrap_or_default()
}
