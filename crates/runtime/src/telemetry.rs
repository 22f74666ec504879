//! Logs to standard error, traces over OTLP when `OTEL_EXPORTER_OTLP_ENDPOINT` is set ([`export`]), and [`metrics`].
//!
//! `RUST_LOG` filters the logs (default: `info`), `LEADLINE_LOG_FORMAT=json` makes them machine-readable.

mod export;
pub mod metrics;
mod sampler;

use std::{env, io::IsTerminal as _};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracerProvider};
use tracing::{Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt as _, registry::LookupSpan, util::SubscriberInitExt as _,
};

use crate::trace;

/// The name of the instrumentation that makes the spans.
const SCOPE: &str = "leadline";
/// The filter of logs unless `RUST_LOG` is set.
const DEFAULT_FILTER: &str = "info";
/// The client library of the broker. It logs each try to connect, which the journal logs once, and at `trace` the
/// content of leads; so it is off unless `RUST_LOG` names it.
const BROKER_CLIENT: &str = "async_nats";

/// Keeps the export alive, and exports the rest when it is dropped.
#[derive(Debug)]
#[must_use = "dropping the guard ends the export"]
pub struct Guard {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
}

/// Starts logging, metrics and, if configured, the export of traces. Has to be called once, inside a tokio runtime.
///
/// # Errors
/// When logging was started before.
pub fn init(service: &'static str) -> anyhow::Result<Guard> {
    let filter = filter(env::var(EnvFilter::DEFAULT_ENV).ok().as_deref());
    let json = env::var("LEADLINE_LOG_FORMAT").is_ok_and(|format| format == "json");
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let logs = if json { logs.json().boxed() } else { logs.boxed() };
    let (provider, wrong) = match export::provider(service) {
        Ok(provider) => (provider, None),
        Err(error) => (None, Some(error)),
    };
    let traces = provider.as_ref().map(|provider| traces(provider));
    tracing_subscriber::registry().with(logs.with_filter(filter)).with(traces).try_init()?;
    let of_traces = wrong.map(|error| format!("{error:#}"));
    if let Some(error) = &of_traces {
        tracing::warn!(error, "cannot export traces; going on without");
    }
    if let Some(provider) = &provider {
        trace::set_tracer(provider.tracer(SCOPE));
        trace::set_exporting();
    }
    let (metrics, wrong) = metrics::start(service);
    // What is wrong for both was said.
    if let Some(error) = wrong.map(|error| format!("{error:#}")).filter(|error| of_traces.as_ref() != Some(error)) {
        tracing::warn!(error, "cannot export metrics as configured; going on without");
    }
    Ok(Guard { traces: provider, metrics })
}

/// Exports spans. Where in the code and on which thread they were made says nothing to an operator. Warnings and errors of
/// a span are events of it.
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
    // Our spans have the level `info`; spans of libraries below that are not exported.
    layer.with_filter(filter_fn(|metadata| match metadata.is_span() {
        true => *metadata.level() <= Level::INFO,
        false => *metadata.level() <= Level::WARN,
    }))
}

/// The filter for a value of `RUST_LOG`; the default if the value is no filter.
fn filter(given: Option<&str>) -> EnvFilter {
    let given = given.filter(|given| !given.is_empty()).unwrap_or(DEFAULT_FILTER);
    let off = |filter: &str| format!("{BROKER_CLIENT}=off,{filter}");
    let filter = if given.contains(BROKER_CLIENT) { given.to_owned() } else { off(given) };
    EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(off(DEFAULT_FILTER)))
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.traces.take()
            && let Err(error) = provider.shutdown()
        {
            eprintln!("cannot export the last traces: {error}");
        }
        if let Some(provider) = self.metrics.take()
            && let Err(error) = provider.shutdown()
        {
            eprintln!("cannot export the last metrics: {error}");
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
