//! Trace context in message headers.

use async_nats::HeaderMap;
use runtime::trace::{TRACEPARENT, TRACESTATE, TraceContext};

pub(crate) fn carrying(trace: &TraceContext) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TRACEPARENT, trace.traceparent());
    if let Some(state) = trace.tracestate() {
        headers.insert(TRACESTATE, state);
    }
    headers
}

/// The trace context of a message; a fresh one if it carries none.
pub(crate) fn carried_by(headers: Option<&HeaderMap>) -> TraceContext {
    let text = |name: &str| headers.and_then(|headers| headers.get(name)).map(async_nats::HeaderValue::as_str);
    TraceContext::from_headers(text(TRACEPARENT), text(TRACESTATE)).unwrap_or_else(TraceContext::fresh)
}
