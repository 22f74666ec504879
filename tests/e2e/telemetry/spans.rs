//! The spans of a lead: their names, kinds, attributes and links follow the semantic conventions (1.45.0).

use std::{collections::BTreeMap, env, fmt::Write as _, fs, path::Path, time::Duration};

use api::DeliveryStatus;
use testkit::{
    Answer, OtlpSink, Receiver,
    otlp::{ExportedLink, ExportedSpan},
    wait,
};
use tonic::Code;

use super::{ENDPOINT, SOON_EXPORTED};
use crate::world::{SOON, World, event_json, retries, some_destination};

/// The caller's trace and span.
pub(super) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
pub(super) const CALLER: &str = "b7ad6b7169203331";
/// Attributes whose values are different in each run.
const VOLATILE: [&str; 10] = [
    "db.query.text",
    "leadline.attempt.id",
    "leadline.delivery.id",
    "leadline.destination.id",
    "leadline.notice.id",
    "leadline.request.id",
    "network.peer.port",
    "server.port",
    "url.full",
    "user_agent.original",
];

/// A system that exports to a collector.
pub(super) async fn exporting(args: &[&str], env: &[(&str, &str)]) -> (OtlpSink, World, Receiver) {
    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    let env = [&[(ENDPOINT, endpoint.as_str()), SOON_EXPORTED], env].concat();
    (collector, World::start_with(args, &env).await, Receiver::start().await)
}

/// The exported spans that match, the earliest first, once there are enough of them.
pub(super) async fn spans(
    collector: &OtlpSink,
    count: usize,
    is_meant: impl Fn(&ExportedSpan) -> bool,
) -> Vec<ExportedSpan> {
    let mut found = wait::until("spans", SOON, async || {
        let found: Vec<_> = collector.spans().into_iter().filter(&is_meant).collect();
        if found.len() >= count { Ok(found) } else { Err(collector.spans()) }
    })
    .await;
    assert_eq!(found.len(), count, "{found:#?}");
    found.sort_by_key(|span| span.began);
    found
}

pub(super) fn attempts_of(span: &ExportedSpan) -> bool {
    span.kind == "client" && span.attributes.contains_key("leadline.attempt.id")
}

pub(super) fn roles(links: &[ExportedLink]) -> Vec<&str> {
    links.iter().map(|link| link.attributes["leadline.link"].as_str()).collect()
}

/// The tree below a span, without what is different in each run.
fn write_tree(text: &mut String, spans: &[ExportedSpan], parent: &str, depth: usize) {
    for span in spans.iter().filter(|span| span.parent == parent) {
        let indent = "  ".repeat(depth);
        let status = match (span.is_error, span.description.as_str()) {
            (false, _) => String::new(),
            (true, "") => " ERROR".to_owned(),
            (true, why) => format!(" ERROR ({why})"),
        };
        writeln!(text, "{indent}{} [{}]{status}", span.name, span.kind).unwrap();
        for (name, value) in &span.attributes {
            let value = if VOLATILE.contains(&name.as_str()) { "…" } else { value };
            writeln!(text, "{indent}    {name} = {value}").unwrap();
        }
        for role in roles(&span.links) {
            writeln!(text, "{indent}    link: {role}").unwrap();
        }
        write_tree(text, spans, &span.id, depth + 1);
    }
}

/// Compares a text with a file, or writes the file if `LEADLINE_UPDATE_SNAPSHOTS` is set.
fn assert_is(text: &str, file: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/telemetry/snapshots").join(file);
    if env::var_os("LEADLINE_UPDATE_SNAPSHOTS").is_some() {
        fs::write(&file, text).unwrap();
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, kept, "{}: compare, and run again with LEADLINE_UPDATE_SNAPSHOTS=1", file.display());
}

