//! The output of the log: to standard error, and over OTLP. Repeated lines are suppressed.

use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use tracing::{
    Event, Subscriber,
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{limit::Limiter, logs};

/// Writes and exports the lines that the limiter admits. The limiter is not a separate filter: if the filter of a layer
/// refuses an event after its metadata were accepted, the next event of the thread is refused, too.
pub(super) struct Output<S> {
    pub(super) written: Box<dyn Layer<S> + Send + Sync>,
    /// `None` if logs are not exported.
    pub(super) exported: Option<OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger>>,
    pub(super) limiter: Limiter,
}

impl<S> Layer<S> for Output<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_layer(&mut self, subscriber: &mut S) {
        self.written.on_layer(subscriber);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.written.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.written.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !self.limiter.admits(event) {
            return;
        }
        if let Some(exported) = &self.exported
            && logs::is_exported(event.metadata().target())
        {
            exported.on_event(event, context.clone());
        }
        self.written.on_event(event, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.written.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.written.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.written.on_close(id, context);
    }
}
