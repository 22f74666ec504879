//! `/metrics`: what a Prometheus server reads.

use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use opentelemetry_sdk::{
    error::OTelSdkResult,
    metrics::{InstrumentKind, ManualReader, Pipeline, Temporality, data::ResourceMetrics, reader::MetricReader},
};

use super::openmetrics;

static READER: OnceLock<Reader> = OnceLock::new();

/// A reader that is called by `/metrics`.
#[derive(Debug, Clone)]
pub(super) struct Reader(Arc<ManualReader>);

/// The reader of this process.
pub(super) fn reader() -> Reader {
    READER.get_or_init(Reader::new).clone()
}

impl Reader {
    pub(super) fn new() -> Self {
        Self(Arc::new(ManualReader::builder().build()))
    }
}

/// Whether Prometheus may read metrics of this process.
pub(crate) fn are_scraped() -> bool {
    READER.get().is_some()
}

/// The current metrics; `None` if they are not for Prometheus.
pub(crate) fn scraped() -> Option<String> {
    let mut metrics = ResourceMetrics::default();
    READER.get()?.collect(&mut metrics).ok()?;
    Some(openmetrics::written(&metrics))
}

/// The content type of [`scraped`].
pub(crate) const fn content_type() -> &'static str {
    "application/openmetrics-text; version=1.0.0; charset=utf-8"
}

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
