//! Every waiting delivery of a destination that is switched off is shown as held.

use std::time::Duration;

use api::DeliveryStatus;
use serde_json::json;
use testkit::{Answer, Receiver, wait};

use crate::{
    holding::rule,
    world::{ACCOUNT, SOON, World, lead_of, some_destination},
};

/// The events of the deliveries that a filter finds.
async fn listed(world: &World, filter: api::DeliveryFilter) -> Vec<String> {
    let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
    let found = world.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries;
    let mut events: Vec<_> = found.into_iter().map(|delivery| delivery.event_id).collect();
    events.sort();
    events
}

#[tokio::test]
async fn retrying_deliveries_are_held_once_their_destination_is_off() {
    for world in World::on_both().await {
        held_at_once(&world).await;
    }
}

async fn held_at_once(world: &World) {
    let (receiver, other) = (Receiver::start().await, Receiver::start().await);
    for receiver in [&receiver, &other] {
        receiver.answer(Answer::Status(503));
    }
    let retry_policy = Some(rule(&[Duration::from_secs(3_600)], "never"));
    let to = |receiver: &Receiver, types: &str| api::Destination {
        url: receiver.url(),
        retry_policy: retry_policy.clone(),
        event_types: vec![types.to_owned()],
        ..some_destination()
    };
    let id = world.destination_with(to(&receiver, "lead.*")).await;
    world.destination_with(to(&other, "other.*")).await;
    for event in ["e1", "e2"] {
        world.publish(event).await;
    }
    world.publish_with("o1", json!({"type": "other.thing"})).await;
    for event in ["e1", "e2", "o1"] {
        let detail = world.delivery_is(event, DeliveryStatus::Retrying).await;
        assert!(detail.delivery.unwrap().next_attempt_at.is_some());
    }
    let of = |status: DeliveryStatus| api::DeliveryFilter {
        statuses: vec![status.into()],
        ..api::DeliveryFilter::default()
    };
    let filters = |status| {
        [
            (of(status), true),
            (api::DeliveryFilter { account_id: ACCOUNT.into(), ..of(status) }, true),
            (api::DeliveryFilter { destination_id: id.clone(), ..of(status) }, false),
            (api::DeliveryFilter { http_status_code: 503, ..of(status) }, true),
        ]
    };
    let shows = async |status, expected: &[&str], others: &[&str]| {
        for (filter, everywhere) in filters(status) {
            let all = [expected, if everywhere { others } else { &[] }].concat();
            assert_eq!(listed(world, filter.clone()).await, all, "{filter:?}");
        }
        for (event, is_there) in [("e1", expected.contains(&"e1")), ("o1", others.contains(&"o1"))] {
            let narrow = [
                api::DeliveryFilter { event_id: event.into(), ..of(status) },
                api::DeliveryFilter { lead_id: lead_of(event), ..of(status) },
            ];
            for filter in narrow {
                assert_eq!(listed(world, filter.clone()).await.len(), usize::from(is_there), "{filter:?}");
            }
        }
    };
    shows(DeliveryStatus::Retrying, &["e1", "e2"], &["o1"]).await;
    shows(DeliveryStatus::Held, &[], &[]).await;
    world.disable(&id).await;
    shows(DeliveryStatus::Retrying, &[], &["o1"]).await;
    shows(DeliveryStatus::Held, &["e1", "e2"], &[]).await;
    let held = world.delivery("e1").await.delivery.unwrap();
    assert_eq!((held.status(), held.next_attempt_at), (DeliveryStatus::Held, None));
    let refused = world.retry("e1").await.unwrap_err();
    assert!(refused.message().contains("the delivery is held"), "{refused:?}");
    let rows = world.run(&["deliveries", "--status", "held", "--json"]).await.well().json_lines();
    assert_eq!(rows.len(), 2, "{rows:?}");
    world.enable(&id, false).await;
    shows(DeliveryStatus::Retrying, &["e1", "e2"], &["o1"]).await;
    shows(DeliveryStatus::Held, &[], &[]).await;
    assert!(world.delivery("e1").await.delivery.unwrap().next_attempt_at.is_some());
}

#[tokio::test]
async fn enabled_destination_continues_retries_at_their_time() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer_next([Answer::Status(503), Answer::Status(503)]);
    let pauses = [Duration::from_secs(1), Duration::from_secs(3_600)];
    let retry_policy = Some(rule(&pauses, "never"));
    let id = world.destination_with(api::Destination { url: receiver.url(), retry_policy, ..some_destination() }).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Retrying).await;
    world.disable(&id).await;
    world.delivery_is("e1", DeliveryStatus::Held).await;
    wait::until("the timer to fire", SOON, async || world.log("e1").await.iter().any(|(entry, _)| entry == "held"))
        .await;
    assert_eq!(receiver.count(), 1);
    world.enable(&id, false).await;
    wait::until_eq("the second attempt", SOON, 2, async || receiver.count()).await;
    world.delivery_is("e1", DeliveryStatus::Retrying).await;
    world.disable(&id).await;
    world.delivery_is("e1", DeliveryStatus::Held).await;
    world.enable(&id, false).await;
    // The retry was not due meanwhile, so it keeps its time.
    let delivery = world.delivery_is("e1", DeliveryStatus::Retrying).await.delivery.unwrap();
    assert_eq!((delivery.attempts, receiver.count()), (2, 2));
}
