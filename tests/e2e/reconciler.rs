//! What a disk or a program lost is found missing and made again, and that is an alarm. The broker's files are not touched:
//! messages are removed over its own interface, which leaves the services as ignorant as a lost write would.

use std::time::Duration;

use api::DeliveryStatus;
use domain::{EventId, LeadEvent, LeadId};
use events::Record as _;
use futures::StreamExt as _;
use serde_json::json;
use testkit::{Answer, NatsServer, Receiver, wait};

use crate::world::{ACCOUNT, Home, INTERFACE, SOON, World, events_at, retries, some_destination};

/// A system that audits what is a second old.
async fn audited() -> (NatsServer, World) {
    let broker = NatsServer::start().await;
    let home = Home::new();
    let process = home.up(&["--nats-url", &broker.url(), "--reconcile-after", "1s"], &[]);
    let world = World::attach(home, process).await;
    world.set_up().await;
    (broker, world)
}

/// Purges a stream once it has this many messages: work is parked after the fact that says so.
async fn lose_all_of(broker: &NatsServer, stream: &str, messages: u64) {
    let mut stream = async_nats::jetstream::new(broker.client().await).get_stream(stream).await.unwrap();
    wait::until("the work that is to be lost", SOON, async || {
        let stored = stream.info().await.unwrap().state.messages;
        if stored >= messages { Ok(()) } else { Err(stored) }
    })
    .await;
    assert!(stream.purge().await.unwrap().purged >= messages);
}

/// Requests and work that were made again.
async fn healed(world: &World) -> (u64, u64) {
    let status = world.status().get_status(api::GetStatusRequest::default()).await.unwrap().into_inner();
    (status.healed_requests, status.healed_deliveries)
}

#[tokio::test]
async fn parked_work_that_was_lost_is_done() {
    let ((broker, world), receiver) = (audited().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.disable(&id).await;
    world.publish_many(3).await;
    wait::until_eq("all held", SOON, 3, async || world.all(DeliveryStatus::Held).await.len()).await;
    lose_all_of(&broker, "PARKED", 3).await;
    world.enable(&id, false).await;
    wait::until_eq("all there", SOON, 3, async || world.all(DeliveryStatus::Succeeded).await.len()).await;
    assert_eq!((receiver.count(), events_at(&receiver).len()), (3, 3), "once each");
    wait::until_eq("an alarm", SOON, (0, 3), async || healed(&world).await).await;
}

#[tokio::test]
async fn a_timer_that_was_lost_fires_late() {
    let ((broker, world), receiver) = (audited().await, Receiver::start().await);
    let retry_policy = Some(retries(&[Duration::from_secs(2)]));
    world.destination_with(api::Destination { url: receiver.url(), retry_policy, ..some_destination() }).await;
    receiver.answer_next([Answer::Status(500)]);
    world.publish("late").await;
    world.delivery_is("late", DeliveryStatus::Retrying).await;
    lose_all_of(&broker, "TIMERS", 1).await;
    world.delivery_is("late", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.count(), 2);
    wait::until_eq("an alarm", SOON, (0, 1), async || healed(&world).await).await;
}

#[tokio::test]
async fn a_queue_whose_first_one_was_lost_goes_on_in_order() {
    let ((broker, world), receiver) = (audited().await, Receiver::start().await);
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
async fn a_delivery_whose_request_was_lost_is_requested() {
    let ((broker, world), receiver) = (audited().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("before").await;
    world.delivery_is("before", DeliveryStatus::Succeeded).await;
    world.process.terminate();
    world.process.wait_exit(SOON).await;

    // An event is stored, and the router has acknowledged it without having stored what it asked for.
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
    assert_eq!(healed(&world).await, (1, 0));
}

#[tokio::test]
async fn what_is_on_its_way_is_left_alone() {
    let ((_broker, world), receiver) = (audited().await, Receiver::start().await);
    let narrow = api::Destination { concurrency: 2, rate: 20, ..some_destination() };
    world.destination_with(api::Destination { url: receiver.url(), ..narrow }).await;
    receiver.answer(Answer::After(Duration::from_millis(50), Box::new(Answer::Status(200))));
    world.publish_many(150).await;
    wait::until_eq("all there", SOON, 150, async || world.all(DeliveryStatus::Succeeded).await.len()).await;
    assert_eq!((receiver.count(), healed(&world).await), (150, (0, 0)));
}