#[tokio::test]
async fn the_spans_of_a_failing_lead_are_those_of_the_conventions() {
    let (collector, world, receiver) = exporting(&[], &[]).await;
    receiver.answer(Answer::Status(500));
    let policy = Some(retries(&[Duration::from_millis(300)]));
    world.destination_with(api::Destination { url: receiver.url(), retry_policy: policy, ..some_destination() }).await;
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [("traceparent", traceparent.as_str()), ("x-request-id", "order-7/try-1")];
    assert_eq!(world.post(event_json("e1").to_string(), &headers).await.0, 202);
    world.delivery_is("e1", DeliveryStatus::Failed).await;

    let found = spans(&collector, 8, |span| span.trace == TRACE).await;
    let mut tree = String::new();
    write_tree(&mut tree, &found, CALLER, 0);
    assert_is(&tree, "lead.txt");
    for attempt in found.iter().filter(|span| attempts_of(span)) {
        assert_eq!(attempt.attributes["url.full"], receiver.url());
        assert!(receiver.url().contains(&attempt.attributes["server.port"]), "{attempt:?}");
    }
    // A span that writes to the read model links to the facts that it writes.
    let published = found.iter().find(|span| span.name == "publish LEADS").unwrap();
    let links_to_it = |span: &ExportedSpan| span.links.iter().any(|link| link.id == published.id);
    let projected = spans(&collector, 1, |span| span.name == "process LEADS" && links_to_it(span)).await;
    assert_ne!(projected[0].trace, TRACE);
    let found = spans(&collector, 2, |span| span.trace == projected[0].trace).await;
    let mut tree = String::new();
    write_tree(&mut tree, &found, "", 0);
    assert_is(&tree, "projector.txt");
}

#[tokio::test]
async fn a_call_that_reads_has_the_spans_of_its_statements() {
    let (collector, world, receiver) = exporting(&[], &[]).await;
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    let delivery_id = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap().delivery_id;
    let called = async |flags: &str| {
        let mut request = tonic::Request::new(api::GetDeliveryRequest { delivery_id: delivery_id.clone() });
        request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{CALLER}-{flags}").parse().unwrap());
        world.deliveries().get_delivery(request).await.unwrap();
    };
    // A call that is not sampled has none.
    called("00").await;
    called("01").await;
    let is_read = |span: &ExportedSpan| span.trace == TRACE && span.attributes.contains_key("db.system.name");
    let reads = spans(&collector, 2, is_read).await;
    let texts: Vec<_> = reads.iter().map(|span| span.attributes["db.query.text"].as_str()).collect();
    assert!(texts.iter().all(|text| text.starts_with("SELECT ") && text.contains("$1")), "{texts:?}");
    assert!(!texts.iter().any(|text| text.contains(&delivery_id)), "values are bound: {texts:?}");
    let mut tree = String::new();
    write_tree(&mut tree, &spans(&collector, 3, |span| span.trace == TRACE).await, CALLER, 0);
    assert_is(&tree, "call.txt");
}

#[tokio::test]
async fn statements_at_a_server_name_it_and_the_database() {
    let database = testkit::postgres::database().await;
    let (collector, world, receiver) = exporting(&["--database-url", &database], &[]).await;
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let read = wait::until("a span of a statement", SOON, async || {
        let is_read =
            |span: &ExportedSpan| span.attributes.get("db.operation.name").is_some_and(|name| name == "SELECT");
        collector.spans().into_iter().find(is_read).ok_or_else(|| collector.spans())
    })
    .await;
    assert_eq!(read.attributes["db.system.name"], "postgresql");
    for part in [&read.attributes["db.namespace"], &read.attributes["server.address"], &read.attributes["server.port"]]
    {
        assert!(database.contains(part.as_str()), "{database}: {read:?}");
    }
}

