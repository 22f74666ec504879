//! Trace context as a value (W3C Trace Context and Baggage). The headers of messages and requests carry it, so that a
//! span knows its cause in another process.
//!
//! Without an exporter there are no spans, and the context of the caller passes through unchanged.

mod context;
mod enter;
mod exporting;
mod messaging;
mod span;
mod traced;

#[doc(hidden)]
pub use self::messaging::{described, of_batch};
pub use self::{
    context::{BAGGAGE, TRACEPARENT, TRACESTATE, TraceContext},
    exporting::exporting,
    span::{Attribute, attribute, attributes, fails, keep_failure, link},
    traced::{InTrace, Traced},
};
pub(crate) use self::{
    exporting::set_exporting,
    span::{KEPT, rename, set_tracer},
};
