//! Metrics that a collector and a Prometheus server get from a running system.

mod dashboards;
mod faults;
mod installation;
mod names;
mod translated;
mod values;

use std::collections::BTreeSet;

use api::DeliveryStatus;
use serde_json::Value;
use testkit::{Answer, OtlpSink, Prometheus, Receiver, Step, otlp::ExportedPoint, prometheus::promtool, wait};

use crate::{
    features::root,
    world::{SOON, World, read_json, some_destination, web},
};

pub(crate) const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";
const EXPORTER: &str = "OTEL_METRICS_EXPORTER";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const SOON_EXPORTED: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "200");

impl World {
    /// The address of `/metrics`.
    pub(crate) fn metrics_url(&self) -> Option<String> {
        let addresses = read_json(&self.home.data().join("addresses.json")).unwrap();
        addresses["metrics"].as_str().map(str::to_owned)
    }

    /// The answer of `/metrics` without an API key.
    pub(crate) async fn metrics(&self) -> String {
        let answer = web().get(self.metrics_url().unwrap()).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        answer.text().await.unwrap()
    }

    /// Host and port of `/metrics`, for Prometheus.
    pub(crate) fn target(&self) -> String {
        let url = self.metrics_url().unwrap();
        url.trim_start_matches("http://").trim_end_matches("/metrics").to_owned()
    }

    /// The sum of the samples of this name whose labels contain all of these.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        samples(&self.metrics().await, name, labels).into_iter().sum()
    }
}

/// The samples of this name whose labels contain all of these.
fn samples(text: &str, name: &str, labels: &[&str]) -> Vec<f64> {
    let named = text.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
    let wanted = named.filter(|line| labels.iter().all(|label| line.contains(label)));
    wanted.filter_map(|line| line.split(" # ").next()?.rsplit(' ').next()?.parse().ok()).collect()
}

