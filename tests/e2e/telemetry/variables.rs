//! Each variable of the table in docs/telemetry.md does what it says.

use api::DeliveryStatus;
use jiff::{SignedDuration, Timestamp};
use testkit::{OtlpSink, tls::Authority, wait};
use tokio::net::TcpListener;

use super::{
    CERTIFICATE, ENDPOINT, LOGS_SOON, METRICS_SOON, PROTOCOL, SOON_EXPORTED, TRACES_ENDPOINT, deliver, exported,
    spans::{CALLER, TRACE, attempts_of},
};
use crate::world::{SOON, World, event_json};

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";

/// A listener that never answers, and its endpoint.
async fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    (listener, endpoint)
}

#[tokio::test]
async fn a_collector_that_does_not_answer_is_given_up_in_time() {
    // The default is 10 seconds.
    const BEFORE_DEFAULT: SignedDuration = SignedDuration::from_secs(8);
    for protocol in ["grpc", "http/protobuf"] {
        for timeout in ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"] {
            let (listener, endpoint) = silent().await;
            let env = [(TRACES_ENDPOINT, endpoint.as_str()), (PROTOCOL, protocol), (timeout, "300"), SOON_EXPORTED];
            let accepting = async { (listener.accept().await.unwrap(), Timestamp::now()) };
            let starting = Box::pin(World::start_with(&[], &env));
            let (world, (_connection, connected)) = tokio::join!(starting, accepting);
            let line = world.process.wait_line("cannot export traces; spans are lost", SOON).await;
            let logged_at: Timestamp = line.split(' ').next().unwrap().parse().unwrap();
            assert!(logged_at.duration_since(connected) < BEFORE_DEFAULT, "{protocol}, {timeout}: {connected}, {line}");
        }
    }
}

#[tokio::test]
async fn an_endpoint_without_a_scheme_is_called_without_tls_if_that_is_said() {
    for insecure in ["OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE"] {
        let collector = OtlpSink::start().await;
        let endpoint = collector.endpoint();
        let bare = endpoint.strip_prefix("http://").unwrap();
        exported(&collector, &[(ENDPOINT, bare), (insecure, "true")]).await;
    }
}

#[tokio::test]
async fn a_signal_has_a_certificate_of_its_own() {
    let (authority, other) = (Authority::default(), Authority::default());
    let (file, wrong) = (authority.file(), other.file());
    let collector = OtlpSink::start_tls(&authority.certificate_for("localhost"), None).await;
    let endpoint = collector.endpoint();
    let env = [
        (ENDPOINT, endpoint.as_str()),
        (CERTIFICATE, wrong.to_str().unwrap()),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", file.to_str().unwrap()),
        METRICS_SOON,
    ];
    exported(&collector, &env).await;
    assert_eq!((collector.points(), collector.logs()), (vec![], vec![]), "they trust another authority");
}

#[tokio::test]
async fn metrics_count_from_the_start_or_since_the_last_export() {
    const PREFERENCE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    for (preference, is_delta) in [("", false), ("cumulative", false), ("delta", true), ("lowmemory", true)] {
        let collector = OtlpSink::start().await;
        let endpoint = collector.endpoint();
        let _running = deliver(&[(ENDPOINT, &endpoint), METRICS_SOON, (PREFERENCE, preference)]).await;
        let counted = wait::until("a counter", SOON, async || {
            let points = collector.points();
            points.into_iter().find(|point| point.name == "leadline.events.accepted" && point.value > 0.0)
        })
        .await;
        assert_eq!(counted.is_delta, is_delta, "{preference:?}");
    }
}

