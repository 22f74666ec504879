//! The process is killed in every state of a lane, and continues after a restart: nothing is lost, and nothing recorded
//! is sent again. (Held: `holding.rs`. Ordered queues: `ordering.rs`.)

use std::time::Duration;

use api::DeliveryStatus;
use async_nats::jetstream::{self, consumer};
use futures::TryStreamExt as _;
use testkit::{Answer, NatsServer, Receiver, free_port, wait};

use crate::world::{SOON, World, events_at, retries, some_destination};

const EVENTS: usize = 30;

/// A destination with three retries after short pauses.
fn patient(url: String) -> api::Destination {
    api::Destination { url, retry_policy: Some(retries(&[Duration::from_millis(500); 3])), ..some_destination() }
}

async fn killed_and_started_again(world: World) -> World {
    world.process.kill();
    world.again(&[]).await
}

async fn all_succeed(world: &World) {
    for n in 0..EVENTS {
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Succeeded).await;
    }
}

pub(crate) async fn parked(world: &World) -> u64 {
    world.status().get_status(api::GetStatusRequest::default()).await.unwrap().into_inner().parked
}

#[tokio::test]
async fn killed_with_requests_in_flight_and_the_rest_parked() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Gate(200));
    let timeout = Some(api::duration_to_api(Duration::from_secs(30)));
    world.destination_with(api::Destination { concurrency: 2, timeout, ..patient(receiver.url()) }).await;
    world.publish_many(EVENTS).await;
    wait::until("the rest parked", SOON, async || parked(&world).await >= (EVENTS - 2) as u64).await;
    assert_eq!(receiver.count(), 2);
    let world = killed_and_started_again(world).await;
    receiver.open_gate();
    all_succeed(&world).await;
    assert_eq!(events_at(&receiver).len(), EVENTS);
    assert!(receiver.count() <= EVENTS + 2, "only requests in flight are sent again: {}", receiver.count());
}

/// Unneeded consumers would cost the broker much.
#[tokio::test]
async fn lane_has_a_consumer_only_after_parking() {
    let (broker, receiver) = (NatsServer::start().await, Receiver::start().await);
    let world = World::start_with(&["--nats-url", &broker.url()], &[]).await;
    let id = world.destination_with(api::Destination { concurrency: 1, ..patient(receiver.url()) }).await;
    let jetstream = jetstream::new(broker.client().await);
    let stream = jetstream.get_stream("PARKED").await.unwrap();
    let lanes = async || stream.consumers().try_collect::<Vec<consumer::Info>>().await.unwrap();
    world.publish("first").await;
    world.delivery_is("first", DeliveryStatus::Succeeded).await;
    assert!(lanes().await.is_empty(), "nothing was parked");
    receiver.answer(Answer::Gate(200));
    world.publish_many(EVENTS).await;
    wait::until("the rest parked", SOON, async || parked(&world).await > 0).await;
    receiver.open_gate();
    all_succeed(&world).await;
    let lanes = lanes().await;
    assert_eq!(lanes.iter().map(|lane| lane.name.clone()).collect::<Vec<_>>(), [format!("lane-{id}")]);
    // The broker removes the consumer after this time.
    assert_eq!(lanes[0].config.inactive_threshold, Duration::from_secs(60));
}

/// Up to a limit, the event itself is the work of all its destinations; above it each delivery has a request. The test
/// tries both.
#[tokio::test]
async fn killed_with_an_event_delivered_to_some_destinations() {
    for others in [7, 8] {
        let (world, slow, quick) = (World::start().await, Receiver::start().await, Receiver::start().await);
        slow.answer(Answer::Gate(200));
        let timeout = Some(api::duration_to_api(Duration::from_secs(30)));
        world.destination_with(api::Destination { timeout, ..patient(slow.url()) }).await;
        for _ in 0..others {
            world.destination_with(patient(quick.url())).await;
        }
        world.publish("e0").await;
        let had = async |world: &World| world.all(DeliveryStatus::Succeeded).await.len();
        wait::until_eq("the others to get it", SOON, others, async || had(&world).await).await;
        wait::until_eq("the slow one to get it", SOON, 1, async || slow.count()).await;
        let world = killed_and_started_again(world).await;
        slow.open_gate();
        wait::until_eq("all of them to get it", SOON, others + 1, async || had(&world).await).await;
        assert_eq!((quick.count(), slow.count()), (others, 2), "only requests in flight are sent again");
    }
}

#[tokio::test]
async fn killed_while_paused_by_retry_after() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let asks = vec![("retry-after", "600".to_owned())];
    receiver.answer_next([Answer::With(503, asks, bytes::Bytes::new())]);
    world.destination_with(api::Destination { concurrency: 1, ..patient(receiver.url()) }).await;
    world.publish_many(EVENTS).await;
    wait::until("the others parked", SOON, async || parked(&world).await == EVENTS as u64 - 1).await;
    let first = receiver.requests()[0].header("leadline-event-id").to_owned();
    assert_eq!(receiver.count(), 1);
    let world = killed_and_started_again(world).await;
    // The pause is not stored: the restarted process sends, and the receiver may ask for a pause again.
    for event in (0..EVENTS).map(|n| format!("e{n}")).filter(|event| *event != first) {
        world.delivery_is(&event, DeliveryStatus::Succeeded).await;
    }
    world.delivery_is(&first, DeliveryStatus::Retrying).await;
    assert_eq!((receiver.count(), events_at(&receiver).len()), (EVENTS, EVENTS));
}

#[tokio::test]
async fn killed_with_an_open_breaker() {
    let world = World::start().await;
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/hook");
    let fragile = api::Destination { breaker_failures: Some(3), concurrency: 3, ..patient(url) };
    world.destination_with(fragile).await;
    world.publish_many(EVENTS).await;
    wait::until("the breaker to stop them", SOON, async || parked(&world).await >= (EVENTS - 6) as u64).await;
    let world = killed_and_started_again(world).await;
    let receiver = Receiver::start_on(port).await;
    all_succeed(&world).await;
    assert_eq!((receiver.count(), events_at(&receiver).len()), (EVENTS, EVENTS));
}

#[tokio::test]
async fn killed_while_limited_by_a_rate() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination_with(api::Destination { rate: 10, ..patient(receiver.url()) }).await;
    world.publish_many(EVENTS).await;
    wait::until("some of them", SOON, async || receiver.count() >= 5).await;
    let world = killed_and_started_again(world).await;
    all_succeed(&world).await;
    assert_eq!(events_at(&receiver).len(), EVENTS);
    assert!(receiver.count() <= EVENTS + 2, "{}", receiver.count());
}

#[tokio::test]
async fn killed_with_pending_retries() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer_next(vec![Answer::Status(500); EVENTS]);
    let later = Some(retries(&[Duration::from_secs(3)]));
    world.destination_with(api::Destination { retry_policy: later, ..patient(receiver.url()) }).await;
    world.publish_many(EVENTS).await;
    for n in 0..EVENTS {
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Retrying).await;
    }
    let world = killed_and_started_again(world).await;
    all_succeed(&world).await;
    // In half of the kills the broker fires one timer twice (measured); the dispatcher recognises that.
    assert_eq!((receiver.count(), events_at(&receiver).len()), (2 * EVENTS, EVENTS));
}
