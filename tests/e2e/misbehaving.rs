//! Receivers with every kind of fault at once: each delivery ends correctly, and the healthy receiver is not affected.

use std::time::Duration;

use api::{DeliveryStatus, duration_to_api};
use testkit::{Answer, Receiver, wait};

use crate::world::{SOON, World, events_at, some_destination};

const EVENTS: usize = 20;
/// The timeout of each destination.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The deliveries to a destination, once all have ended.
async fn ended(world: &World, destination_id: &str) -> Vec<api::Delivery> {
    wait::until(&format!("all deliveries to {destination_id} to end"), SOON, async || {
        let statuses = vec![DeliveryStatus::Succeeded.into(), DeliveryStatus::Failed.into()];
        let destination_id = destination_id.to_owned();
        let filter = Some(api::DeliveryFilter { destination_id, statuses, ..api::DeliveryFilter::default() });
        let request = api::ListDeliveriesRequest { filter, page_size: 500, page_token: String::new() };
        let ended = world.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries;
        if ended.len() == EVENTS { Ok(ended) } else { Err(ended.len()) }
    })
    .await
}

#[tokio::test]
async fn misbehaving_receivers_do_not_affect_a_healthy_one() {
    let (world, healthy) = (World::start().await, Receiver::start().await);
    let healthy_id = world.destination(&healthy.url()).await;
    let cases = [
        (Answer::Garbage, 999, "protocol", ""),
        (Answer::DripHeaders, 999, "timeout", "no answer within 5s"),
        (Answer::Hang, 999, "timeout", "no answer within 5s"),
        (Answer::Reset, 999, "reset", ""),
        (Answer::Endless, 200, "", "xxxx"),
        (Answer::ResetInBody, 200, "", "the beginning"),
    ];
    let (mut receivers, mut ids) = (vec![], vec![]);
    for (answer, ..) in &cases {
        let receiver = Receiver::start().await;
        receiver.answer(answer.clone());
        // These destinations have no breaker: only the concurrency limit protects the healthy one.
        let patient = api::Destination {
            url: receiver.url(),
            timeout: Some(duration_to_api(TIMEOUT)),
            breaker_failures: Some(0),
            concurrency: EVENTS as u32,
            ..some_destination()
        };
        ids.push(world.destination_with(patient).await);
        receivers.push(receiver);
    }
    world.publish_many(EVENTS).await;
    wait::until_eq("all at the healthy one", SOON, EVENTS, async || events_at(&healthy).len()).await;
    let first = |receiver: &Receiver| receiver.requests().iter().map(|seen| seen.at).min();
    let last = healthy.requests().iter().map(|seen| seen.at).max();
    let hanging = wait::until("a request that hangs", SOON, async || first(&receivers[2])).await;
    assert!(
        last.unwrap().saturating_duration_since(hanging) < TIMEOUT,
        "no delivery waited for a timeout of the others"
    );
    for ((answer, status, kind, expected), id) in cases.iter().zip(&ids) {
        for delivery in ended(&world, id).await {
            let seen = (delivery.http_status_code, delivery.error_kind.as_str());
            assert_eq!(seen, (*status, *kind), "{answer:?}: {delivery:?}");
            assert!(delivery.webhook_response.contains(expected), "{answer:?}: {delivery:?}");
            assert!(delivery.webhook_response.len() <= 2_048);
        }
    }
    assert!(ended(&world, &healthy_id).await.iter().all(|d| d.status() == DeliveryStatus::Succeeded));
    assert_eq!(healthy.count(), EVENTS);
}
