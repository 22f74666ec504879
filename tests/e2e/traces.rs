//! Traces span the whole path of a lead.

use std::{collections::HashMap, time::Duration};

use api::DeliveryStatus;
use testkit::{Answer, OtlpSink, Receiver, wait};

use crate::world::{SOON, World, event_json, retries, some_destination};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

fn continuing(receiver: &Receiver) -> api::Destination {
    api::Destination { url: receiver.url(), trace_context: "continue".into(), ..some_destination() }
}

#[tokio::test]
async fn one_trace_connects_publish_attempts_and_mail() {
    let collector = OtlpSink::start().await;
    let endpoint = collector.endpoint();
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "200")];
    let (world, receiver) = (World::start_with(&[], &env).await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    let policy = Some(retries(&[Duration::from_millis(300)]));
    world.destination_with(api::Destination { retry_policy: policy, ..continuing(&receiver) }).await;
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let headers =
        [("traceparent", traceparent.as_str()), ("tracestate", "vendor=7"), ("x-request-id", "order-7/try-1")];
    assert_eq!(world.post(event_json("e1").to_string(), &headers).await.0, 202);
    world.delivery_is("e1", DeliveryStatus::Failed).await;

    let wanted = ["POST /v1/leads", "publish LEADS", "process LEADS", "POST", "process NOTICES"];
    let spans = wait::until("every span of the trace", SOON, async || {
        let spans: Vec<_> = collector.spans().into_iter().filter(|span| span.trace == TRACE).collect();
        let attempts = spans.iter().filter(|span| span.name == "POST").count();
        let complete = wanted.iter().all(|name| spans.iter().any(|span| span.name == *name)) && attempts == 2;
        if complete { Ok(spans) } else { Err(spans.into_iter().map(|span| span.name).collect::<Vec<_>>()) }
    })
    .await;
    let by_id: HashMap<_, _> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let (call, published) = (named("POST /v1/leads")[0], named("publish LEADS")[0]);
    assert_eq!(call.parent, CALLER);
    assert_eq!(call.attributes["leadline.request.id"], "order-7/try-1");
    assert_eq!((&published.parent, &named("process LEADS")[0].parent), (&call.id, &published.id));
    // Every span descends from the caller's span.
    for span in &spans {
        let mut at = span;
        while at.parent != CALLER {
            at = by_id.get(at.parent.as_str()).unwrap_or_else(|| panic!("{span:?} has no parent at {at:?}"));
        }
    }
    let attempts = named("POST");
    assert!(attempts.iter().all(|span| span.attributes["http.response.status_code"] == "500"), "{attempts:?}");
    let sent: Vec<_> = receiver.requests().iter().map(|seen| seen.header("traceparent").to_owned()).collect();
    for attempt in &attempts {
        assert!(sent.contains(&format!("00-{TRACE}-{}-01", attempt.id)), "{sent:?}");
    }
    assert!(receiver.requests().iter().all(|seen| seen.header("tracestate") == "vendor=7"));
}

#[tokio::test]
async fn without_a_collector_the_caller_context_reaches_the_receiver() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination_with(continuing(&receiver)).await;
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    assert_eq!(world.post(event_json("e1").to_string(), &[("traceparent", &traceparent)]).await.0, 202);
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.requests()[0].header("traceparent"), traceparent);
}
