//! Links: a span that begins its own trace links to each of its causes.

use std::collections::BTreeSet;

use api::DeliveryStatus;
use testkit::{Answer, FakeClock, NatsServer, OtlpSink, Receiver, otlp::ExportedSpan, wait};
use tonic::Code;

use super::spans::{CALLER, TRACE, attempts_of, exporting, roles, spans};
use crate::{
    jobs,
    world::{SOON, World, event_json, retries, some_destination},
};

/// The limit of what a broker stores, in bytes.
const STORE: u64 = 64 * 1024 * 1024;
/// The failures that share a window.
const FAILURES: usize = 3;

/// A destination whose deliveries fail at their first failed attempt.
async fn impatient(world: &World, receiver: &Receiver) -> String {
    let retry_policy = Some(retries(&[]));
    world.destination_with(api::Destination { url: receiver.url(), retry_policy, ..some_destination() }).await
}

/// Publishes an event within the caller's trace.
async fn publish_traced(world: &World, event: &str) {
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    assert_eq!(world.post(event_json(event).to_string(), &[("traceparent", &traceparent)]).await.0, 202);
}

/// The span that a link of this role leads to.
fn linked(collector: &OtlpSink, span: &ExportedSpan, role: &str) -> ExportedSpan {
    let link = span.links.iter().find(|link| link.attributes["leadline.link"] == role).unwrap();
    collector.spans().into_iter().find(|span| span.id == link.id).unwrap()
}

#[tokio::test]
async fn notices_that_collect_failures_link_to_them() {
    let alert_after = FAILURES.to_string();
    let (collector, world, receiver) = exporting(&["--notice-window", "5s", "--alert-after", &alert_after], &[]).await;
    receiver.answer(Answer::Status(500));
    impatient(&world, &receiver).await;
    world.publish_many(FAILURES).await;
    let attempts = spans(&collector, FAILURES, attempts_of).await;
    // The first failure, the streak, and what the window collected. The projector processes NOTICES, too.
    let notices = spans(&collector, 3, |span| span.attributes.contains_key("leadline.notice.id")).await;
    let of_roles = |wanted: &[&str]| {
        let found = notices.iter().find(|span| roles(&span.links) == wanted);
        found.unwrap_or_else(|| panic!("{wanted:?}: {notices:#?}"))
    };
    let ids = |span: &ExportedSpan| span.links.iter().map(|link| link.id.clone()).collect::<BTreeSet<_>>();
    let (first, streak, further) = (of_roles(&[]), of_roles(&["called_for"]), of_roles(&["failure", "failure"]));
    // Each notice is in another trace (that of the first failure, or a new one), although one leader calls for all of
    // them.
    assert_eq!(notices.iter().map(|notice| &notice.trace).collect::<BTreeSet<_>>().len(), notices.len());
    assert_eq!([&streak.parent, &further.parent], [""; 2]);
    let failed: BTreeSet<_> = attempts.iter().map(|attempt| attempt.id.clone()).collect();
    let reported: BTreeSet<_> = [first.parent.clone()].into_iter().chain(ids(further)).collect();
    assert_eq!(
        reported, failed,
        "the first failure is the parent of its notice, and the others are links: {notices:#?}"
    );
    assert!(ids(streak).is_subset(&ids(further)), "the last failure completes the streak: {notices:#?}");
}

#[tokio::test]
async fn a_held_retry_links_to_the_call_that_released_it() {
    let (collector, world, receiver) = exporting(&[], &[]).await;
    receiver.answer_next([Answer::Status(500)]);
    let destination = impatient(&world, &receiver).await;
    publish_traced(&world, "e1").await;
    world.delivery_is("e1", DeliveryStatus::Failed).await;
    world.disable(&destination).await;
    world.retry("e1").await.unwrap();
    world.delivery_is("e1", DeliveryStatus::Held).await;
    world.enable(&destination, false).await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;

    let attempts = spans(&collector, 2, attempts_of).await;
    let released = &attempts[1];
    assert_eq!(released.parent, "");
    assert_eq!(roles(&released.links), ["published", "previous_attempt", "enabled", "requested", "restarted"]);
    assert_eq!(linked(&collector, released, "previous_attempt").id, attempts[0].id);
    let enabling = linked(&collector, released, "enabled");
    assert_eq!(enabling.name, "leadline.v1.RegistryService/EnableDestination");
}

