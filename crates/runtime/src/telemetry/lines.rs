//! Lines of the log: those of `tracing_subscriber`, with the ids of trace and span at their end.

use std::fmt;

use opentelemetry::{Context, trace::TraceContextExt as _};
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Adds the ids of the current span to each line; without one, those of the caller or message
/// ([`crate::trace::Traced`]).
pub(super) struct Lines<F> {
    pub(super) inner: F,
    /// Whether a line is a JSON object.
    pub(super) is_json: bool,
}

impl<S, N, F> FormatEvent<S, N> for Lines<F>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some((trace, span)) = current() else { return self.inner.format_event(context, writer, event) };
        let mut line = String::new();
        self.inner.format_event(context, Writer::new(&mut line), event)?;
        let line = line.trim_end();
        match line.strip_suffix('}').filter(|_| self.is_json) {
            Some(open) => writeln!(writer, r#"{open},"trace_id":"{trace}","span_id":"{span}"}}"#),
            None => writeln!(writer, "{line} trace_id={trace} span_id={span}"),
        }
    }
}

/// The ids of the span that this code runs in.
fn current() -> Option<(String, String)> {
    Context::map_current(|context| {
        let span = context.span().span_context().clone();
        span.is_valid().then(|| (span.trace_id().to_string(), span.span_id().to_string()))
    })
}