#[tokio::test]
async fn every_call_has_a_server_span_even_if_it_is_refused() {
    let (collector, world, _receiver) = exporting(&["--public-url", "http://localhost:8080"], &[]).await;
    let web = crate::world::web();
    let get = async |path: &str| web.get(format!("{}{path}", world.http)).send().await.unwrap().status().as_u16();
    assert_eq!(get("/no/such/page?email=secret-of-a-query").await, 404);
    get("/unsubscribe/secret-of-a-link").await;
    let keyless = web.post(format!("{}/v1/leads", world.http)).body("{}").send().await.unwrap();
    assert_eq!(keyless.status(), 401);
    let mut stranger = api::delivery_service_client::DeliveryServiceClient::new(
        tonic::transport::Channel::from_shared(world.grpc.clone()).unwrap().connect().await.unwrap(),
    );
    let refused = stranger.list_deliveries(api::ListDeliveriesRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);

    let named = async |name: &str, attribute: &str, value: &str| {
        let is = |span: &ExportedSpan| {
            span.name == name && span.attributes.get(attribute).is_some_and(|given| given == value)
        };
        let span = spans(&collector, 1, is).await.remove(0);
        assert_eq!(span.kind, "server");
        assert!(!span.is_error, "the caller is at fault, not the server: {span:?}");
        span.attributes
    };
    let unknown = named("GET", "url.path", "/no").await;
    assert_eq!((unknown["url.query"].as_str(), unknown["server.address"].as_str()), ("REDACTED", "127.0.0.1"));
    let link = named("GET /unsubscribe/{link}", "http.route", "/unsubscribe/{link}").await;
    assert_eq!(link["url.path"], "/unsubscribe/{link}");
    let keyless = named("POST /v1/leads", "http.response.status_code", "401").await;
    assert_eq!((keyless["url.scheme"].as_str(), keyless["network.protocol.version"].as_str()), ("http", "1.1"));
    let method = "leadline.v1.DeliveryService/ListDeliveries";
    let refused = named(method, "rpc.status_code", "UNAUTHENTICATED").await;
    assert_eq!((refused["rpc.system.name"].as_str(), refused["rpc.method"].as_str()), ("grpc", method));
    let all = collector.spans();
    let noise = ["thread.", "code.", "busy_ns", "idle_ns", "target", "level"];
    let names = all.iter().flat_map(|span| span.attributes.keys());
    let noisy: Vec<_> = names.filter(|name| noise.iter().any(|noise| name.starts_with(noise))).collect();
    assert!(noisy.is_empty(), "{noisy:?}");
    assert!(!format!("{all:?}").contains("secret-of-a"));
}

#[tokio::test]
async fn requested_attempts_are_traces_of_their_own_with_links() {
    let (collector, world, receiver) = exporting(&[], &[]).await;
    receiver.answer_next([Answer::Status(500), Answer::Status(500)]);
    let policy = Some(retries(&[]));
    let destination = api::Destination {
        url: receiver.url(),
        retry_policy: policy,
        trace_context: "continue".into(),
        ..some_destination()
    };
    world.destination_with(destination).await;
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    assert_eq!(world.post(event_json("e1").to_string(), &[("traceparent", &traceparent)]).await.0, 202);
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    world.retry("e1").await.unwrap();
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    let detail = wait::until("the second attempt", SOON, async || {
        let detail = world.delivery("e1").await;
        if detail.attempts.len() == 2 { Ok(detail) } else { Err(detail) }
    })
    .await;
    let id = detail.delivery.unwrap().delivery_id;
    let job = api::RetryDeliveriesRequest { delivery_ids: vec![id], ..crate::jobs::retries() };
    world.retry_many(job).await.unwrap();
    let detail = world.delivery_is("e1", DeliveryStatus::Succeeded).await;

    let attempts = spans(&collector, 3, attempts_of).await;
    let shown: Vec<_> = detail.attempts.iter().map(|attempt| attempt.trace_id.as_str()).collect();
    assert_eq!(shown, attempts.iter().map(|span| span.trace.as_str()).collect::<Vec<_>>());
    let [first, retried, of_job] = &attempts[..] else { unreachable!() };
    assert_eq!((first.trace.as_str(), first.links.len()), (TRACE, 0));
    // The span of the job may end, and be exported, after that of its attempt.
    let all = wait::until("the spans that the attempts are linked to", SOON, async || {
        let all = collector.spans();
        let is_there =
            |attempt: &&ExportedSpan| attempt.links.iter().all(|link| all.iter().any(|span| span.id == link.id));
        if [retried, of_job].iter().all(is_there) { Ok(all) } else { Err(all) }
    })
    .await;
    let published = all.iter().find(|span| span.name == "publish LEADS").unwrap();
    for (attempt, before, asked_in) in [(retried, first, "publish DELIVERIES"), (of_job, retried, "process JOBS")] {
        assert!(attempt.parent.is_empty() && attempt.trace != TRACE, "{attempt:?}");
        assert_eq!(roles(&attempt.links), ["published", "previous_attempt", "requested"]);
        assert_eq!((&attempt.links[0].id, &attempt.links[1].id), (&published.id, &before.id));
        let asked = all.iter().find(|span| span.id == attempt.links[2].id).unwrap();
        assert_eq!(asked.name, asked_in);
    }
    assert_eq!(of_job.attributes["http.request.resend_count"], "2");
}

