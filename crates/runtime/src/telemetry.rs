//! Logs to standard error ([`lines`], [`limit`]); traces and logs over OTLP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set
//! ([`export`], [`logs`]); and [`metrics`].

mod exceptions;
mod export;
mod limit;
mod lines;
mod logs;
pub mod metrics;
mod options;
mod output;
mod sampler;
mod variables;

use std::{env, io::IsTerminal as _, time::Instant};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{logs::SdkLoggerProvider, metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tracing::{Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt::format::JsonFields, layer::SubscriberExt as _, registry::LookupSpan,
    util::SubscriberInitExt as _,
};

use self::{limit::Limiter, lines::Lines, output::Output};
use crate::{
    chain::{ErrorChain as _, chain_of},
    trace,
};
pub use options::{LogFormat, Options};

/// The name of the instrumentation that makes the spans.
const SCOPE: &str = "leadline";
/// The filter of logs unless `RUST_LOG` is set.
const DEFAULT_FILTER: &str = "info";
/// The client library of the broker. It logs each attempt to connect, which the journal logs once. At the level `trace`
/// it logs the content of leads. So it is off unless `RUST_LOG` names it.
const BROKER_CLIENT: &str = "async_nats";

/// Keeps the export alive, and exports the rest when it is dropped.
#[derive(Debug)]
#[must_use = "dropping the guard ends the export"]
pub struct Guard {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
    logs: Option<SdkLoggerProvider>,
    limiter: Limiter,
}

/// Starts logging, metrics and, if configured, the export of traces and logs. Has to be called once, inside a tokio
/// runtime.
///
/// # Errors
/// If logging was started before.
pub fn init(service: &'static str, options: &Options) -> anyhow::Result<Guard> {
    let given = options.log_filter.clone().or_else(|| env::var(EnvFilter::DEFAULT_ENV).ok());
    let (provider, of_traces) = split(export::provider(service));
    let (log_provider, of_logs) = split(logs::provider(service));
    let limiter = Limiter::default();
    let (written, exported) = (written(options.log_format), log_provider.as_ref().map(logs::bridge));
    let output = Output { written, exported, limiter: limiter.clone() }.with_filter(filter(given.as_deref()));
    let traces = provider.as_ref().map(traces);
    tracing_subscriber::registry().with(output).with(traces).try_init()?;
    tokio::spawn(limiter.clone().report_for_ever());
    if let Some(provider) = &provider {
        trace::set_tracer(provider.tracer(SCOPE));
        trace::set_exporting();
    }
    let (metrics, wrong) = metrics::start(service);
    let of_metrics = wrong.map(|error| chain_of(&error));
    // A mistake in a variable that several signals share is logged once.
    if let Some(error) = &of_traces {
        tracing::warn!(error, "cannot export traces; continuing without traces");
    }
    if let Some(error) = of_metrics.as_ref().filter(|error| of_traces.as_ref() != Some(error)) {
        tracing::warn!(error, "cannot export metrics as configured; continuing without them");
    }
    if let Some(error) = of_logs.as_ref().filter(|error| ![&of_traces, &of_metrics].contains(&&Some((*error).clone())))
    {
        tracing::warn!(error, "cannot export logs; continuing without export");
    }
    for error in variables::unreadable() {
        tracing::warn!(error, "cannot read a variable of the telemetry; using its default");
    }
    Ok(Guard { traces: provider, metrics, logs: log_provider, limiter })
}

/// The provider, and the mistake in the variables.
fn split<P>(made: anyhow::Result<Option<P>>) -> (Option<P>, Option<String>) {
    match made {
        Ok(provider) => (provider, None),
        Err(error) => (None, Some(chain_of(&error))),
    }
}

/// Writes lines to standard error.
fn written<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let format_of = || tracing_subscriber::fmt::format().with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => layer.event_format(Lines { inner: format_of(), is_json: false }).boxed(),
        LogFormat::Json => {
            let lines = Lines { inner: format_of().json(), is_json: true };
            layer.fmt_fields(JsonFields::new()).event_format(lines).boxed()
        }
    }
}

/// Exports spans without source locations and threads, which do not help an operator. Warnings and errors that are
/// logged within a span become events of the span.
fn traces<S>(provider: &SdkTracerProvider) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(SCOPE))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_error_events_to_status(false);
    // Spans of Leadline have at least the level `info`. Spans of libraries below that level are not exported.
    layer.with_filter(filter_fn(|metadata| match metadata.is_span() {
        true => *metadata.level() <= Level::INFO,
        false => *metadata.level() <= Level::WARN,
    }))
}

/// The filter for a value of `RUST_LOG`; the default if the value is not a filter.
fn filter(given: Option<&str>) -> EnvFilter {
    let given = given.filter(|given| !given.is_empty()).unwrap_or(DEFAULT_FILTER);
    let off = |filter: &str| format!("{BROKER_CLIENT}=off,{filter}");
    let filter = if given.contains(BROKER_CLIENT) { given.to_owned() } else { off(given) };
    EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(off(DEFAULT_FILTER)))
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.limiter.report(Instant::now() + limit::WINDOW);
        if let Some(provider) = self.traces.take()
            && let Err(error) = provider.shutdown()
        {
            eprintln!("cannot export the last traces: {}", error.chain());
        }
        if let Some(provider) = self.metrics.take()
            && let Err(error) = provider.shutdown()
        {
            eprintln!("cannot export the last metrics: {}", error.chain());
        }
        if let Some(provider) = self.logs.take()
            && let Err(error) = provider.shutdown()
        {
            eprintln!("cannot export the last lines of the log: {}", error.chain());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_client_logs_only_if_it_is_named() {
        for (given, expected) in [
            (None, "async_nats=off,info"),
            (Some(""), "async_nats=off,info"),
            (Some("no,=filter="), "async_nats=off,info"),
            (Some("trace"), "async_nats=off,trace"),
            (Some("warn,journal=debug"), "async_nats=off,journal=debug,warn"),
            (Some("info,async_nats=debug"), "async_nats=debug,info"),
        ] {
            assert_eq!(filter(given).to_string(), expected, "{given:?}");
        }
    }
}