#[tokio::test]
async fn an_attempt_a_minute_after_its_request_starts_a_trace() {
    let Some(clock) = FakeClock::new("the trace of an attempt that comes late") else { return };
    let env = clock.env();
    let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (collector, world, receiver) = exporting(&[], &env).await;
    let destination = impatient(&world, &receiver).await;
    for (event, seconds, is_late) in [("soon", 30, false), ("late", 91, true)] {
        world.disable(&destination).await;
        publish_traced(&world, event).await;
        world.delivery_is(event, DeliveryStatus::Held).await;
        clock.set(seconds);
        world.enable(&destination, false).await;
        world.delivery_is(event, DeliveryStatus::Succeeded).await;
        let is_meant = |span: &ExportedSpan| attempts_of(span) && span.attributes["leadline.event.id"] == event;
        let attempt = spans(&collector, 1, is_meant).await.remove(0);
        assert_eq!(attempt.trace != TRACE, is_late, "{attempt:?}");
        if is_late {
            assert_eq!(roles(&attempt.links), ["published", "enabled", "requested", "restarted"]);
            assert_eq!(linked(&collector, &attempt, "published").name, "publish LEADS");
        }
    }
}

#[tokio::test]
async fn an_error_in_a_span_is_an_event_of_the_conventions() {
    // No mail server listens there.
    let (collector, world, receiver) = exporting(&["--smtp-url", "smtp://127.0.0.1:1"], &[]).await;
    receiver.answer(Answer::Status(500));
    impatient(&world, &receiver).await;
    publish_traced(&world, "e1").await;
    let event = wait::until("the event", SOON, async || {
        let notices = collector.spans().into_iter().filter(|span| span.name == "process NOTICES");
        notices.flat_map(|span| span.events).find(|event| event.name == "exception").ok_or_else(|| collector.spans())
    })
    .await;
    assert_eq!(event.attributes["leadline.message"], "cannot send notice; retrying");
    assert!(event.attributes["exception.message"].contains("refused"), "{event:?}");
}

#[tokio::test]
async fn a_message_that_is_not_stored_is_an_error_of_its_span() {
    let broker = NatsServer::start_with(&format!("max_file_store: {STORE}")).await;
    let (collector, world, _receiver) = exporting(&["--nats-url", &broker.url()], &[]).await;
    broker.fill().await;
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let mut number = 0;
    wait::until("an event that is refused", SOON, async || {
        number += 1;
        let event = event_json(&format!("e{number}")).to_string();
        (world.post(event, &[("traceparent", &traceparent)]).await.0 == 503).then_some(())
    })
    .await;
    let failed = wait::until("both spans", SOON, async || {
        let failed: Vec<_> =
            collector.spans().into_iter().filter(|span| span.trace == TRACE && span.is_error).collect();
        let named = |name: &str| failed.iter().find(|span| span.name == name).cloned();
        named("publish LEADS").zip(named("POST /v1/leads")).ok_or(failed)
    })
    .await;
    assert_eq!(failed.0.attributes["error.type"], "cannot_store");
    assert_eq!(failed.1.attributes["error.type"], "503");

    let filter = Some(api::DeliveryFilter::default());
    let refused = world.retry_many(api::RetryDeliveriesRequest { filter, ..jobs::retries() }).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    let failed = wait::until("the span of the job", SOON, async || {
        collector.spans().into_iter().find(|span| span.name == "publish JOBS").ok_or_else(|| collector.spans())
    })
    .await;
    assert!(failed.is_error && failed.attributes["error.type"] == "cannot_store", "{failed:?}");
}
