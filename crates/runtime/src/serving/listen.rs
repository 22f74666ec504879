//! One HTTP and one gRPC listener for any number of services.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, middleware};
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{rt::TokioIo, server::graceful::GracefulShutdown};
use tokio::net::TcpListener;
use tonic::{
    body::Body,
    codec::CompressionEncoding,
    server::NamedService,
    service::{Routes, RoutesBuilder},
    transport::Server,
};

use crate::{
    chain::ErrorChain as _,
    duration, files, metrics,
    platform::{Addresses, Platform},
    readiness::Readiness,
    serving::{
        connections::{
            ConnectionLimits, Connections,
            calls::{CallRules, Calls, CallsLayer},
            measured,
            methods::Methods,
            socket::Protocol,
        },
        cors::{self, Origin},
        exposition,
        incoming::Incoming,
        probes::{self, Served},
        tls::{H2, HTTP_1, TlsError, TlsOptions},
    },
    telemetry,
};

/// The default drain deadline: the longest request of a destination (60 s), and some seconds to read its answer and to
/// store the outcome. A supervisor that kills processes has to wait longer.
const DEFAULT_DRAIN_DEADLINE: &str = "75s";

/// The addresses of the listeners, and the drain deadline.
#[derive(Debug, Clone, clap::Args)]
pub struct Listeners {
    /// Address for HTTP; port 0 picks a free one
    #[arg(long, env = "LEADLINE_HTTP", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub http: SocketAddr,
    /// Address for gRPC; port 0 picks a free one
    #[arg(long, env = "LEADLINE_GRPC", default_value = "127.0.0.1:9090", value_name = "ADDRESS")]
    pub grpc: SocketAddr,
    /// How long the process may take to finish what is in flight after SIGTERM or Ctrl-C
    #[arg(long, env = "LEADLINE_DRAIN_DEADLINE", default_value = DEFAULT_DRAIN_DEADLINE, value_name = "DURATION", value_parser = duration::parse)]
    pub drain_deadline: Duration,
    /// Origins (scheme, host and port) whose web pages may call the HTTP port from a browser, separated by commas; *
    /// for all [default: none]
    #[arg(long, env = "LEADLINE_CORS_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<Origin>,
    /// Address for /metrics alone; without it, /metrics is on the HTTP port, for callers without an API key
    #[arg(long, env = "LEADLINE_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// Maximum number of destinations that metrics name, with their accounts; all others count as "other". 0: metrics
    /// name none
    #[arg(long, env = "LEADLINE_METRICS_DESTINATIONS", default_value_t = 0, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(..=metrics::MAX_NAMED_DESTINATIONS))]
    pub metrics_destinations: u32,
    #[command(flatten)]
    pub telemetry: telemetry::Options,
    #[command(flatten)]
    pub tls: TlsOptions,
    #[command(flatten)]
    pub limits: ConnectionLimits,
}

/// How many unread bytes a gRPC client may send on one stream. A larger window makes streams over long distances
/// faster, and takes more memory.
const STREAM_WINDOW: u32 = 128 * 1024;
/// As [`STREAM_WINDOW`], for all streams of a connection. For each unread frame that is shorter than 256 bytes, h2
/// counts the difference as overhead. It closes the connection (`too_many_data_frames`) once the overhead is half of
/// this window. A stream can have one window of unread frames. If each has 15 bytes, like the smallest event that can
/// be published, their overhead is 16 windows. So about eight streams of such events may stall at once, and unread
/// bytes take at most about this much memory.
const CONNECTION_WINDOW: u32 = 256 * STREAM_WINDOW;