/// Delivers a lead with these variables.
async fn deliver(args: &[&str], env: &[(&str, &str)]) -> (World, Receiver) {
    let (world, receiver) = (World::start_with(args, env).await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    (world, receiver)
}

async fn exported(collector: &OtlpSink, name: &str) -> ExportedPoint {
    wait::until(name, SOON, async || {
        let points = collector.points();
        points.into_iter().rev().find(|point| point.name == name && point.value > 0.0)
    })
    .await
}

#[tokio::test]
async fn metrics_arrive_at_a_collector_over_grpc_and_http() {
    for protocol in ["grpc", "http/protobuf"] {
        let collector = OtlpSink::start().await;
        let endpoint = collector.endpoint();
        let env = [
            (ENDPOINT, endpoint.as_str()),
            (PROTOCOL, protocol),
            SOON_EXPORTED,
            ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-key=of%20metrics"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ];
        let _running = deliver(&[], &env).await;
        let accepted = exported(&collector, "leadline.events.accepted").await;
        assert_eq!((accepted.unit.as_str(), accepted.service.as_str()), ("{event}", "leadline"));
        assert_eq!((accepted.value, accepted.attributes["leadline.protocol"].as_str()), (1.0, "http"));
        let request = exported(&collector, "http.client.request.duration").await;
        assert_eq!(request.attributes["http.response.status_code"], "200");
        assert_eq!(exported(&collector, "leadline.delivery.time_to_first_attempt").await.unit, "s");
        exported(&collector, "process.memory.usage").await;
        exported(&collector, "leadline.broker.storage.used").await;
        assert!(collector.headers().iter().any(|headers| headers.get("x-key").is_some_and(|key| key == "of metrics")));
    }
}

#[tokio::test]
async fn variables_choose_exporters_and_wrong_ones_cause_one_warning() {
    let collector = OtlpSink::start().await;
    let exact = format!("{}/v1/metrics", collector.endpoint());
    let env = [
        (METRICS_ENDPOINT, exact.as_str()),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        (EXPORTER, "otlp"),
        SOON_EXPORTED,
    ];
    let (world, _receiver) = deliver(&[], &env).await;
    exported(&collector, "leadline.attempts").await;
    assert_eq!(world.metrics_url(), None);
    assert_eq!(web().get(format!("{}/metrics", world.http)).send().await.unwrap().status().as_u16(), 404);
    assert_eq!(collector.spans(), [], "the endpoint is that of metrics alone");

    for off in [(EXPORTER, "none"), ("OTEL_SDK_DISABLED", "true")] {
        let (world, _receiver) = deliver(&[], &[(METRICS_ENDPOINT, &exact), off]).await;
        assert_eq!(world.metrics_url(), None, "{off:?}");
    }
    for (wrong, message) in [
        ((EXPORTER, "statsd"), "use otlp, prometheus, both with a comma, or none"),
        (("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "carrier pigeon"), "is unknown; use grpc or http/protobuf"),
        (("OTEL_METRIC_EXPORT_INTERVAL", "often"), "is not a number"),
    ] {
        let (world, _receiver) = deliver(&[], &[(METRICS_ENDPOINT, "http://127.0.0.1:1"), wrong]).await;
        let line = world.process.wait_line(message, SOON).await;
        assert!(line.contains("WARN") && line.contains("cannot export metrics"), "{line}");
        assert_eq!(world.metric("leadline_attempts_total", &["succeeded"]).await, 1.0, "/metrics goes on");
    }
    // An absent collector causes one warning.
    let env = [(METRICS_ENDPOINT, "http://127.0.0.1:1"), ("OTEL_METRIC_EXPORT_INTERVAL", "100")];
    let (world, _receiver) = deliver(&[], &env).await;
    world.process.wait_line("cannot export metrics; counters continue", SOON).await;
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    assert_eq!(world.process.output().matches("cannot export metrics").count(), 1);
}

#[tokio::test]
async fn prometheus_scrapes_the_system_and_exemplars_lead_to_traces() {
    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    let env = [("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint.as_str())];
    let (world, _receiver) = deliver(&["--metrics-listen", "127.0.0.1:0"], &env).await;
    assert_eq!(web().get(format!("{}/metrics", world.http)).send().await.unwrap().status().as_u16(), 404);
    let prometheus = Prometheus::start(&[world.target()], "groups: []").await;
    let value = async |query: &str| first(&query_of(&prometheus, query).await);
    wait::until("a sample", SOON, async || value("leadline_events_accepted_total{leadline_protocol=\"http\"}").await)
        .await;
    assert_eq!(value("up").await, Some(1.0));
    let quantile = "histogram_quantile(0.99, sum by (le) (leadline_delivery_time_to_first_attempt_seconds_bucket))";
    assert!(value(quantile).await.is_some_and(|seconds| seconds > 0.0));
    assert_eq!(value("count(target_info{service_name=\"leadline\"})").await, Some(1.0));
    let exemplars = wait::until("an exemplar", SOON, async || {
        let query = [("query", "http_client_request_duration_seconds_bucket"), ("start", "0"), ("end", "9999999999")];
        let answer = asked(&prometheus, "query_exemplars", &query).await;
        answer["data"][0]["exemplars"][0]["labels"]["trace_id"].as_str().map(str::to_owned)
    })
    .await;
    let spans = wait::until("the trace of the exemplar", SOON, async || {
        let spans: Vec<_> = collector.spans().into_iter().filter(|span| span.trace == exemplars).collect();
        (!spans.is_empty()).then_some(spans)
    })
    .await;
    assert!(!spans.is_empty());
}

#[tokio::test]
async fn events_attempts_and_mails_are_counted_by_outcome() {
    let smtp = testkit::SmtpSink::start().await;
    let (world, receiver) = (World::start_with(&["--smtp-url", &smtp.url()], &[]).await, Receiver::start().await);
    smtp.refuse_at(Step::Data, "451 4.3.0 later");
    let destination = world.destination(&receiver.url()).await;
    receiver.answer_next([Answer::Status(500)]);
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    world.enable(&destination, false).await;
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    world.publish("e2").await;
    let (status, _) = world.post("{}", &[]).await;
    assert_eq!(status, 400);

    for (name, labels, expected) in [
        ("leadline_events_accepted_total", &["http"][..], 2.0),
        ("leadline_events_duplicates_total", &[], 1.0),
        ("leadline_events_refused_total", &["leadline_reason=\"invalid\""], 1.0),
        ("leadline_attempts_total", &["leadline_kind=\"5xx\"", "failed"], 1.0),
        ("leadline_attempts_total", &["leadline_kind=\"2xx\"", "succeeded"], 1.0),
        ("leadline_deliveries_ended_total", &["leadline_reason=\"exhausted\""], 1.0),
        ("leadline_deliveries_ended_total", &["succeeded"], 1.0),
        ("leadline_delivery_time_to_first_attempt_seconds_count", &[], 2.0),
        ("leadline_delivery_time_to_success_seconds_count", &[], 1.0),
        (
            "http_client_request_duration_seconds_count",
            &["http_response_status_code=\"500\"", "error_type=\"500\""],
            1.0,
        ),
        ("http_server_request_duration_seconds_count", &["http_route=\"/v1/leads\"", "status_code=\"202\""], 3.0),
        ("leadline_quarantined", &[], 0.0),
        ("leadline_healed_total", &[], 0.0),
    ] {
        wait::until_eq(&format!("{name} {labels:?}"), SOON, expected, async || world.metric(name, labels).await).await;
    }
    let created = ["leadline.v1.RegistryService/CreateAccount", "rpc_status_code=\"OK\""];
    assert_eq!(world.metric("rpc_server_call_duration_seconds_count", &created).await, 1.0);
    let positive = [
        "leadline_mails_postponed_total",
        "leadline_mails_waiting",
        "leadline_requests_limit",
        "messaging_client_operation_duration_seconds_count",
        "messaging_client_consumed_messages_total",
        "db_client_operation_duration_seconds_count",
        "db_client_connection_count",
        "process_cpu_time_seconds_total",
        "process_unix_file_descriptor_count",
        "tokio_runtime_workers",
        "leadline_broker_connected",
        "leadline_broker_storage_used_bytes",
    ];
    for name in positive {
        wait::until(name, SOON, async || (world.metric(name, &[]).await > 0.0).then_some(())).await;
    }
    assert!(world.metric("leadline_part_ready", &["leadline_part=\"broker\""]).await > 0.0);
    smtp.accept();
    wait::until("a mail that is sent", SOON, async || {
        (world.metric("leadline_mails_sent_total", &[]).await > 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn labels_stay_bounded_beyond_the_cap() {
    let (world, receiver) = deliver(&["--metrics-destinations", "2"], &[]).await;
    for _ in 0..4 {
        world.destination_with(api::Destination { url: receiver.url(), ..some_destination() }).await;
    }
    world.publish("e2").await;
    wait::until("every attempt", SOON, async || {
        (world.metric("leadline_attempts_total", &["succeeded"]).await >= 6.0).then_some(())
    })
    .await;
    let text = world.metrics().await;
    let named: BTreeSet<_> = text.lines().filter_map(|line| label(line, "leadline_destination")).collect();
    assert_eq!(named.len(), 3, "{named:?}");
    assert!(named.contains("other"));
    let others = world.metric("leadline_attempts_total", &["leadline_destination=\"other\""]).await;
    assert_eq!(others, 3.0);
    // Texts of callers never become labels.
    for path in ["/a", "/b", "/c/d"] {
        web().get(format!("{}{path}", world.http)).send().await.unwrap();
    }
    let method = reqwest::Method::from_bytes(b"BREW").unwrap();
    web().request(method, format!("{}/v1/leads", world.http)).send().await.unwrap();
    let text = world.metrics().await;
    assert!(!text.contains("/c/d") && !text.contains("BREW"), "{text}");
    assert!(text.contains("http_request_method=\"_OTHER\""));

    let (world, _receiver) = deliver(&[], &[]).await;
    let text = world.metrics().await;
    assert!(!text.contains("leadline_destination=") && !text.contains("leadline_account="), "{text}");
    assert!(text.contains("server_address=\"other\""));
}

/// The value of a label of a sample.
pub(crate) fn label<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!("{name}=\""))?.1.split('"').next()
}

pub(crate) async fn query_of(prometheus: &Prometheus, query: &str) -> Value {
    asked(prometheus, "query", &[("query", query)]).await
}

pub(crate) async fn asked(prometheus: &Prometheus, what: &str, query: &[(&str, &str)]) -> Value {
    let url = url::Url::parse_with_params(&format!("{}/{what}", prometheus.api()), query).unwrap();
    web().get(url).send().await.unwrap().json().await.unwrap()
}

/// The first value of an answer; `None` if there is no sample.
pub(crate) fn first(answer: &Value) -> Option<f64> {
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

#[test]
fn alert_rules_pass_promtool() {
    let folder = root().join("deploy/prometheus");
    let (rules, tests) = (folder.join("alerts.yml"), folder.join("alerts_test.yml"));
    let config = folder.join("prometheus.yml");
    promtool(&["check", "config", config.to_str().unwrap()], &config).unwrap();
    promtool(&["check", "rules", rules.to_str().unwrap()], &rules).unwrap();
    promtool(&["test", "rules", tests.to_str().unwrap()], &tests).unwrap();
}
