//! A collector that keeps the spans, the points of metrics and the lines of logs that it receives.

mod metrics;

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{Router, body::Body, middleware, routing::post};
use flate2::read::GzDecoder;
use http::{HeaderMap, Request, header::CONTENT_ENCODING};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{
            ExportLogsServiceRequest, ExportLogsServiceResponse,
            logs_service_server::{LogsService, LogsServiceServer},
        },
        metrics::v1::metrics_service_server::MetricsServiceServer,
        trace::v1::{
            ExportTraceServiceRequest, ExportTraceServiceResponse,
            trace_service_server::{TraceService, TraceServiceServer},
        },
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{
        span::{Event, Link, SpanKind},
        status::StatusCode,
    },
};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Response, Status, codec::CompressionEncoding, service::Routes};

pub use self::metrics::ExportedPoint;
use crate::tls::{Authority, Certificate};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedSpan {
    pub name: String,
    /// The service that exported it.
    pub service: String,
    /// The resource attributes of the process that exported it.
    pub resource: BTreeMap<String, String>,
    /// Its trace, in hexadecimal.
    pub trace: String,
    /// Its own id, in hexadecimal.
    pub id: String,
    /// The id of its parent, in hexadecimal; empty if it has none.
    pub parent: String,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// `server`, `client`, `producer`, `consumer` or `internal`.
    pub kind: String,
    /// Whether its status is an error.
    pub is_error: bool,
    /// The description of its status.
    pub description: String,
    /// When it began, in nanoseconds since 1970.
    pub began: u64,
    pub links: Vec<ExportedLink>,
    pub events: Vec<ExportedEvent>,
}

/// An event of an exported span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedEvent {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
}

/// A link of an exported span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedLink {
    /// In hexadecimal.
    pub trace: String,
    /// The id of the linked span, in hexadecimal.
    pub id: String,
    pub attributes: BTreeMap<String, String>,
}

/// A collector on a loopback port, for gRPC and HTTP. It accepts no new connections after it is dropped.
#[derive(Debug)]
pub struct OtlpSink {
    address: SocketAddr,
    is_tls: bool,
    received: Received,
    metrics: metrics::Received,
    _serving: AbortOnDropHandle<()>,
}

/// An exported line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedLog {
    pub body: String,
    /// `INFO`, `WARN`, …
    pub severity: String,
    /// The part of the program that wrote it.
    pub scope: String,
    /// Its trace, in hexadecimal; empty if it belongs to none.
    pub trace: String,
    /// Its span, in hexadecimal.
    pub span: String,
    /// Its fields, as text.
    pub attributes: BTreeMap<String, String>,
    /// The service that exported it.
    pub service: String,
}

/// Everything that arrived.
#[derive(Debug, Default)]
struct All {
    headers: Vec<HeaderMap>,
    /// The number of spans in each request.
    batches: Vec<usize>,
    spans: Vec<ExportedSpan>,
    logs: Vec<ExportedLog>,
}

#[derive(Debug, Clone, Default)]
struct Received(Arc<Mutex<All>>);