/// Why the process cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address is in use, or is not an address of this machine.
    #[error("cannot listen on {address} for {what}; choose another address with {flag} (port 0 picks a free one)")]
    Bind {
        /// HTTP, gRPC or metrics.
        what: &'static str,
        address: SocketAddr,
        /// The flag that sets the address.
        flag: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the descriptors for gRPC reflection are broken")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("the descriptors of the API cannot be decoded")]
    Descriptors(#[from] prost::DecodeError),
}

/// A service: its name and its routes. Its background tasks run on the drain.
#[derive(Default)]
pub struct Service {
    name: &'static str,
    http: Router,
    open_http: Router,
    grpc: Vec<(&'static str, AddRoutes)>,
    decides_readiness: bool,
}

type AddRoutes = Box<dyn FnOnce(&mut RoutesBuilder) + Send>;

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Service {
    pub fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Makes `/readyz` of the process answer only for the services that are marked so. Load balancers use that answer
    /// to decide whether to send this service traffic.
    #[must_use]
    pub const fn deciding_readiness(mut self) -> Self {
        self.decides_readiness = true;
        self
    }

    #[must_use]
    pub fn with_http(mut self, routes: Router) -> Self {
        self.http = self.http.merge(routes);
        self
    }

    /// Adds routes that answer preflight requests (CORS) themselves, because pages of every origin may call them.
    #[must_use]
    pub fn with_open_http(mut self, routes: Router) -> Self {
        self.open_http = self.open_http.merge(routes);
        self
    }

    #[must_use]
    pub fn with_grpc<S>(mut self, service: S) -> Self
    where
        S: tower::Service<http::Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        let add = move |routes: &mut RoutesBuilder| {
            routes.add_service(service);
        };
        self.grpc.push((S::NAME, Box::new(add)));
        self
    }

    fn served(&self) -> Served {
        let grpc = self.grpc.iter().map(|(name, _)| *name).collect();
        Served { name: self.name, grpc, decides_readiness: self.decides_readiness }
    }
}

/// The API that the services implement.
pub struct Api {
    /// The descriptors of its messages and methods.
    pub descriptors: &'static [u8],
    pub over_http: OverHttp,
}

/// Makes HTTP routes from gRPC routes, given the names of their services.
pub type OverHttp = Box<dyn FnOnce(Routes, &[&str]) -> Router + Send>;

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("descriptors", &self.descriptors.len()).finish_non_exhaustive()
    }
}

/// Listens for all of these services until the drain. Adds health and reflection to gRPC, and adds the methods of the
/// API, `/healthz`, `/readyz` and `/metrics` to HTTP.
///
/// # Errors
/// If the process cannot listen on an address, or cannot use the certificate.
pub async fn serve(
    listeners: &Listeners,
    services: Vec<Service>,
    api: Api,
    platform: &Platform,
) -> Result<Addresses, ListenError> {
    let (tls_of_http, tls_of_grpc) = (listeners.tls.acceptor(HTTP_1)?, listeners.tls.acceptor(H2)?);
    let Sockets { http, grpc, metrics, addresses } = Sockets::bind(listeners).await?;
    let _ = platform.addresses.set(addresses);
    let served: Vec<_> = services.iter().map(Service::served).collect();
    let (mut router, mut routes) = (probes::routes(&platform.readiness, &served), RoutesBuilder::default());
    let mut open = Router::new();
    for service in services {
        router = router.merge(service.http);
        open = open.merge(service.open_http);
        for (_, add) in service.grpc {
            add(&mut routes);
        }
    }
    let Api { descriptors, over_http } = api;
    let names: Vec<_> = served.iter().flat_map(|service| service.grpc.iter().copied()).collect();
    router = router.merge(over_http(routes.clone().routes(), &names));
    if let Some(cors) = cors::layer(&listeners.cors_origins) {
        router = router.layer(cors);
    }
    router = router.merge(open);
    if metrics.is_none() && exposition::is_on() {
        router = router.merge(exposition::routes());
    }
    router = router.layer(middleware::from_fn(measured::note_route));
    observe(&listeners.tls, &platform.readiness);
    let (reporter, health) = tonic_health::server::health_reporter();
    routes.add_service(health.accept_compressed(CompressionEncoding::Gzip));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    routes
        .add_service(reflection().build_v1()?.accept_compressed(CompressionEncoding::Gzip))
        .add_service(reflection().build_v1alpha()?.accept_compressed(CompressionEncoding::Gzip));

    let limits = &listeners.limits;
    let connections = Connections::new(limits, files::for_callers());
    let rules = CallRules::new(limits, Methods::of(descriptors)?, addresses.tls, &platform.drain);
    if let Some(metrics) = metrics {
        let incoming = Incoming::new(metrics, listeners.tls.acceptor(HTTP_1)?, Protocol::Http1, limits, &connections);
        spawn_http("metrics listener", incoming, Calls::new(exposition::routes(), Arc::clone(&rules)), platform);
    }
    let http = Incoming::new(http, tls_of_http, Protocol::Http1, limits, &connections);
    let grpc = Incoming::new(grpc, tls_of_grpc, Protocol::Http2, limits, &connections);
    let drain = platform.drain.clone();
    platform.drain.spawn("connections", async move { connections.close_silent(&drain).await });
    spawn_http("http listener", http, Calls::new(router, Arc::clone(&rules)), platform);
    spawn_grpc(grpc, routes.routes(), rules, limits, platform);
    let watched = platform.clone();
    platform.drain.spawn("health", async move { probes::report_health(&watched, reporter, &served).await });
    Ok(addresses)
}

