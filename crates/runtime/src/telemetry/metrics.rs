//! Metrics: instruments of OpenTelemetry, exported over OTLP ([`otlp`]) and as OpenMetrics at `/metrics` ([`scrape`]).
//!
//! `OTEL_METRICS_EXPORTER` chooses: `otlp`, `prometheus`, both (the default; OTLP needs an endpoint), or `none`, which
//! turns metrics off: nothing is measured then.
//!
//! Hot paths record with [`Counters`] and [`Histograms`]: they bind each set of attributes once, so that a measurement
//! costs a look-up and an atomic operation. Everything else is observed when it is exported.

mod certificates;
mod exemplars;
mod labels;
mod meter;
mod openmetrics;
mod otlp;
mod process;
mod reader;
mod scrape;
mod series;

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::bail;
pub use opentelemetry::KeyValue;
use opentelemetry::global;
use opentelemetry_sdk::metrics::SdkMeterProvider;

use super::export::{self, Signal};
use crate::readiness::Readiness;
pub use certificates::observe_certificate;
pub use meter::{are_on, meter};
pub(crate) use scrape::{are_scraped, content_type, scraped};
pub use series::{Counters, Histograms};

/// Boundaries of durations in seconds, as the semantic conventions of HTTP and RPC recommend them.
pub const REQUEST_SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Boundaries of durations in seconds for work that may take a day.
pub const LONG_SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0,
    86_400.0,
];
/// Boundaries of durations in seconds for operations of the broker and the database.
pub const OPERATION_SECONDS: &[f64] =
    &[0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The highest `--metrics-destinations`: each takes some dozens of series.
pub const MAX_NAMED_DESTINATIONS: i64 = 10_000;

static NAMED_DESTINATIONS: AtomicUsize = AtomicUsize::new(0);

/// Sets how many destinations metrics may name (`--metrics-destinations`). Has to be called before a service starts.
pub fn name_destinations(max: u32) {
    NAMED_DESTINATIONS.store(max as usize, Ordering::Relaxed);
}

/// How many destinations metrics may name.
pub fn named_destinations() -> usize {
    NAMED_DESTINATIONS.load(Ordering::Relaxed)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exporters {
    otlp: bool,
    prometheus: bool,
}

/// Starts the metrics; `None` if they are turned off. The second value is a mistake in the variables.
pub(super) fn start(service: &'static str) -> (Option<SdkMeterProvider>, Option<anyhow::Error>) {
    let (exporters, mut wrong) = match exporters() {
        Ok(exporters) => (exporters, None),
        Err(error) => (Exporters { otlp: false, prometheus: true }, Some(error)),
    };
    if exporters == (Exporters { otlp: false, prometheus: false }) {
        return (None, wrong);
    }
    let mut builder = SdkMeterProvider::builder().with_resource(export::resource(service));
    if exporters.otlp {
        builder = match otlp::added_to(builder) {
            (builder, None) => builder,
            (builder, Some(error)) => {
                wrong = Some(error);
                builder
            }
        };
    }
    if exporters.prometheus {
        builder = builder.with_reader(scrape::reader());
    }
    let provider = builder.build();
    global::set_meter_provider(provider.clone());
    meter::turn_on();
    process::observe();
    (Some(provider), wrong)
}

fn exporters() -> anyhow::Result<Exporters> {
    if export::is_disabled() {
        return Ok(Exporters { otlp: false, prometheus: false });
    }
    let (variable, value) = Signal::Metrics.exporter();
    chosen(&variable, value.as_deref())
}

fn chosen(variable: &str, value: Option<&str>) -> anyhow::Result<Exporters> {
    let Some(value) = value else { return Ok(Exporters { otlp: true, prometheus: true }) };
    let mut exporters = Exporters { otlp: false, prometheus: false };
    for name in value.split(',').map(str::trim) {
        match name {
            "otlp" => exporters.otlp = true,
            "prometheus" => exporters.prometheus = true,
            "none" => {}
            other => bail!("{variable}: {other:?} is unknown; use otlp, prometheus, both with a comma, or none"),
        }
    }
    Ok(exporters)
}

/// Observes which parts of the process work.
pub(crate) fn observe_readiness(readiness: &Readiness) {
    let readiness = readiness.clone();
    meter()
        .u64_observable_gauge("leadline.part.ready")
        .with_description("Whether a part of the process works: 1, or 0 as in /readyz")
        .with_callback(move |observer| {
            for (name, part) in readiness.report() {
                observer.observe(u64::from(part.state.is_ok()), &[KeyValue::new("leadline.part", name)]);
            }
        })
        .build();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_chooses_the_exporters() {
        let of = |value| chosen("X", value).map(|Exporters { otlp, prometheus }| (otlp, prometheus)).ok();
        assert_eq!(of(None), Some((true, true)));
        assert_eq!(of(Some("none")), Some((false, false)));
        assert_eq!(of(Some("otlp")), Some((true, false)));
        assert_eq!(of(Some("otlp, prometheus")), Some((true, true)));
        assert_eq!(of(Some("statsd")), None);
    }
}
