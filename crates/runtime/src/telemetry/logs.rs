//! The export of logs over OTLP.
//!
//! Lines of the exporters and their clients are never exported: each export would cause the next one.

use std::time::Duration;

use anyhow::bail;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{
    LogExporter as OtlpExporter, Protocol, WithExportConfig as _, WithHttpConfig as _, WithTonicConfig as _,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    logs::{LogBatch, LogExporter, SdkLogger, SdkLoggerProvider},
};

use super::export::{self, Reporting, Signal, Target};

/// The beginnings of targets whose lines are written and not exported.
const NOT_EXPORTED: [&str; 8] =
    ["h2", "hyper", "opentelemetry", "reqwest", "runtime::telemetry", "rustls", "tonic", "tower"];

/// The provider of logs; `None` if nothing is to be exported.
///
/// # Errors
/// If a variable is wrong.
pub(super) fn provider(service: &'static str) -> anyhow::Result<Option<SdkLoggerProvider>> {
    if export::is_disabled() {
        return Ok(None);
    }
    match Signal::Logs.exporter() {
        (_, None) => {}
        (variable, Some(exporter)) => match exporter.as_str() {
            "otlp" => {}
            "none" => return Ok(None),
            other => bail!("{variable}: {other:?} is unknown; use otlp or none"),
        },
    }
    let Some(target) = Target::of(Signal::Logs)? else { return Ok(None) };
    let exporter = match target.protocol {
        Protocol::Grpc => {
            let exporter = OtlpExporter::builder().with_tonic();
            let exporter = match target.tls_of_grpc() {
                Some(tls) => exporter.with_tls_config(tls),
                None => exporter,
            };
            exporter.build()?
        }
        protocol => {
            let exporter = OtlpExporter::builder().with_http().with_protocol(protocol);
            exporter.with_http_client(target.http_client()?).build()?
        }
    };
    let builder = SdkLoggerProvider::builder().with_resource(export::resource(service));
    Ok(Some(builder.with_batch_exporter(Reporting::new(exporter, target.endpoint)).build()))
}

/// Exports lines of the log, with the ids of the span that they belong to.
pub(super) fn bridge(provider: &SdkLoggerProvider) -> OpenTelemetryTracingBridge<SdkLoggerProvider, SdkLogger> {
    OpenTelemetryTracingBridge::new(provider)
}

/// Whether lines of a target are exported.
pub(super) fn is_exported(target: &str) -> bool {
    !NOT_EXPORTED.iter().any(|beginning| target.starts_with(beginning))
}

impl LogExporter for Reporting<OtlpExporter> {
    async fn export(&self, batch: LogBatch<'_>) -> OTelSdkResult {
        let exported = self.inner.export(batch).await;
        self.report("logs", "they are written to standard error only", &exported);
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