/// The sockets of a process.
struct Sockets {
    http: TcpListener,
    grpc: TcpListener,
    /// `None` if `/metrics` is on the HTTP port, or nowhere.
    metrics: Option<TcpListener>,
    addresses: Addresses,
}

impl Sockets {
    async fn bind(listeners: &Listeners) -> Result<Self, ListenError> {
        let http = bind("HTTP", listeners.http, "--http").await?;
        let grpc = bind("gRPC", listeners.grpc, "--grpc").await?;
        let metrics = match listeners.metrics_listen.filter(|_| exposition::is_on()) {
            Some(address) => Some(bind("metrics", address, "--metrics-listen").await?),
            None => None,
        };
        let http_address = http.local_addr().unwrap_or(listeners.http);
        let addresses = Addresses {
            http: http_address,
            grpc: grpc.local_addr().unwrap_or(listeners.grpc),
            metrics: match &metrics {
                Some(listener) => listener.local_addr().ok(),
                None => exposition::is_on().then_some(http_address),
            },
            tls: listeners.tls.is_on(),
        };
        let stays_here = addresses.http.ip().is_loopback() && addresses.grpc.ip().is_loopback();
        if !addresses.tls && !stays_here {
            tracing::warn!(
                "API keys and leads arrive without TLS; set --tls-cert and --tls-key, or put a TLS proxy in front"
            );
        }
        Ok(Self { http, grpc, metrics, addresses })
    }
}

async fn bind(what: &'static str, address: SocketAddr, flag: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError::Bind { what, address, flag, source })
}

/// Observes the readiness and the certificate, which all services of the process share.
fn observe(tls: &TlsOptions, readiness: &Readiness) {
    metrics::observe_readiness(readiness);
    if let Some(certificate) = &tls.tls_cert {
        metrics::observe_certificate("listeners", certificate);
    }
}

fn spawn_http(name: &'static str, mut incoming: Incoming, calls: Calls<Router>, platform: &Platform) {
    let drain = platform.drain.clone();
    platform.drain.spawn(name, async move {
        let (graceful, mut server) = (GracefulShutdown::new(), http1::Builder::new());
        // The socket has its own deadlines: seconds for a head, minutes for the next request.
        server.header_read_timeout(None);
        loop {
            let socket = tokio::select! {
                socket = incoming.next() => socket,
                () = drain.stopping() => break,
            };
            let (calls, peer) = (calls.clone(), socket.peer().clone());
            let service = service_fn(move |request| calls.answer(request, &peer));
            let connection = graceful.watch(server.serve_connection(TokioIo::new(socket), service));
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = error.chain(), "HTTP connection failed");
                }
            });
        }
        drop(incoming);
        graceful.shutdown().await;
    });
}

fn spawn_grpc(
    incoming: Incoming,
    routes: Routes,
    rules: Arc<CallRules>,
    limits: &ConnectionLimits,
    platform: &Platform,
) {
    let drain = platform.drain.clone();
    let stopping = async move { drain.stopping().await };
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.max_streams)
        .http2_keepalive_interval(Some(limits.keepalive_interval))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout));
    platform.drain.spawn("grpc listener", async move {
        let server = server.layer(CallsLayer(rules)).add_routes(routes);
        if let Err(error) = server.serve_with_incoming_shutdown(incoming.connections(), stopping).await {
            tracing::error!(error = error.chain(), "gRPC listener failed");
        }
    });
}
