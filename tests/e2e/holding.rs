//! Holding instead of dropping: deactivation, release, skipping.

use std::time::Duration;

use testkit::{Answer, Receiver, wait};
use wire::api::{self, DeliveryStatus};

use crate::world::{ACCOUNT, API_USER, SOON, World, events_at, some_destination};

fn strict() -> api::RetryPolicy {
    let custom = api::CustomRetryPolicy { deactivate_on_exhaustion: true, ..api::CustomRetryPolicy::default() };
    api::RetryPolicy { policy: Some(api::retry_policy::Policy::Custom(custom)) }
}

async fn shown(world: &World, destination_id: &str) -> api::Destination {
    let request = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: destination_id.to_owned() };
    world.registry().get_destination(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn a_destination_that_exhausts_its_attempts_is_deactivated_and_nothing_is_missed() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    let destination = api::Destination {
        url: receiver.url(),
        retry_policy: Some(strict()),
        name: "CRM".into(),
        ..some_destination()
    };
    let id = world.destination_with(destination).await;
    world.publish("first").await;
    world.delivery_is("first", DeliveryStatus::Failed).await;
    let deactivated = wait::until("the deactivation", SOON, async || shown(&world, &id).await.deactivated).await;
    assert_eq!(deactivated.cause, "exhausted");
    assert!(deactivated.first_failed_at.is_some());
    let mail = wait::until("a mail to the people behind the API", SOON, async || {
        world.home.outbox().into_iter().find(|mail| mail.contains("Webhook Deactivated"))
    })
    .await;
    assert!(mail.contains(&format!("To: {API_USER}")) && mail.contains("CRM") && mail.contains(&id), "{mail}");

    receiver.answer(Answer::Status(200));
    let events: Vec<_> = (0..10).map(|n| format!("held{n}")).collect();
    for event in &events {
        world.publish(event).await;
        world.delivery_is(event, DeliveryStatus::Held).await;
    }
    assert_eq!(receiver.count(), 1);
    world.enable(&id, false).await;
    for event in &events {
        world.delivery_is(event, DeliveryStatus::Succeeded).await;
    }
    assert_eq!(receiver.count(), 11);
}

#[tokio::test]
async fn a_receiver_that_is_gone_for_good_is_left_alone() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(410));
    let id = world.destination(&receiver.url()).await;
    world.publish("e1").await;
    let why = wait::until("the deactivation", SOON, async || shown(&world, &id).await.deactivated).await;
    assert_eq!(why.cause, "gone");
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Held).await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn what_is_held_can_be_skipped_and_that_is_recorded() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.disable(&id).await;
    world.publish("old").await;
    world.delivery_is("old", DeliveryStatus::Held).await;
    world.enable(&id, true).await;
    let skipped = world.delivery_is("old", DeliveryStatus::Failed).await.delivery.unwrap();
    assert_eq!((skipped.failure_reason.as_str(), skipped.attempts), ("skipped", 0));
    world.publish("new").await;
    world.delivery_is("new", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.count(), 1);
    // Skipped is not lost: a person may still want it.
    world.retry("old").await.unwrap();
    world.delivery_is("old", DeliveryStatus::Succeeded).await;
}

#[tokio::test]
async fn what_is_held_survives_a_kill() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    world.disable(&id).await;
    for n in 0..20 {
        world.publish(&format!("e{n}")).await;
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Held).await;
    }
    world.process.kill();
    let world = world.again(&[]).await;
    world.enable(&id, false).await;
    for n in 0..20 {
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Succeeded).await;
    }
    assert_eq!(receiver.count(), 20);
}

#[tokio::test]
async fn a_destination_that_flaps_loses_and_doubles_nothing() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let id = world.destination(&receiver.url()).await;
    let flapping = async {
        for _ in 0..100 {
            world.disable(&id).await;
            world.enable(&id, false).await;
        }
    };
    let publishing = async {
        for n in 0..200 {
            world.publish(&format!("e{n}")).await;
        }
    };
    tokio::join!(flapping, publishing);
    wait::until("all of them", Duration::from_secs(60), async || receiver.count() >= 200).await;
    for n in 0..200 {
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Succeeded).await;
    }
    assert_eq!((receiver.count(), events_at(&receiver).len()), (200, 200));
}
