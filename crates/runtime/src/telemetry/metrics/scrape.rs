//! The metrics of this process for `/metrics`, from which a Prometheus server reads them.

use std::sync::OnceLock;

use opentelemetry_sdk::metrics::{data::ResourceMetrics, reader::MetricReader as _};

use super::{openmetrics, reader::Reader};

static READER: OnceLock<Reader> = OnceLock::new();

/// The reader of this process.
pub(super) fn reader() -> Reader {
    READER.get_or_init(Reader::new).clone()
}

/// Whether Prometheus may read metrics of this process.
pub(crate) fn are_scraped() -> bool {
    READER.get().is_some()
}

/// The current metrics as text; `None` if they are not for Prometheus, or if the process is ending.
pub(crate) fn scraped() -> Option<String> {
    let mut metrics = ResourceMetrics::default();
    READER.get()?.collect(&mut metrics).ok()?;
    Some(openmetrics::written(&metrics))
}

/// The content type of [`scraped`].
pub(crate) const fn content_type() -> &'static str {
    "application/openmetrics-text; version=1.0.0; charset=utf-8"
}
