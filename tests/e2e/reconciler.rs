//! The reconciler repairs lost work, and reports that as an alarm. The tests remove messages over the broker's
//! interface; for the services that is the same as a lost write.

use std::time::Duration;

use api::DeliveryStatus;
use domain::{EventId, LeadEvent, LeadId};
use events::Record as _;
use futures::StreamExt as _;
use serde_json::json;
use testkit::{Answer, NatsServer, Receiver, wait};

use crate::world::{ACCOUNT, Home, INTERFACE, SOON, World, events_at, retries, some_destination};

/// Starts a system whose reconciler checks everything older than one second.
async fn reconciled() -> (NatsServer, World) {
    let broker = NatsServer::start().await;
    let home = Home::new();
    let process = home.up(&["--nats-url", &broker.url(), "--reconcile-after", "1s"], &[]);
    let world = World::attach(home, process).await;
    world.set_up().await;
    (broker, world)
}

/// Purges a stream once it has this many messages, because work is parked after its fact is stored.
async fn lose_all_of(broker: &NatsServer, stream: &str, messages: u64) {
    let mut stream = async_nats::jetstream::new(broker.client().await).get_stream(stream).await.unwrap();
    wait::until("the work to lose", SOON, async || {
        let stored = stream.info().await.unwrap().state.messages;
        if stored >= messages { Ok(()) } else { Err(stored) }
    })
    .await;
    assert!(stream.purge().await.unwrap().purged >= messages);
}

/// The numbers of repaired requests and repaired deliveries.
async fn healed(world: &World) -> (u64, u64) {
    let status = world.status().get_status(api::GetStatusRequest::default()).await.unwrap().into_inner();
    (status.healed_requests, status.healed_deliveries)
}

/// Waits until the status and the metric have these numbers of repaired requests and repaired deliveries.
async fn reported(world: &World, missing: u32, stuck: u32) {
    wait::until_eq("an alarm", SOON, (u64::from(missing), u64::from(stuck)), async || healed(world).await).await;
    for (kind, number) in [("missing", missing), ("stuck", stuck)] {
        let label = format!("leadline_kind=\"{kind}\"");
        assert_eq!(world.metric("leadline_healed_total", &[&label]).await, f64::from(number), "{kind}");
    }
}

#[tokio::test]
async fn lost_parked_work_is_repaired() {
    let ((broker, world), receiver) = (reconciled().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.disable(&id).await;
    world.publish_many(3).await;
    wait::until_eq("all held", SOON, 3, async || world.all(DeliveryStatus::Held).await.len()).await;
    lose_all_of(&broker, "PARKED", 3).await;
    world.enable(&id, false).await;
    wait::until_eq("all of them", SOON, 3, async || world.all(DeliveryStatus::Succeeded).await.len()).await;
    assert_eq!((receiver.count(), events_at(&receiver).len()), (3, 3), "once each");
    reported(&world, 0, 3).await;
}

#[tokio::test]
async fn lost_timer_is_repaired() {
    let ((broker, world), receiver) = (reconciled().await, Receiver::start().await);
    let retry_policy = Some(retries(&[Duration::from_secs(2)]));
    world.destination_with(api::Destination { url: receiver.url(), retry_policy, ..some_destination() }).await;
    receiver.answer_next([Answer::Status(500)]);
    world.publish("late").await;
    world.delivery_is("late", DeliveryStatus::Retrying).await;
    lose_all_of(&broker, "TIMERS", 1).await;
    world.delivery_is("late", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.count(), 2);
    reported(&world, 0, 1).await;
}

#[tokio::test]
async fn ordered_queue_with_lost_work_continues_in_order() {
    let ((broker, world), receiver) = (reconciled().await, Receiver::start().await);
    let id =
        world.destination_with(api::Destination { url: receiver.url(), ordered: true, ..some_destination() }).await;
    world.disable(&id).await;
    for event_id in ["first", "second"] {
        let event =
            json!({"account": ACCOUNT, "interface": INTERFACE, "event_id": event_id, "lead_id": "one", "payload": {}});
        assert_eq!(world.post(event.to_string(), &[]).await.0, 202);
    }
    world.delivery_is("first", DeliveryStatus::Held).await;
    world.delivery_is("second", DeliveryStatus::Pending).await;
    lose_all_of(&broker, "PARKED", 1).await;
    world.enable(&id, false).await;
    world.delivery_is("second", DeliveryStatus::Succeeded).await;
    let order: Vec<_> = receiver.requests().iter().map(|seen| seen.header("leadline-event-id").to_owned()).collect();
    assert_eq!(order, ["first", "second"]);
}

#[tokio::test]
async fn lost_request_of_a_delivery_is_repaired() {
    let ((broker, world), receiver) = (reconciled().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("before").await;
    world.delivery_is("before", DeliveryStatus::Succeeded).await;
    world.process.terminate();
    world.process.wait_exit(SOON).await;

    // Stores an event, and acknowledges it for the router without its requests.
    let jetstream = async_nats::jetstream::new(broker.client().await);
    let leads = jetstream.get_stream("LEADS").await.unwrap();
    let before = leads.get_raw_message(1).await.unwrap();
    let event = LeadEvent::decode(before.payload.clone()).unwrap();
    let lost = LeadEvent { event_id: EventId::parse("lost").unwrap(), lead: LeadId::parse("lead").unwrap(), ..event };
    jetstream.publish(before.subject.clone(), lost.encode()).await.unwrap().await.unwrap();
    let router: async_nats::jetstream::consumer::PullConsumer = leads.get_consumer("router").await.unwrap();
    let routed = router.fetch().max_messages(1).messages().await.unwrap().next().await.unwrap().unwrap();
    routed.double_ack().await.unwrap();

    let world = world.again(&["--nats-url", &broker.url(), "--reconcile-after", "1s"]).await;
    world.delivery_is("lost", DeliveryStatus::Succeeded).await;
    assert_eq!(events_at(&receiver), ["before", "lost"]);
    reported(&world, 1, 0).await;
}

#[tokio::test]
async fn reconciler_ignores_work_in_progress() {
    let ((_broker, world), receiver) = (reconciled().await, Receiver::start().await);
    let narrow = api::Destination { concurrency: 2, rate: 20, ..some_destination() };
    world.destination_with(api::Destination { url: receiver.url(), ..narrow }).await;
    receiver.answer(Answer::After(Duration::from_millis(50), Box::new(Answer::Status(200))));
    world.publish_many(150).await;
    wait::until_eq("all of them", SOON, 150, async || world.all(DeliveryStatus::Succeeded).await.len()).await;
    assert_eq!((receiver.count(), healed(&world).await), (150, (0, 0)));
}
