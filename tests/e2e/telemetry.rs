//! The `OTEL_*` variables: each follows the specification, and none stops the process.

mod contexts;
mod ids;
mod links;
mod logs;
mod spans;
mod states;
mod variables;

use api::DeliveryStatus;
use http::HeaderMap;
use testkit::{OtlpSink, Receiver, otlp::ExportedSpan, tls::Authority, wait};

use crate::world::{SOON, World};

const SOON_EXPORTED: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "100");
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
pub(crate) const METRICS_SOON: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "200");
const LOGS_SOON: (&str, &str) = ("OTEL_BLRP_SCHEDULE_DELAY", "100");
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// Delivers a lead in a system with these variables.
async fn deliver(env: &[(&str, &str)]) -> (World, Receiver) {
    let env = [env, &[SOON_EXPORTED]].concat();
    let (world, receiver) = (World::start_with(&[], &env).await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    (world, receiver)
}

/// Delivers a lead in a system with these variables, and waits for spans, points and lines.
async fn all_exported(collector: &OtlpSink, env: &[(&str, &str)]) {
    let _running = deliver(&[env, &[METRICS_SOON, LOGS_SOON]].concat()).await;
    wait::until("spans, points and lines", SOON, async || {
        let arrived = [!collector.spans().is_empty(), !collector.points().is_empty(), !collector.logs().is_empty()];
        if arrived == [true; 3] { Ok(()) } else { Err(arrived) }
    })
    .await;
}

/// The exported span of an attempt, and the headers of the export.
async fn exported(collector: &OtlpSink, env: &[(&str, &str)]) -> (ExportedSpan, HeaderMap) {
    let _running = deliver(env).await;
    let is_attempt = |span: &ExportedSpan| span.name == "POST";
    let span = wait::until("the span of an attempt", SOON, async || {
        collector.spans().into_iter().find(is_attempt).ok_or_else(|| collector.headers())
    })
    .await;
    (span, collector.headers().remove(0))
}

#[tokio::test]
async fn unavailable_collector_causes_one_warning_and_stops_no_lead() {
    for (env, text) in [
        (&[(ENDPOINT, "http://127.0.0.1:1")][..], "cannot export traces; spans are lost until the collector answers"),
        (&[(ENDPOINT, "https://127.0.0.1:1")], "cannot export traces; spans are lost until the collector answers"),
        (&[(ENDPOINT, "127.0.0.1:1")], "cannot export traces; spans are lost until the collector answers"),
        (
            &[(ENDPOINT, "http://127.0.0.1:1"), (PROTOCOL, "http/protobuf")],
            "spans are lost until the collector answers",
        ),
        (&[(ENDPOINT, "http://no url")], "cannot export traces; continuing without traces"),
        (&[(ENDPOINT, "http://127.0.0.1:1"), (PROTOCOL, "carrier pigeon")], "is unknown; use grpc or http/protobuf"),
        (&[(ENDPOINT, "https://127.0.0.1:1"), (CERTIFICATE, "/no/file")], "/no/file cannot be read"),
        (&[(ENDPOINT, "http://127.0.0.1:1"), ("OTEL_TRACES_EXPORTER", "zipkin")], "is unknown; use otlp or none"),
    ] {
        let (world, _receiver) = deliver(env).await;
        let line = world.process.wait_line(text, SOON).await;
        assert!(line.contains("WARN"), "{env:?}: {line}");
        // Further batches fail without another warning.
        world.publish("e2").await;
        world.delivery_is("e2", DeliveryStatus::Succeeded).await;
        let output = world.process.output();
        assert_eq!(output.matches("cannot export traces").count(), 1, "{env:?}: {output}");
    }
}

#[tokio::test]
async fn traces_metrics_and_logs_are_exported_over_tls() {
    let authority = Authority::default();
    let certificate = authority.certificate_for("localhost");
    let file = authority.file();
    let files = authority.client_files("collector client");
    let (own, key) = files.names();
    for protocol in ["", "grpc", "http/protobuf"] {
        let trusted = OtlpSink::start_tls(&certificate, None).await;
        let endpoint = trusted.endpoint();
        let env = [(ENDPOINT, endpoint.as_str()), (PROTOCOL, protocol), (CERTIFICATE, file.to_str().unwrap())];
        all_exported(&trusted, &env).await;

        let asking = OtlpSink::start_tls(&certificate, Some(&authority)).await;
        let endpoint = asking.endpoint();
        let with_own = [
            (ENDPOINT, endpoint.as_str()),
            (PROTOCOL, protocol),
            (CERTIFICATE, file.to_str().unwrap()),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", own),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", key),
        ];
        all_exported(&asking, &with_own).await;
    }
}

#[tokio::test]
async fn variables_for_traces_override_general_ones() {
    let collector = OtlpSink::start().await;
    let exact = format!("{}/v1/traces", collector.endpoint());
    let env = [
        (ENDPOINT, "http://127.0.0.1:1"),
        (TRACES_ENDPOINT, exact.as_str()),
        (PROTOCOL, "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret%20text"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ];
    let (_, headers) = exported(&collector, &env).await;
    assert_eq!(headers["x-key"], "secret text");
    assert_eq!(headers["content-encoding"], "gzip");
    assert_eq!(headers["content-type"], "application/x-protobuf");

    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    let env = [
        (TRACES_ENDPOINT, endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
    ];
    let (_, headers) = exported(&collector, &env).await;
    assert_eq!((headers["x-key"].as_bytes(), headers["grpc-encoding"].as_bytes()), (&b"secret"[..], &b"gzip"[..]));
}

#[tokio::test]
async fn spans_name_their_service_and_process() {
    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    let (span, _) = exported(&collector, &[(ENDPOINT, &endpoint)]).await;
    assert_eq!(span.service, "leadline");
    assert_eq!(span.resource["service.namespace"], "leadline");
    assert!(!span.resource["service.version"].is_empty() && !span.resource["service.instance.id"].is_empty());

    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    let env = [
        (ENDPOINT, endpoint.as_str()),
        ("OTEL_SERVICE_NAME", "leads-eu"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=not-this,service.instance.id=one,deployment.environment.name=test"),
    ];
    let (span, _) = exported(&collector, &env).await;
    assert_eq!(span.service, "leads-eu");
    assert_eq!(span.resource["service.instance.id"], "one");
    assert_eq!(span.resource["deployment.environment.name"], "test");
}

#[tokio::test]
async fn exporting_can_be_switched_off() {
    for off in [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
    ] {
        let collector = OtlpSink::start().await;
        let endpoint = collector.endpoint();
        let (world, _receiver) = deliver(&[(ENDPOINT, &endpoint), off]).await;
        // The process exports the remaining spans at its end.
        world.process.terminate();
        world.process.wait_exit(SOON).await;
        assert_eq!(collector.spans(), [], "{off:?}");
    }
    // Each trace is sampled independently; with this ratio almost none is.
    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    let ratio = [("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.000001")];
    let (world, _receiver) = deliver(&[&[(ENDPOINT, endpoint.as_str())], &ratio[..]].concat()).await;
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    assert_eq!(collector.spans(), []);
}
