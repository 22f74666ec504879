//! Unreadable messages in every stream: they are quarantined with the reason, counted in the status, and block nothing.

use api::DeliveryStatus;
use async_nats::jetstream;
use serde_json::json;
use testkit::{Receiver, wait};

use crate::{
    publishing::nats,
    world::{ACCOUNT, INTERFACE, SOON, World, some_destination},
};

/// Unreadable messages: text, a truncated field, an endless group, all ones.
const RUBBISH: [&[u8]; 4] = [b"rubbish", b"\x0a\x7fcut", b"\x0b\x0b\x0b\x0b", &[0xff; 64]];

/// Subjects of every stream that is read.
fn subjects(destination: &str) -> Vec<String> {
    let delivery = "8c4f5f2e-0000-5000-8000-000000000000";
    vec![
        format!("lead.{ACCOUNT}.{INTERFACE}"),
        format!("registry.{ACCOUNT}.account.{ACCOUNT}"),
        format!("registry.{ACCOUNT}.destination.{destination}"),
        format!("delivery.todo.{ACCOUNT}.{destination}"),
        format!("delivery.log.{ACCOUNT}.{destination}"),
        format!("due.{destination}.{delivery}.0"),
        format!("parked.{destination}"),
        format!("ordered.{destination}.lead-a"),
        "position.sequencer".to_owned(),
        format!("notice.{ACCOUNT}"),
        format!("job.{ACCOUNT}.{delivery}"),
        format!("anonymised.lead.{ACCOUNT}"),
    ]
}

async fn inject(world: &World, destination: &str) -> usize {
    let context = broker(world).await;
    let mut count = 0;
    for subject in subjects(destination) {
        // A position has only one message, which its reader overwrites.
        let messages = if subject.starts_with("position.") { 1 } else { RUBBISH.len() };
        for rubbish in &RUBBISH[..messages] {
            context.publish(subject.clone(), (*rubbish).into()).await.unwrap().await.unwrap();
            count += 1;
        }
    }
    count
}

async fn broker(world: &World) -> jetstream::Context {
    jetstream::new(nats(world).await)
}

async fn status(world: &World) -> api::GetStatusResponse {
    world.status().get_status(api::GetStatusRequest::default()).await.unwrap().into_inner()
}

/// Publishes an event of the lead `lead-a`, for an ordered destination and another one.
async fn publish(world: &World, event: &str) {
    world.publish_with(event, json!({"lead_id": "lead-a"})).await;
}

async fn both_succeed(world: &World, event: &str) {
    wait::until(&format!("both deliveries of {event}"), SOON, async || {
        let filter = api::DeliveryFilter { event_id: event.into(), ..api::DeliveryFilter::default() };
        let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
        let found = world.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries;
        let good = found.len() == 2 && found.iter().all(|delivery| delivery.status() == DeliveryStatus::Succeeded);
        if good { Ok(()) } else { Err(found) }
    })
    .await;
}

#[tokio::test]
async fn unreadable_messages_are_quarantined_without_blocking() {
    let (world, ordered, beside) = (World::start().await, Receiver::start().await, Receiver::start().await);
    let in_order = api::Destination { url: ordered.url(), ordered: true, ..some_destination() };
    let destination = world.destination_with(in_order).await;
    world.destination(&beside.url()).await;
    publish(&world, "before").await;
    both_succeed(&world, "before").await;

    let mut injected = inject(&world, &destination).await;
    publish(&world, "after").await;
    both_succeed(&world, "after").await;
    // Messages in an ordered queue are found when the next turn is determined.
    wait::until_eq("all of them quarantined", SOON, injected as u64, async || status(&world).await.poisoned).await;

    // A restarted process reads the streams from their beginning, and does not quarantine the same messages again.
    world.process.kill();
    let world = world.again(&[]).await;
    injected += inject(&world, &destination).await;
    publish(&world, "again").await;
    both_succeed(&world, "again").await;
    wait::until_eq("the messages of both times", SOON, injected as u64, async || status(&world).await.poisoned).await;
    wait::until("no waiting work", SOON, async || {
        let now = status(&world).await;
        let waiting = now.lags.iter().any(|lag| lag.waiting + lag.in_hand > 0);
        if waiting || now.parked + now.in_order > 0 { Err(now) } else { Ok(()) }
    })
    .await;
    assert_eq!((ordered.count(), beside.count()), (3, 3), "nothing is sent again");
    let troubles = status(&world).await.troubles;
    let [trouble] = troubles.as_slice() else { panic!("one trouble: {troubles:?}") };
    let beginning = format!("{injected} messages are unreadable and set aside; the last one is ");
    assert!(trouble.part == "quarantine" && trouble.text.starts_with(&beginning), "{trouble:?}");
    assert!(trouble.text.contains(": failed to decode Protobuf message: "), "{trouble:?} has no cause");
    assert!(world.process.is_running());

    let poison = broker(&world).await.get_stream("POISON").await.unwrap();
    for sequence in 1..=poison.cached_info().state.last_sequence {
        let Ok(message) = poison.get_raw_message(sequence).await else { continue };
        let header = |name: &str| message.headers.get(name).map(ToString::to_string).unwrap_or_default();
        let reason = header("Leadline-Reason");
        assert!(reason.contains(": failed to decode Protobuf message: "), "{reason} is not a cause");
        assert!(RUBBISH.contains(&&message.payload[..]) && !header("Leadline-Sequence").is_empty());
        assert!(message.subject.starts_with("poison."));
    }
    assert!(world.process.output().contains("copying it to the stream POISON"), "the log reports it");
}
