//! The spans and the lines of logs that arrived.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::HeaderMap;
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse, logs_service_server::LogsService},
        trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_server::TraceService},
    },
    trace::v1::{
        span::{Event, Link, SpanKind},
        status::StatusCode,
    },
};
use tonic::{Response, Status};

use super::request::{text, texts};

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
pub(super) struct All {
    pub(super) headers: Vec<HeaderMap>,
    /// The number of spans in each request.
    pub(super) batches: Vec<usize>,
    pub(super) spans: Vec<ExportedSpan>,
    pub(super) logs: Vec<ExportedLog>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Received(Arc<Mutex<All>>);

impl Received {
    pub(super) fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn keep(&self, export: ExportTraceServiceRequest) {
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
    pub(super) fn keep_logs(&self, export: ExportLogsServiceRequest) {
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