#[tokio::test]
async fn failures_are_kept_when_their_traces_are_not_sampled() {
    let nothing = [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")];
    for keeps in [true, false] {
        let args: &[_] = if keeps { &[] } else { &["--trace-failures=false"] };
        let (collector, world, receiver) = exporting(args, &nothing).await;
        receiver.answer_next([Answer::Status(200), Answer::Status(503)]);
        let policy = Some(retries(&[]));
        let destination = api::Destination { url: receiver.url(), retry_policy: policy, ..some_destination() };
        world.destination_with(destination).await;
        world.publish("good").await;
        world.delivery_is("good", DeliveryStatus::Succeeded).await;
        world.publish("bad").await;
        let detail = world.delivery_is("bad", DeliveryStatus::Failed).await;
        world.process.terminate();
        world.process.wait_exit(SOON).await;
        let attempts: Vec<_> = collector.spans().into_iter().filter(attempts_of).collect();
        if !keeps {
            assert_eq!(collector.spans(), []);
            continue;
        }
        let [kept] = &attempts[..] else { panic!("{attempts:#?}") };
        assert_eq!((kept.name.as_str(), kept.attributes["error.type"].as_str()), ("POST", "503"));
        assert_eq!((kept.attributes["leadline.event.id"].as_str(), kept.is_error), ("bad", true));
        assert_eq!((kept.parent.as_str(), roles(&kept.links)), ("", vec!["unsampled"]));
        assert_eq!(detail.attempts[0].trace_id, kept.trace);
    }
}

#[tokio::test]
async fn an_attempt_without_an_answer_says_why_and_has_no_status() {
    let (collector, world, _receiver) = exporting(&[], &[]).await;
    let policy = Some(retries(&[]));
    let url = "http://127.0.0.1:1/hook?token=secret".to_owned();
    world.destination_with(api::Destination { url, retry_policy: policy, ..some_destination() }).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    let attempt = spans(&collector, 1, attempts_of).await.remove(0);
    assert_eq!(attempt.attributes["error.type"], "connect");
    assert_eq!(attempt.attributes["url.full"], "http://127.0.0.1:1/hook?token=REDACTED");
    assert_eq!(
        (attempt.attributes["server.address"].as_str(), attempt.attributes["server.port"].as_str()),
        ("127.0.0.1", "1")
    );
    let of_answers: BTreeMap<_, _> =
        attempt.attributes.range("http.response".to_owned().."http.s".to_owned()).collect();
    assert!(of_answers.is_empty(), "{of_answers:?}");
    assert!(attempt.is_error && attempt.description.contains("refused"), "{attempt:?}");
    // The mail names the trace.
    let mails =
        wait::until("a mail", SOON, async || Some(world.home.outbox()).filter(|mails| !mails.is_empty()).ok_or(()))
            .await;
    assert!(mails.iter().any(|mail| mail.contains(&attempt.trace)), "{mails:?}");
}
