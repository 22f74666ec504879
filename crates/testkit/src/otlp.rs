//! A collector that keeps the spans, the points of metrics and the lines of logs that it receives.

mod metrics;
mod received;
mod request;

use std::net::{Ipv4Addr, SocketAddr};

use axum::{Router, body::Body, middleware, routing::post};
use http::{HeaderMap, Request};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use opentelemetry_proto::tonic::collector::{
    logs::v1::logs_service_server::LogsServiceServer, metrics::v1::metrics_service_server::MetricsServiceServer,
    trace::v1::trace_service_server::TraceServiceServer,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tonic::{codec::CompressionEncoding, service::Routes};

pub use self::{
    metrics::ExportedPoint,
    received::{ExportedEvent, ExportedLink, ExportedLog, ExportedSpan},
};
use self::{received::Received, request::over_http};
use crate::tls::{Authority, Certificate};

/// A collector on a loopback port, for gRPC and HTTP. It accepts no new connections after it is dropped.
#[derive(Debug)]
pub struct OtlpSink {
    address: SocketAddr,
    is_tls: bool,
    received: Received,
    metrics: metrics::Received,
    _serving: AbortOnDropHandle<()>,
}

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use opentelemetry_proto::tonic::{
        collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
        common::v1::{AnyValue, KeyValue, any_value::Value},
        resource::v1::Resource,
        trace::v1::{
            ResourceSpans, ScopeSpans, Span,
            span::{Link, SpanKind},
        },
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
