//! A trace collector that keeps the spans that it receives.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, transport::Server};

/// An exported span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedSpan {
    pub name: String,
    /// The service that exported it.
    pub service: String,
    /// Its trace, in hexadecimal.
    pub trace: String,
    /// Its own id, in hexadecimal.
    pub id: String,
    /// The id of its parent, in hexadecimal; empty if it has none.
    pub parent: String,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
}

/// A collector on a loopback port. It accepts no new connections after it is dropped.
#[derive(Debug)]
pub struct OtlpSink {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<ExportedSpan>>>,
    _serving: AbortOnDropHandle<()>,
}

struct Collector(Arc<Mutex<Vec<ExportedSpan>>>);

impl OtlpSink {
    /// Starts a collector on any free port.
    ///
    /// # Panics
    /// If no port is free.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port for the collector");
        let address = listener.local_addr().expect("a listener has an address");
        let spans = Arc::new(Mutex::new(vec![]));
        let service = TraceServiceServer::new(Collector(Arc::clone(&spans)));
        let serving = AbortOnDropHandle::new(tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            Server::builder().add_service(service).serve_with_incoming(incoming).await.expect("the collector serves");
        }));
        Self { address, spans, _serving: serving }
    }

    /// Its URL, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every exported span.
    pub fn spans(&self) -> Vec<ExportedSpan> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for resource in request.into_inner().resource_spans {
            let attributes = resource.resource.map(|r| texts(r.attributes)).unwrap_or_default();
            let service = attributes.get("service.name").cloned().unwrap_or_default();
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(ExportedSpan {
                    name: span.name,
                    service: service.clone(),
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    attributes: texts(span.attributes),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<AnyValue>| match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
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
            trace: "ab".repeat(16),
            id: "01".repeat(8),
            parent: String::new(),
            attributes: [("attempt".into(), "2".into())].into(),
        };
        assert_eq!(sink.spans(), [expected]);
    }
}
