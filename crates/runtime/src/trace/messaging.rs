//! Spans of messages, by the semantic conventions for messaging. The broker is the messaging system, and a stream is a
//! destination.

use tracing::Span;

use super::{
    exporting::exporting,
    span::{attribute, fails},
};

/// The name of the spans of [`publishing`](crate::publishing) in `tracing`. Exports name them after their stream.
const PUBLISH: &str = "publish";

/// Makes the span for storing a message in a stream, given its `StreamName`. Further fields are attributes of the span.
#[macro_export]
macro_rules! publishing {
    ($stream:expr $(, $($fields:tt)*)?) => {{
        let stream = $stream.as_str();
        let name = format!("publish {stream}");
        $crate::trace::described(
            ::tracing::info_span!("publish", otel.kind = "producer", otel.name = name $(, $($fields)*)?),
            ("publish", "send"),
            stream,
        )
    }};
}

/// Makes the span for processing a message of a stream. The parameters are those of [`publishing`](crate::publishing).
#[macro_export]
macro_rules! processing {
    ($stream:expr $(, $($fields:tt)*)?) => {{
        let stream = $stream.as_str();
        let name = format!("process {stream}");
        $crate::trace::described(
            ::tracing::info_span!("process", otel.kind = "consumer", otel.name = name $(, $($fields)*)?),
            ("process", "process"),
            stream,
        )
    }};
}

/// Adds the attributes that the conventions require of a span about messages.
pub fn described(span: Span, (operation, kind): (&'static str, &'static str), stream: &'static str) -> Span {
    if exporting() {
        attribute(&span, "messaging.system", "nats");
        attribute(&span, "messaging.operation.name", operation);
        attribute(&span, "messaging.operation.type", kind);
        attribute(&span, "messaging.destination.name", stream);
    }
    span
}

/// Marks the current span as failed if it is the span for storing a message ([`publishing`](crate::publishing)).
pub fn not_stored(error: &'static str) {
    let span = Span::current();
    if span.metadata().is_some_and(|metadata| metadata.name() == PUBLISH) {
        attribute(&span, "error.type", error);
        fails(&span, "");
    }
}

/// Adds the number of messages that a span is about.
pub fn of_batch(span: &Span, messages: usize) {
    attribute(span, "messaging.batch.message_count", i64::try_from(messages).unwrap_or(i64::MAX));
}
