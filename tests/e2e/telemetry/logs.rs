//! Logs: lines have the ids of traces, go over OTLP, and are not repeated endlessly. Each delivery that ends is one
//! line.

use std::time::Duration;

use api::DeliveryStatus;
use serde_json::{Value, json};
use testkit::{Answer, OtlpSink, Receiver, otlp::ExportedLog, wait};

use super::{ENDPOINT, LOGS_SOON, PROTOCOL, SOON_EXPORTED};
use crate::world::{ACCOUNT, INTERFACE, SOON, World, retries, some_destination, web};

const TARGET: &str = "leadline::deliveries";

/// Delivers a lead that succeeds at its second attempt.
async fn deliver(world: &World, receiver: &Receiver) -> api::DeliveryDetail {
    receiver.answer_next([Answer::Status(500)]);
    let policy = Some(retries(&[Duration::from_millis(100)]));
    world.destination_with(api::Destination { url: receiver.url(), retry_policy: policy, ..some_destination() }).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await
}

/// The lines of the log so far that are JSON.
pub(super) fn lines(world: &World) -> Vec<Value> {
    world.process.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test]
async fn each_delivery_that_ends_is_one_line_with_all_that_is_known() {
    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    let env = [(ENDPOINT, endpoint.as_str()), SOON_EXPORTED, ("LEADLINE_LOG_FORMAT", "json")];
    let (world, receiver) = (World::start_with(&["--log-deliveries"], &env).await, Receiver::start().await);
    let detail = deliver(&world, &receiver).await;
    let delivery = detail.delivery.unwrap();
    let is_meant = |line: &Value| line["target"] == TARGET;
    let line = wait::until("the line", SOON, async || lines(&world).into_iter().find(is_meant).ok_or(())).await;
    assert_eq!(lines(&world).iter().filter(|line| is_meant(line)).count(), 1, "an attempt is not the end");
    let fields = &line["fields"];
    for (name, value) in [
        ("message", json!("delivery ended")),
        ("outcome", json!("succeeded")),
        ("attempts", json!(2)),
        ("http.response.status_code", json!(200)),
        ("account", json!(ACCOUNT)),
        ("interface", json!(INTERFACE)),
        ("destination", json!(delivery.destination_id)),
        ("delivery", json!(delivery.delivery_id)),
        ("event", json!("e1")),
        ("attempt_trace_id", json!(detail.attempts[1].trace_id)),
    ] {
        assert_eq!(fields[name], value, "{name}: {fields}");
    }
    assert!(fields["age_ms"].as_i64().unwrap() >= 100, "{fields}");
    // It belongs to the trace of its attempt.
    assert_eq!(line["trace_id"], json!(detail.attempts[1].trace_id));
    assert_eq!(line["span_id"].as_str().unwrap().len(), 16);
    // Without the setting there is no such line.
    let (quiet, receiver) = (World::start().await, Receiver::start().await);
    deliver(&quiet, &receiver).await;
    assert!(!quiet.process.output().contains("delivery ended"));
}

#[tokio::test]
async fn logs_are_exported_with_the_ids_of_their_spans() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = OtlpSink::start().await;
        let endpoint = collector.endpoint();
        // At this level the clients of the exporters log each request.
        let env = [
            (ENDPOINT, endpoint.as_str()),
            (PROTOCOL, protocol),
            SOON_EXPORTED,
            LOGS_SOON,
            ("RUST_LOG", "debug,h2=trace,hyper=trace"),
        ];
        let (world, receiver) = (World::start_with(&["--log-deliveries"], &env).await, Receiver::start().await);
        let detail = deliver(&world, &receiver).await;
        let is_meant = |log: &ExportedLog| log.body == "delivery ended";
        let log = wait::until("the line", SOON, async || collector.logs().into_iter().find(is_meant).ok_or(())).await;
        assert_eq!((log.severity.as_str(), log.scope.as_str(), log.service.as_str()), ("INFO", TARGET, "leadline"));
        assert_eq!((log.trace.as_str(), log.span.len()), (detail.attempts[1].trace_id.as_str(), 16));
        assert_eq!(log.attributes["outcome"], "succeeded");
        let of_clients: Vec<_> = collector.logs().into_iter().filter(|log| log.scope.starts_with('h')).collect();
        assert_eq!(of_clients, [], "each export would cause the next one");
    }
    let collector = OtlpSink::start().await;
    let exact = format!("{}/v1/logs", collector.endpoint());
    let env = [
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", exact.as_str()),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
        LOGS_SOON,
    ];
    let (world, receiver) = (World::start_with(&["--log-deliveries"], &env).await, Receiver::start().await);
    deliver(&world, &receiver).await;
    let has_logs = async || Some(collector.logs()).filter(|logs| !logs.is_empty()).ok_or(());
    wait::until("logs alone", SOON, has_logs).await;
    assert_eq!(collector.spans(), []);
    let none = OtlpSink::start().await;
    let endpoint = none.endpoint();
    let env = [(ENDPOINT, endpoint.as_str()), ("OTEL_LOGS_EXPORTER", "none"), LOGS_SOON];
    let (world, receiver) = (World::start_with(&["--log-deliveries"], &env).await, Receiver::start().await);
    deliver(&world, &receiver).await;
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    assert_eq!(none.logs(), []);
}

#[tokio::test]
async fn a_repeated_line_is_written_once_in_ten_seconds_and_counted() {
    let world = World::start().await;
    let log_in = async || {
        let body = json!({"api_key": "ll_nonsense"});
        web().post(format!("{}/console/session", world.http)).json(&body).send().await.unwrap().status()
    };
    for _ in 0..4 {
        assert!(log_in().await.is_client_error());
    }
    let line = world.process.wait_line("suppressed repeated lines", SOON).await;
    assert!(line.contains("refused a log-in to the console") && line.contains("count=3"), "{line}");
    let output = world.process.output();
    let written = output.lines().filter(|line| line.contains("refused a log-in") && !line.contains("suppressed"));
    assert_eq!(written.count(), 1, "{output}");
}

#[tokio::test]
async fn the_log_of_query_names_the_request_of_a_call_over_http() {
    let world = World::start_with(&[], &[("LEADLINE_LOG_FORMAT", "json")]).await;
    let body = json!({"api_key": "ll_nonsense"});
    let call =
        web().post(format!("{}/console/session", world.http)).json(&body).header("x-request-id", "order-7/try-1");
    assert!(call.send().await.unwrap().status().is_client_error());
    let is_meant = |line: &Value| line["fields"]["message"] == "refused a log-in to the console";
    let line = wait::until("the line", SOON, async || lines(&world).into_iter().find(is_meant).ok_or(())).await;
    assert_eq!(line["span"]["leadline.request.id"], "order-7/try-1");
    assert!(line.get("trace_id").is_none(), "nothing is exported");
}
