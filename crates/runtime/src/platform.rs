//! The platform of a service: the drain, the readiness and the addresses of its process.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use crate::{drain::Drain, readiness::Readiness};

/// The parts of the process that every service gets.
#[derive(Debug, Clone, Default)]
pub struct Platform {
    pub drain: Drain,
    pub readiness: Readiness,
    /// The addresses of the process; [`serve`](crate::serve) sets them.
    pub addresses: Arc<OnceLock<Addresses>>,
}

/// The addresses that the process listens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    /// Where `/metrics` is; `None` if metrics are not for Prometheus.
    pub metrics: Option<SocketAddr>,
    /// Whether all use TLS.
    pub tls: bool,
}

impl Addresses {
    pub fn http_url(&self) -> String {
        format!("{}://{}", self.scheme(), self.http)
    }

    pub fn grpc_url(&self) -> String {
        format!("{}://{}", self.scheme(), self.grpc)
    }

    pub fn metrics_url(&self) -> Option<String> {
        self.metrics.map(|address| format!("{}://{address}/metrics", self.scheme()))
    }

    const fn scheme(&self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}