impl OtlpSink {
    /// Starts a collector on any free port.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start() -> Self {
        Self::serve(None).await
    }

    /// Starts a collector that is called over TLS. With `clients` it asks for a certificate of that authority.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start_tls(certificate: &Certificate, clients: Option<&Authority>) -> Self {
        let protocols = [b"h2".as_slice(), b"http/1.1"];
        Self::serve(Some(match clients {
            Some(clients) => certificate.acceptor_asking(clients, &protocols),
            None => certificate.acceptor_for(&protocols),
        }))
        .await
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port for the collector");
        Self::serve_on(listener, tls)
    }

    /// Starts a collector on a listener, whose connections have waited until now.
    ///
    /// # Panics
    /// If it does not listen.
    pub fn start_on(listener: TcpListener) -> Self {
        Self::serve_on(listener, None)
    }

    fn serve_on(listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        let address = listener.local_addr().expect("a listener has an address");
        let (is_tls, received) = (tls.is_some(), Received::default());
        let grpc = TraceServiceServer::new(received.clone()).accept_compressed(CompressionEncoding::Gzip);
        let metrics = metrics::Received::default();
        let grpc_metrics = MetricsServiceServer::new(metrics.clone()).accept_compressed(CompressionEncoding::Gzip);
        let of_metrics = metrics.clone();
        let logs = LogsServiceServer::new(received.clone()).accept_compressed(CompressionEncoding::Gzip);
        let (headers, spans, lines) = (received.clone(), received.clone(), received.clone());
        let router = Routes::new(grpc)
            .add_service(logs)
            .add_service(grpc_metrics)
            .into_axum_router()
            .route("/v1/metrics", post(move |request: Request<Body>| metrics::over_http(of_metrics, request)))
            .route(
                "/v1/traces",
                post(move |request: Request<Body>| over_http(request, move |export| spans.keep(export))),
            )
            .route(
                "/v1/logs",
                post(move |request: Request<Body>| over_http(request, move |export| lines.keep_logs(export))),
            )
            .layer(middleware::map_request(move |request: Request<Body>| {
                headers.lock().headers.push(request.headers().clone());
                std::future::ready(request)
            }));
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.expect("the collector accepts");
                tokio::spawn(answer(socket, tls.clone(), router.clone()));
            }
        }));
        Self { address, is_tls, received, metrics, _serving: serving }
    }

    /// Its URL, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        let port = self.address.port();
        if self.is_tls { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") }
    }

    /// Every exported span.
    pub fn spans(&self) -> Vec<ExportedSpan> {
        self.received.lock().spans.clone()
    }

    /// The number of spans in each request.
    pub fn batches(&self) -> Vec<usize> {
        self.received.lock().batches.clone()
    }

    /// Every exported line of a log.
    pub fn logs(&self) -> Vec<ExportedLog> {
        self.received.lock().logs.clone()
    }

    /// Every point of a metric, each time that it was exported.
    pub fn points(&self) -> Vec<ExportedPoint> {
        self.metrics.points()
    }

    /// The headers of each request.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.received.lock().headers.clone()
    }
}

async fn answer(socket: TcpStream, tls: Option<TlsAcceptor>, router: Router) {
    let (server, service) = (auto::Builder::new(TokioExecutor::new()), TowerToHyperService::new(router));
    // Some tests are about clients that do not trust the certificate, or go away.
    let _ = match tls {
        None => server.serve_connection(TokioIo::new(socket), service).await,
        Some(tls) => match tls.accept(socket).await {
            Ok(stream) => server.serve_connection(TokioIo::new(stream), service).await,
            Err(_) => Ok(()),
        },
    };
}

async fn over_http<T: Message + Default>(request: Request<Body>, keep: impl FnOnce(T)) -> http::StatusCode {
    let body = body_of(request).await;
    let Ok(export) = T::decode(body.as_slice()) else { return http::StatusCode::BAD_REQUEST };
    keep(export);
    http::StatusCode::OK
}

/// The body of a request, decompressed.
async fn body_of(request: Request<Body>) -> Vec<u8> {
    let is_gzip = request.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap_or_default();
    let mut decoded = vec![];
    if is_gzip {
        GzDecoder::new(body.as_ref()).read_to_end(&mut decoded).expect("the body is gzip");
    } else {
        decoded.extend_from_slice(&body);
    }
    decoded
}

impl Received {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, export: ExportTraceServiceRequest) {
        let scopes = export.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
        self.lock().batches.push(scopes.map(|scope| scope.spans.len()).sum());
        for resource in export.resource_spans {
            let attributes = resource.resource.map(|r| texts(r.attributes)).unwrap_or_default();
            let service = attributes.get("service.name").cloned().unwrap_or_default();
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.lock().spans.extend(spans.map(|span| ExportedSpan {
                name: span.name,
                service: service.clone(),
                resource: attributes.clone(),
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: texts(span.attributes),
                kind: kind(span.kind).to_owned(),
                is_error: span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
                description: span.status.map(|status| status.message).unwrap_or_default(),
                began: span.start_time_unix_nano,
                links: span.links.into_iter().map(link).collect(),
                events: span.events.into_iter().map(event).collect(),
            }));
        }
    }
}

