//! Ordered destinations: the events of a lead arrive in the order in which they were stored.

use std::time::Duration;

use api::DeliveryStatus;
use futures::future::join_all;
use serde_json::json;
use testkit::{Answer, Receiver, wait};

use crate::{
    dispatchers::with_dispatchers,
    world::{ACCOUNT, INTERFACE, SOON, World, retries, some_destination},
};

/// The event `<lead>-<number>` of a lead.
fn event(lead: &str, number: usize) -> String {
    let event_id = format!("{lead}-{number}");
    json!({"account": ACCOUNT, "interface": INTERFACE, "event_id": event_id, "lead_id": lead, "payload": {"n": number}})
        .to_string()
}

async fn publish(world: &World, events: &[String]) {
    let (status, answer) = world.post(events.join("\n"), &[("content-type", "application/x-ndjson")]).await;
    assert_eq!(status, 202, "{answer}");
}

fn ordered(receiver: &Receiver) -> api::Destination {
    let retry_policy = Some(retries(&[Duration::from_millis(300); 2]));
    api::Destination { url: receiver.url(), ordered: true, retry_policy, ..some_destination() }
}

/// The numbers of a lead's events, in the order in which the receiver saw them.
fn seen(receiver: &Receiver, lead: &str) -> Vec<usize> {
    let ids = receiver.requests().into_iter().map(|request| request.header("leadline-event-id").to_owned());
    ids.filter_map(|id| id.strip_prefix(&format!("{lead}-"))?.parse().ok()).collect()
}

#[tokio::test]
async fn retry_delays_only_its_own_lead() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let retry_policy = Some(retries(&[Duration::from_secs(5)]));
    world.destination_with(api::Destination { retry_policy, ..ordered(&receiver) }).await;
    receiver.answer_next([Answer::Status(500)]);
    publish(&world, &[event("a", 1)]).await;
    world.delivery_is("a-1", DeliveryStatus::Retrying).await;
    publish(&world, &[event("a", 2), event("a", 3), event("b", 1)]).await;
    for id in ["b-1", "a-3", "a-1"] {
        world.delivery_is(id, DeliveryStatus::Succeeded).await;
    }
    let ids: Vec<_> = receiver.requests().iter().map(|seen| seen.header("leadline-event-id").to_owned()).collect();
    assert_eq!(ids, ["a-1", "b-1", "a-1", "a-2", "a-3"]);
}

#[tokio::test]
async fn final_failure_releases_the_next_and_holds_keep_order() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination_with(ordered(&receiver)).await;
    receiver.answer_next(vec![Answer::Status(500); 3]);
    publish(&world, &[event("a", 1), event("a", 2)]).await;
    world.delivery_is("a-1", DeliveryStatus::Failed).await;
    world.delivery_is("a-2", DeliveryStatus::Succeeded).await;
    assert_eq!(seen(&receiver, "a"), [1, 1, 1, 2]);

    world.disable(&id).await;
    publish(&world, &(1..=5).map(|n| event("b", n)).collect::<Vec<_>>()).await;
    world.delivery_is("b-1", DeliveryStatus::Held).await;
    world.delivery_is("b-5", DeliveryStatus::Pending).await;
    world.enable(&id, false).await;
    world.delivery_is("b-5", DeliveryStatus::Succeeded).await;
    assert_eq!(seen(&receiver, "b"), [1, 2, 3, 4, 5]);
    // A requested retry is sent at once, outside of the order.
    world.retry("a-1").await.unwrap();
    world.delivery_is("a-1", DeliveryStatus::Succeeded).await;
}

#[tokio::test]
async fn queued_deliveries_of_a_deleted_destination_end() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    let slow = Some(retries(&[Duration::from_secs(2)]));
    let id = world.destination_with(api::Destination { retry_policy: slow, ..ordered(&receiver) }).await;
    publish(&world, &(1..=4).map(|n| event("a", n)).collect::<Vec<_>>()).await;
    world.delivery_is("a-1", DeliveryStatus::Retrying).await;
    world.delete(&id).await;
    for n in 1..=4 {
        let failed = world.delivery_is(&format!("a-{n}"), DeliveryStatus::Failed).await.delivery.unwrap();
        assert_eq!(failed.failure_reason, "destination_deleted");
    }
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn ordering_can_be_switched_on_and_off() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    let mut number = 0;
    for ordered in [false, true, false, true] {
        let destination =
            api::Destination { account_id: ACCOUNT.into(), destination_id: id.clone(), ordered, ..some_destination() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["ordered".into()] });
        let request =
            api::UpdateDestinationRequest { destination: Some(destination), update_mask, ..Default::default() };
        let updated = world.registry().update_destination(request).await.unwrap().into_inner();
        assert_eq!((updated.ordered, updated.url), (ordered, receiver.url()));
        publish(&world, &(number..number + 20).map(|n| event("a", n)).collect::<Vec<_>>()).await;
        number += 20;
        for n in number - 20..number {
            world.delivery_is(&format!("a-{n}"), DeliveryStatus::Succeeded).await;
        }
        if ordered {
            assert_eq!(seen(&receiver, "a")[number - 20..], (number - 20..number).collect::<Vec<_>>());
        }
    }
    assert_eq!(receiver.count(), 80);
}

