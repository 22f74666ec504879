//! The export of metrics over OTLP.

use std::time::Duration;

use anyhow::Context as _;
use opentelemetry_otlp::{MetricExporter, Protocol, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{MeterProviderBuilder, PeriodicReader, Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
};

use super::super::export::{self, Reporting, Signal, Target};

/// The variable for the milliseconds between two exports. The SDK reads it.
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";

/// The builder, with a reader that exports if a collector is configured. The second value is a mistake in the
/// variables.
pub(super) fn added_to(builder: MeterProviderBuilder) -> (MeterProviderBuilder, Option<anyhow::Error>) {
    match exporter() {
        Ok(None) => (builder, None),
        Ok(Some(exporter)) => {
            let wrong = interval().err();
            (builder.with_reader(PeriodicReader::builder(exporter).build()), wrong)
        }
        Err(error) => (builder, Some(error)),
    }
}

fn exporter() -> anyhow::Result<Option<Reporting<MetricExporter>>> {
    let Some(target) = Target::of(Signal::Metrics)? else { return Ok(None) };
    let exporter = match target.protocol {
        Protocol::Grpc => {
            let exporter = MetricExporter::builder().with_tonic();
            let exporter = match target.tls_of_grpc() {
                Some(tls) => exporter.with_tls_config(tls),
                None => exporter,
            };
            exporter.build()?
        }
        protocol => {
            let exporter = MetricExporter::builder().with_http().with_protocol(protocol);
            exporter.with_http_client(target.http_client()?).build()?
        }
    };
    Ok(Some(Reporting::new(exporter, target.endpoint)))
}

/// Checks the interval, because the SDK replaces a wrong one by its default without a log line.
fn interval() -> anyhow::Result<()> {
    if let Some(given) = export::set(INTERVAL) {
        let milliseconds: u64 = given.parse().with_context(|| format!("{INTERVAL}: {given:?} is not a number"))?;
        anyhow::ensure!(milliseconds > 0, "{INTERVAL}: 0 is not an interval; metrics are exported every minute");
    }
    Ok(())
}

impl PushMetricExporter for Reporting<MetricExporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let exported = self.inner.export(metrics).await;
        self.report("metrics", "counters continue, current values are lost", &exported);
        exported
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.inner.temporality()
    }
}