impl Received {
    fn keep_logs(&self, export: ExportLogsServiceRequest) {
        for resource in export.resource_logs {
            let attributes = resource.resource.map(|r| texts(r.attributes)).unwrap_or_default();
            let service = attributes.get("service.name").cloned().unwrap_or_default();
            for scoped in resource.scope_logs {
                let scope = scoped.scope.map(|scope| scope.name).unwrap_or_default();
                self.lock().logs.extend(scoped.log_records.into_iter().map(|record| ExportedLog {
                    body: text(record.body),
                    severity: record.severity_text,
                    scope: scope.clone(),
                    trace: hex(&record.trace_id),
                    span: hex(&record.span_id),
                    attributes: texts(record.attributes),
                    service: service.clone(),
                }));
            }
        }
    }
}

#[tonic::async_trait]
impl LogsService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.keep_logs(request.into_inner());
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Received {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.keep(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn kind(number: i32) -> &'static str {
    match SpanKind::try_from(number) {
        Ok(SpanKind::Server) => "server",
        Ok(SpanKind::Client) => "client",
        Ok(SpanKind::Producer) => "producer",
        Ok(SpanKind::Consumer) => "consumer",
        Ok(SpanKind::Internal) => "internal",
        Ok(SpanKind::Unspecified) | Err(_) => "unspecified",
    }
}

fn link(link: Link) -> ExportedLink {
    ExportedLink { trace: hex(&link.trace_id), id: hex(&link.span_id), attributes: texts(link.attributes) }
}

fn event(event: Event) -> ExportedEvent {
    ExportedEvent { name: event.name, attributes: texts(event.attributes) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::trace_service_client::TraceServiceClient,
        resource::v1::Resource,
        trace::v1::{ResourceSpans, ScopeSpans, Span},
    };

    use super::*;

    fn attribute(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
    }

    #[tokio::test]
    async fn keeps_spans_with_the_service_that_made_them() {
        let sink = OtlpSink::start().await;
        let span = Span {
            name: "deliver".into(),
            trace_id: vec![0xab; 16],
            span_id: vec![1; 8],
            attributes: vec![attribute("attempt", Value::IntValue(2))],
            kind: SpanKind::Client.into(),
            start_time_unix_nano: 7,
            links: vec![Link { trace_id: vec![0xcd; 16], span_id: vec![2; 8], ..Default::default() }],
            ..Default::default()
        };
        let attributes = vec![attribute("service.name", Value::StringValue("dispatcher".into()))];
        let spans = ResourceSpans {
            resource: Some(Resource { attributes, ..Default::default() }),
            scope_spans: vec![ScopeSpans { spans: vec![span], ..Default::default() }],
            ..Default::default()
        };
        let mut client = TraceServiceClient::connect(sink.endpoint()).await.unwrap();
        client.export(ExportTraceServiceRequest { resource_spans: vec![spans] }).await.unwrap();
        let expected = ExportedSpan {
            name: "deliver".into(),
            service: "dispatcher".into(),
            resource: [("service.name".into(), "dispatcher".into())].into(),
            trace: "ab".repeat(16),
            id: "01".repeat(8),
            parent: String::new(),
            attributes: [("attempt".into(), "2".into())].into(),
            kind: "client".into(),
            is_error: false,
            description: String::new(),
            began: 7,
            links: vec![ExportedLink { trace: "cd".repeat(16), id: "02".repeat(8), attributes: BTreeMap::new() }],
            events: vec![],
        };
        assert_eq!(sink.spans(), [expected]);
    }
}
