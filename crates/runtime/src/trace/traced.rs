//! Code that belongs to a trace. Lines of the log take their ids from here ([`crate::telemetry`]).
//!
//! Inside a span, the ids are those of the span. Outside of a span, they are those of the caller or message; this is
//! the case if nothing is exported, or if the span has not begun or has ended. Without any context, lines have no ids.

use futures::future::Either;
use opentelemetry::{
    Context,
    trace::{FutureExt as _, TraceContextExt as _, WithContext},
};
use tracing::{Instrument as _, Span, instrument::Instrumented};

use super::{context::TraceContext, exporting::exporting};

/// A future in a span, or in the context of a caller or message.
pub type InTrace<F> = Instrumented<Either<F, WithContext<F>>>;

/// Futures that belong to a trace.
pub trait Traced: Future + Sized {
    /// Runs in this span. If nothing is exported, or if there is no span, lines of the log have the ids of `trace`.
    fn traced(self, span: Span, trace: &TraceContext) -> InTrace<Self> {
        let is_span_exported = exporting() && !span.is_none();
        let inner = match trace.of_lines().filter(|_| !is_span_exported) {
            Some(context) => Either::Right(self.with_context(context)),
            None => Either::Left(self),
        };
        inner.instrument(span)
    }
}

impl<F: Future> Traced for F {}

impl TraceContext {
    /// Calls `write`. The lines that it logs have the ids of this context, unless the context is empty.
    pub fn within<T>(&self, write: impl FnOnce() -> T) -> T {
        let _attached = self.of_lines().map(Context::attach);
        write()
    }

    fn of_lines(&self) -> Option<Context> {
        self.span.is_valid().then(|| Context::new().with_remote_span_context(self.span.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids that a line would have.
    fn ids() -> Option<(u128, u64)> {
        let span = Context::map_current(|context| context.span().span_context().clone());
        TraceContext { span, baggage: None }.ids()
    }

    #[tokio::test]
    async fn lines_have_the_ids_of_a_context_while_code_runs_in_it() {
        let (one, other) = (TraceContext::of_ids(1, 2), TraceContext::of_ids(3, 4));
        let nested = async { (ids(), async { ids() }.traced(Span::none(), &other).await, ids()) };
        let seen = nested.traced(Span::none(), &one).await;
        assert_eq!(seen, (Some((1, 2)), Some((3, 4)), Some((1, 2))));
        assert_eq!(async { ids() }.traced(Span::none(), &TraceContext::default()).await, None);
        assert_eq!(one.within(ids), Some((1, 2)));
        assert_eq!(one.within(TraceContext::current), TraceContext::default(), "it is not a span of this process");
        assert_eq!(ids(), None);
    }
}
