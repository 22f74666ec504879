//! `/metrics`, on the HTTP port or on a separate listener. It needs no API key, because it names no lead. It names
//! accounts and destinations only if the operator sets `--metrics-destinations`.

use axum::{
    Router,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};

use crate::metrics;

/// Whether there are metrics for Prometheus.
pub(crate) fn is_on() -> bool {
    metrics::are_scraped()
}

pub(crate) fn routes() -> Router {
    Router::new().route("/metrics", get(scrape))
}

async fn scrape() -> Response {
    match metrics::scraped() {
        Some(text) => ([(CONTENT_TYPE, metrics::content_type())], text).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "the process is ending\n").into_response(),
    }
}
