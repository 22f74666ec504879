//! The process is killed in every state that a lane can be in, and goes on from there: nothing is lost, and nothing that
//! was recorded is sent again. (Held: `holding.rs`. Waiting for its turn: `ordering.rs`.)

use std::time::Duration;

use api::DeliveryStatus;
use async_nats::jetstream::{self, consumer};
use futures::TryStreamExt as _;
use testkit::{Answer, NatsServer, Receiver, free_port, wait};

use crate::world::{SOON, World, events_at, retries, some_destination};

const EVENTS: usize = 30;

/// A destination that makes three further attempts, soon.
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
async fn with_requests_under_way_and_the_rest_parked() {
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
    assert!(receiver.count() <= EVENTS + 2, "only what was under way is sent again: {}", receiver.count());
}

/// Many consumers that nobody needs would cost the broker much.
#[tokio::test]
async fn a_lane_has_a_consumer_only_since_something_was_parked() {
    let (broker, receiver) = (NatsServer::start().await, Receiver::start().await);
    let world = World::start_with(&["--nats-url", &broker.url()], &[]).await;
    let id = world.destination_with(api::Destination { concurrency: 1, ..patient(receiver.url()) }).await;
    let jetstream = jetstream::new(broker.client().await);
    let stream = jetstream.get_stream("PARKED").await.unwrap();
    let lanes = async || stream.consumers().try_collect::<Vec<consumer::Info>>().await.unwrap();
    world.publish("first").await;
    world.delivery_is("first", DeliveryStatus::Succeeded).await;
    assert!(lanes().await.is_empty(), "it went to the receiver at once");
    receiver.answer(Answer::Gate(200));
    world.publish_many(EVENTS).await;
    wait::until("the rest parked", SOON, async || parked(&world).await > 0).await;
    receiver.open_gate();
    all_succeed(&world).await;
    let lanes = lanes().await;
    assert_eq!(lanes.iter().map(|lane| lane.name.clone()).collect::<Vec<_>>(), [format!("lane-{id}")]);
    // The broker removes it then.
    assert_eq!(lanes[0].config.inactive_threshold, Duration::from_secs(60));
}

/// The most destinations whose work an event is, and one more: then they have a request each.
#[tokio::test]
async fn with_an_event_that_some_of_its_destinations_have() {
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
        wait::until_eq("the others have it", SOON, others, async || had(&world).await).await;
        wait::until_eq("one is slow", SOON, 1, async || slow.count()).await;
        let world = killed_and_started_again(world).await;
        slow.open_gate();
        wait::until_eq("all have it", SOON, others + 1, async || had(&world).await).await;
        assert_eq!((quick.count(), slow.count()), (others, 2), "only what was under way is sent again");
    }
}

#[tokio::test]
async fn paused_because_the_receiver_asked_for_it() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let asks = vec![("retry-after", "600".to_owned())];
    receiver.answer_next([Answer::With(503, asks, bytes::Bytes::new())]);
    world.destination_with(api::Destination { concurrency: 1, ..patient(receiver.url()) }).await;
    world.publish_many(EVENTS).await;
    wait::until("the others parked", SOON, async || parked(&world).await == EVENTS as u64 - 1).await;
    let first = receiver.requests()[0].header("leadline-event-id").to_owned();
    assert_eq!(receiver.count(), 1);
    let world = killed_and_started_again(world).await;
    // The next process has not been asked for a pause; if the receiver still minds, it says so again.
    for event in (0..EVENTS).map(|n| format!("e{n}")).filter(|event| *event != first) {
        world.delivery_is(&event, DeliveryStatus::Succeeded).await;
    }
    world.delivery_is(&first, DeliveryStatus::Retrying).await;
    assert_eq!((receiver.count(), events_at(&receiver).len()), (EVENTS, EVENTS));
}

#[tokio::test]
async fn with_an_open_breaker() {
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
async fn spread_out_by_a_rate() {
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
async fn with_retries_that_wait_for_their_time() {
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
    // In half of the kills the broker fires one timer twice (measured); it is recognised.
    assert_eq!((receiver.count(), events_at(&receiver).len()), (2 * EVENTS, EVENTS));
}