#[tokio::test]
async fn order_survives_the_death_of_dispatchers() {
    const LEADS: usize = 20;
    const EVENTS: usize = 12;
    let (_broker, world, others) = with_dispatchers(3).await;
    let receiver = Receiver::start().await;
    world.destination_with(ordered(&receiver)).await;
    for (number, dying) in [(0, Some(&others[0])), (EVENTS / 2, Some(&others[1])), (EVENTS, None)] {
        let events = (number..number + EVENTS / 2).flat_map(|n| (0..LEADS).map(move |l| event(&format!("l{l}"), n)));
        if number < EVENTS {
            receiver.answer_next(vec![Answer::Status(503); LEADS / 2]);
            publish(&world, &events.collect::<Vec<_>>()).await;
        }
        if let Some(dying) = dying {
            let before = receiver.count();
            wait::until("some requests", SOON, async || receiver.count() > before).await;
            dying.kill();
        }
    }
    for lead in 0..LEADS {
        let lead = format!("l{lead}");
        world.delivery_is(&format!("{lead}-{}", EVENTS - 1), DeliveryStatus::Succeeded).await;
        let mut numbers = seen(&receiver, &lead);
        // A retry, or a repeat because of the kill, directly follows the same event.
        numbers.dedup();
        assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>(), "{lead}");
    }
}

#[tokio::test]
async fn crash_at_any_step_keeps_events_and_order() {
    let places = [
        ("after a delivery is queued", 3),
        ("before a turn is passed", 3),
        ("after a turn has ended", 3),
        ("after an answer", 4),
        // The next event may be in flight by then.
        ("after a fact is stored", 4),
    ];
    join_all(places.map(|(place, max)| die_at(place, max))).await;
}

async fn die_at(place: &str, max: usize) {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination_with(ordered(&receiver)).await;
    world.process.terminate();
    world.process.wait_exit(SOON).await;
    let home = world.home;
    let process = home.up(&[], &[("LEADLINE_CRASH_AT", place)]);
    let world = World::attach(home, process).await;
    let events: Vec<_> = (1..=3).map(|n| event("a", n)).collect();
    let request = crate::world::web().post(format!("{}/v1/leads", world.http)).bearer_auth(&world.key);
    // The process may die before it answers.
    let _ = request.header("content-type", "application/x-ndjson").body(events.join("\n")).send().await;
    assert!(!world.process.wait_exit(SOON).await.success(), "{place}: {}", world.process.output());
    let world = world.again(&[]).await;
    publish(&world, &events).await;
    for n in 1..=3 {
        world.delivery_is(&format!("a-{n}"), DeliveryStatus::Succeeded).await;
    }
    let mut numbers = seen(&receiver, "a");
    assert!(numbers.len() <= max, "{place}: {numbers:?}");
    numbers.dedup();
    assert_eq!(numbers, [1, 2, 3], "{place}");
}

#[tokio::test]
async fn skipping_held_deliveries_skips_the_whole_queue() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination_with(ordered(&receiver)).await;
    let events: Vec<_> = (1..=5).map(|n| event("a", n)).collect();
    world.disable(&id).await;
    publish(&world, &events).await;
    world.delivery_is("a-1", DeliveryStatus::Held).await;
    world.delivery_is("a-5", DeliveryStatus::Pending).await;
    world.enable(&id, true).await;
    for n in 1..=5 {
        let skipped = world.delivery_is(&format!("a-{n}"), DeliveryStatus::Failed).await.delivery.unwrap();
        assert_eq!(skipped.failure_reason, "skipped");
    }
    publish(&world, &[event("a", 6)]).await;
    world.delivery_is("a-6", DeliveryStatus::Succeeded).await;
    assert_eq!(seen(&receiver, "a"), [6]);
}

#[tokio::test]
async fn event_repeated_after_the_window_does_not_block_the_queue() {
    let (world, receiver) = (World::start_with(&["--dedup-window", "2s"], &[]).await, Receiver::start().await);
    world.destination_with(ordered(&receiver)).await;
    publish(&world, &[event("a", 1)]).await;
    world.delivery_is("a-1", DeliveryStatus::Succeeded).await;
    let published = std::time::Instant::now();
    wait::until("the deduplication window to end", SOON, async || published.elapsed() > Duration::from_secs(4)).await;
    publish(&world, &[event("a", 1), event("a", 2)]).await;
    world.delivery_is("a-2", DeliveryStatus::Succeeded).await;
    assert_eq!(seen(&receiver, "a").last(), Some(&2));
}

#[tokio::test]
async fn unordered_destinations_of_the_account_get_all_events() {
    let (world, first, second) = (World::start().await, Receiver::start().await, Receiver::start().await);
    world.destination_with(ordered(&first)).await;
    world.destination(&second.url()).await;
    first.answer_next([Answer::Status(500)]);
    publish(&world, &(1..=3).map(|n| event("a", n)).collect::<Vec<_>>()).await;
    wait::until_eq("all of them here", SOON, 3, async || second.count()).await;
    wait::until_eq("all of them there", SOON, 4, async || first.count()).await;
    assert_eq!(seen(&first, "a"), [1, 1, 2, 3]);
}
