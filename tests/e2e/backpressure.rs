//! Receivers are not overloaded: pauses, rates and the breaker.

use std::time::Duration;

use api::DeliveryStatus;
use testkit::{Answer, Receiver, free_port, wait};

use crate::{
    lane_crashes::parked,
    world::{SOON, World, events_at, retries, some_destination},
};

#[tokio::test]
async fn retry_after_pauses_the_whole_destination() {
    for status in [429, 503] {
        let (world, receiver) = (World::start().await, Receiver::start().await);
        let asks = vec![("retry-after", "3".to_owned())];
        receiver.answer_next([Answer::With(status, asks, bytes::Bytes::new())]);
        let policy = Some(retries(&[Duration::from_millis(100)]));
        let narrow =
            api::Destination { url: receiver.url(), concurrency: 1, retry_policy: policy, ..some_destination() };
        world.destination_with(narrow).await;
        world.publish_many(5).await;
        for n in 0..5 {
            world.delivery_is(&format!("e{n}"), DeliveryStatus::Succeeded).await;
        }
        let requests = receiver.requests();
        assert_eq!(requests.len(), 6);
        let pause = requests[1].at - requests[0].at;
        assert!(pause >= Duration::from_millis(2_900), "{status}: {pause:?}");
    }
}

#[tokio::test]
async fn retry_after_is_limited_to_a_day() {
    let world = World::start().await;
    for (event, wish) in [("day", "86400"), ("ages", "99999999999999999999")] {
        let receiver = Receiver::start().await;
        receiver.answer(Answer::With(429, vec![("retry-after", wish.to_owned())], bytes::Bytes::new()));
        let policy = Some(retries(&[Duration::from_secs(1)]));
        let narrow = api::Destination { url: receiver.url(), retry_policy: policy, ..some_destination() };
        let id = world.destination_with(narrow).await;
        world.publish(event).await;
        let waits = world.delivery_is(event, DeliveryStatus::Retrying).await.delivery.unwrap();
        let (next, now) = (waits.next_attempt_at.unwrap().seconds, waits.updated_at.unwrap().seconds);
        assert!((23 * 3600..=24 * 3600 + 60).contains(&(next - now)), "{wish}: {}", next - now);
        // The lane pauses for the same time.
        world.publish(&format!("{event}-next")).await;
        wait::until("the next one parked", SOON, async || parked(&world).await > 0).await;
        assert_eq!(receiver.count(), 1);
        world.delete(&id).await;
        wait::until_eq("nothing parked", SOON, 0, async || parked(&world).await).await;
    }
}

#[tokio::test]
async fn retry_after_uses_no_step_of_the_policy() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let busy = || Answer::With(429, vec![("retry-after", "1".to_owned())], bytes::Bytes::new());
    receiver.answer_next([busy(), busy(), busy()]);
    let policy = Some(retries(&[Duration::from_millis(100)]));
    world.destination_with(api::Destination { url: receiver.url(), retry_policy: policy, ..some_destination() }).await;
    world.publish("e1").await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap();
    assert_eq!((delivery.attempts, receiver.count()), (4, 4));
}

#[tokio::test]
async fn rate_limit_spreads_requests() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination_with(api::Destination { url: receiver.url(), rate: 20, ..some_destination() }).await;
    world.publish_many(60).await;
    are_spread_out(&receiver).await;
}

#[tokio::test]
async fn released_deliveries_respect_the_rate_limit() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination_with(api::Destination { url: receiver.url(), rate: 20, ..some_destination() }).await;
    world.disable(&id).await;
    world.publish_many(60).await;
    wait::until_eq("all of them held", SOON, 60, async || parked(&world).await).await;
    assert_eq!(receiver.count(), 0);
    world.enable(&id, false).await;
    are_spread_out(&receiver).await;
}

/// Waits for sixty requests, at twenty a second.
async fn are_spread_out(receiver: &Receiver) {
    wait::until_eq("all of them", SOON, 60, async || receiver.count()).await;
    let requests = receiver.requests();
    let took = requests[59].at - requests[0].at;
    assert!(took >= Duration::from_millis(2_800), "{took:?}");
    // At most the rate in each second, with some tolerance for requests in flight.
    for (first, last) in requests.iter().zip(&requests[25..]) {
        assert!(last.at - first.at >= Duration::from_millis(1_000), "26 requests in {:?}", last.at - first.at);
    }
}

#[tokio::test]
async fn breaker_allows_one_probe_at_a_time() {
    let world = World::start().await;
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}/hook");
    let dead = api::Destination { url, breaker_failures: Some(5), concurrency: 5, ..some_destination() };
    world.destination_with(dead).await;
    world.publish_many(100).await;
    let failed = async || {
        let filter =
            api::DeliveryFilter { statuses: vec![DeliveryStatus::Failed.into()], ..api::DeliveryFilter::default() };
        let request = api::ListDeliveriesRequest { filter: Some(filter), page_size: 500, page_token: String::new() };
        world.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries.len()
    };
    // The failures that open the breaker, and two probes: after one second, and after two more.
    wait::until("two probes", SOON, async || failed().await >= 7).await;
    let before = failed().await;
    assert!(before <= 12, "{before} attempts while the receiver is away");
    let receiver = Receiver::start_on(port).await;
    wait::until("the rest", SOON, async || receiver.count() + failed().await == 100).await;
    assert!(failed().await <= 13);
    assert_eq!(events_at(&receiver).len(), receiver.count(), "nothing is sent twice");
}