#[tokio::test]
async fn spans_are_exported_in_batches_of_a_size() {
    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    exported(&collector, &[(ENDPOINT, &endpoint), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2")]).await;
    let batches = collector.batches();
    assert!(batches.iter().all(|spans| *spans <= 2) && batches.contains(&2), "{batches:?}");
}

#[tokio::test]
async fn spans_that_wait_for_an_export_are_bounded() {
    const EVENTS: usize = 12;
    const WAITING: &str = "2";
    let (listener, endpoint) = silent().await;
    let env = [(TRACES_ENDPOINT, endpoint.as_str()), SOON_EXPORTED, ("OTEL_BSP_MAX_QUEUE_SIZE", WAITING)];
    let (world, receiver) = (World::start_with(&[], &env).await, testkit::Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish_many(EVENTS).await;
    for n in 0..EVENTS {
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Succeeded).await;
    }
    // The collector now gets the spans of the request that was in flight, and the spans that waited.
    let collector = OtlpSink::start_on(listener);
    wait::until("spans", SOON, async || if collector.spans().is_empty() { Err(()) } else { Ok(()) }).await;
    let attempts = collector.spans().iter().filter(|span| attempts_of(span)).count();
    assert!(attempts < EVENTS, "{attempts}");
}

#[tokio::test]
async fn samplers_decide_by_the_caller_or_by_themselves() {
    // Whether a trace is exported if its caller does not sample it, if its caller samples it, and if it has no caller.
    for (sampler, ratio, expected) in [
        ("always_on", "", [true, true, true]),
        ("parentbased_always_on", "", [false, true, true]),
        ("parentbased_always_off", "", [false, true, false]),
        ("traceidratio", "1.0", [true, true, true]),
        ("parentbased_traceidratio", "1.0", [false, true, true]),
        ("parentbased_traceidratio", "0", [false, true, false]),
    ] {
        let collector = OtlpSink::start().await;
        let endpoint = collector.endpoint();
        let env = [(TRACES_ENDPOINT, endpoint.as_str()), SOON_EXPORTED, (SAMPLER, sampler), (SAMPLER_ARG, ratio)];
        let (world, receiver) = (World::start_with(&[], &env).await, testkit::Receiver::start().await);
        world.destination(&receiver.url()).await;
        let caller = |flags| format!("00-{TRACE}-{CALLER}-{flags}");
        let calls = [("unsampled", Some(caller("00"))), ("sampled", Some(caller("01"))), ("alone", None)];
        for (event, traceparent) in &calls {
            let headers: Vec<_> = traceparent.iter().map(|value| ("traceparent", value.as_str())).collect();
            assert_eq!(world.post(event_json(event).to_string(), &headers).await.0, 202);
            world.delivery_is(event, DeliveryStatus::Succeeded).await;
        }
        // The process exports the remaining spans at its end.
        world.process.terminate();
        world.process.wait_exit(SOON).await;
        let attempts: Vec<_> = collector.spans().into_iter().filter(attempts_of).collect();
        let seen = calls.map(|(event, _)| attempts.iter().any(|span| span.attributes["leadline.event.id"] == event));
        assert_eq!(seen, expected, "{sampler} {ratio}");
    }
}

#[tokio::test]
async fn a_disabled_sdk_exports_nothing() {
    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    let env = [(ENDPOINT, endpoint.as_str()), METRICS_SOON, LOGS_SOON, ("OTEL_SDK_DISABLED", "true")];
    let (world, _receiver) = deliver(&env).await;
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    assert_eq!((collector.spans(), collector.points(), collector.logs()), (vec![], vec![], vec![]));
}

#[tokio::test]
async fn an_unreadable_variable_causes_one_warning_and_its_default_counts() {
    for (wrong, text) in [
        ((SAMPLER, "sometimes"), "OTEL_TRACES_SAMPLER: the value is not one of always_on"),
        (("OTEL_BSP_MAX_QUEUE_SIZE", "many"), "OTEL_BSP_MAX_QUEUE_SIZE: the value is not a number"),
        (("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"), "OTEL_EXPORTER_OTLP_TIMEOUT: the value is not a number"),
        (("OTEL_EXPORTER_OTLP_HEADERS", "Bearer secret"), "OTEL_EXPORTER_OTLP_HEADERS: the value is not name=value"),
    ] {
        let collector = OtlpSink::start().await;
        let endpoint = collector.endpoint();
        let (world, _receiver) = deliver(&[(ENDPOINT, &endpoint), wrong]).await;
        let line = world.process.wait_line(text, SOON).await;
        assert!(line.contains("WARN"), "{line}");
        wait::until("spans", SOON, async || if collector.spans().is_empty() { Err(()) } else { Ok(()) }).await;
        let output = world.process.output();
        assert_eq!(output.matches(" WARN ").count(), 1, "{output}");
        assert!(!output.contains("secret"), "{output}");
    }
}

#[tokio::test]
async fn a_collector_that_is_away_causes_one_warning_for_each_signal() {
    let env = [(ENDPOINT, "http://127.0.0.1:1"), METRICS_SOON, LOGS_SOON];
    let (world, _receiver) = deliver(&env).await;
    let signals = ["cannot export traces", "cannot export metrics", "cannot export logs"];
    for signal in signals {
        world.process.wait_line(signal, SOON).await;
    }
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    let output = world.process.output();
    assert_eq!(signals.map(|signal| output.matches(signal).count()), [1, 1, 1], "{output}");
}
