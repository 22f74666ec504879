//! Held deliveries: deactivation and its exceptions, release, and skipping.

use std::time::Duration;

use api::{DeliveryStatus, duration_to_api};
use serde_json::{Value, json};
use testkit::{Answer, Receiver, wait};

use crate::world::{ACCOUNT, API_USER, SOON, World, events_at, lead_of, some_destination};

fn strict() -> api::RetryPolicy {
    let custom = api::CustomRetryPolicy { deactivate_on_exhaustion: true, ..api::CustomRetryPolicy::default() };
    api::RetryPolicy { policy: Some(api::retry_policy::Policy::Custom(custom)) }
}

/// Retries after these pauses, then deactivation by this rule, or by the older flag if the rule is empty.
pub(crate) fn rule(schedule: &[Duration], deactivate: &str) -> api::RetryPolicy {
    let custom = api::CustomRetryPolicy {
        schedule: schedule.iter().copied().map(duration_to_api).collect(),
        deactivate_on_exhaustion: deactivate.is_empty(),
        deactivate: deactivate.to_owned(),
        ..api::CustomRetryPolicy::default()
    };
    api::RetryPolicy { policy: Some(api::retry_policy::Policy::Custom(custom)) }
}

async fn shown(world: &World, destination_id: &str) -> api::Destination {
    let request = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: destination_id.to_owned() };
    world.registry().get_destination(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn exhausted_destination_is_deactivated_and_misses_nothing() {
    let (world, receiver, operations) = (World::start().await, Receiver::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    let event_types = vec!["leadline.destination.deactivated".to_owned()];
    world.destination_with(api::Destination { url: operations.url(), event_types, ..some_destination() }).await;
    let destination = api::Destination {
        url: receiver.url(),
        retry_policy: Some(strict()),
        name: "CRM".into(),
        ..some_destination()
    };
    let id = world.destination_with(destination).await;
    world.publish("first").await;
    let first = world.delivery_is("first", DeliveryStatus::Failed).await.delivery.unwrap();
    let deactivated = wait::until("the deactivation", SOON, async || shown(&world, &id).await.deactivated).await;
    assert_eq!(deactivated.cause, "exhausted");
    assert!(deactivated.first_failed_at.is_some());
    let by = (deactivated.delivery_id.as_str(), deactivated.lead_id.as_str(), deactivated.event_id.as_str());
    assert_eq!(by, (first.delivery_id.as_str(), lead_of("first").as_str(), "first"));
    assert_eq!((deactivated.attempts, deactivated.http_status_code, deactivated.held), (1, 500, Some(0)));
    assert!(!deactivated.suggested_action.is_empty());
    wait::until_eq("the event", SOON, 1, async || operations.count()).await;
    let event: Value = serde_json::from_slice(&operations.requests()[0].body).unwrap();
    assert_eq!((&event["delivery"]["id"], &event["destination"]["held"]), (&json!(first.delivery_id), &json!(0)));
    assert_eq!(
        (&event["delivery"]["http_status_code"], &event["delivery"]["lead_id"]),
        (&json!(500), &json!("lead-first"))
    );
    let mail = wait::until("a mail to the people behind the API", SOON, async || {
        world.home.outbox().into_iter().find(|mail| mail.contains("Webhook Deactivated"))
    })
    .await;
    assert!(mail.contains(&format!("To: {API_USER}")) && mail.contains("CRM") && mail.contains(&id), "{mail}");
    for (name, value) in
        [("Lead", "lead-first"), ("Delivery", &first.delivery_id), ("Last answer", "500"), ("Held now", "0")]
    {
        let contains = |line: &str| line.strip_prefix(&format!("{name}:")).is_some_and(|rest| rest.trim() == value);
        assert!(mail.lines().any(contains), "{name}: {value} is missing in {mail}");
    }

    receiver.answer(Answer::Status(200));
    let events: Vec<_> = (0..10).map(|n| format!("held{n}")).collect();
    for event in &events {
        world.publish(event).await;
        world.delivery_is(event, DeliveryStatus::Held).await;
    }
    assert_eq!(receiver.count(), 1);
    assert_eq!(shown(&world, &id).await.deactivated.unwrap().held, Some(10));
    let shown_by_cli = world.run(&["destinations", "show", &id]).await.well();
    assert!(shown_by_cli.fact("by delivery").starts_with(&first.delivery_id), "{shown_by_cli:?}");
    assert_eq!(shown_by_cli.fact("of lead"), "lead-first (event first)");
    assert_eq!((shown_by_cli.fact("last answer"), shown_by_cli.fact("held")), ("500", "10"));
    world.enable(&id, false).await;
    for event in &events {
        world.delivery_is(event, DeliveryStatus::Succeeded).await;
    }
    assert_eq!(receiver.count(), 11);
}

/// The delivery of an event to one of several destinations, once it has a status.
async fn delivery_to(world: &World, id: &str, event: &str, status: DeliveryStatus) -> api::Delivery {
    let filter =
        api::DeliveryFilter { event_id: event.into(), destination_id: id.into(), ..api::DeliveryFilter::default() };
    let request = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
    wait::until(&format!("{event} {} at {id}", status.as_str_name()), SOON, async || {
        let found = world.deliveries().list_deliveries(request.clone()).await.unwrap().into_inner().deliveries;
        found.into_iter().find(|delivery| delivery.status() == status).ok_or("another status")
    })
    .await
}

/// The first attempt fails before another delivery succeeds. The last attempt happens in a process that has seen
/// neither.
#[tokio::test]
async fn rejected_lead_does_not_deactivate_if_others_succeed() {
    const ANSWER_DELAY: Duration = Duration::from_secs(3);
    let world = World::start().await;
    let mut destinations = vec![];
    for deactivate in ["", "if_nothing_succeeded", "on_exhaustion", "never"] {
        let receiver = Receiver::start().await;
        receiver.answer_by(|seen| {
            let rejected = seen.body.windows(3).any(|part| part == b"bad");
            Answer::Status(if rejected { 422 } else { 200 })
        });
        let retry_policy = Some(rule(&[ANSWER_DELAY], deactivate));
        let destination = api::Destination { url: receiver.url(), retry_policy, ..some_destination() };
        destinations.push((world.destination_with(destination).await, receiver));
    }
    world.publish("bad").await;
    for (id, _) in &destinations {
        delivery_to(&world, id, "bad", DeliveryStatus::Retrying).await;
    }
    world.publish("good").await;
    for (id, _) in &destinations {
        delivery_to(&world, id, "good", DeliveryStatus::Succeeded).await;
    }
    world.process.kill();
    let world = world.again(&[]).await;
    for (id, _) in &destinations {
        let failed = delivery_to(&world, id, "bad", DeliveryStatus::Failed).await;
        assert_eq!((failed.failure_reason.as_str(), failed.attempts), ("exhausted", 2));
    }
    let strict = &destinations[2].0;
    wait::until("the strict one to be deactivated", SOON, async || shown(&world, strict).await.deactivated).await;
    world.publish("later").await;
    for (id, _) in &destinations {
        let status = if id == strict { DeliveryStatus::Held } else { DeliveryStatus::Succeeded };
        let later = delivery_to(&world, id, "later", status).await;
        assert_eq!(
            (later.deactivation_cause.as_str(), shown(&world, id).await.deactivated.is_some()),
            ("", id == strict)
        );
    }
}

#[tokio::test]
async fn successes_before_the_first_failure_do_not_prevent_deactivation() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let retry_policy = Some(rule(&[Duration::from_millis(100)], "if_nothing_succeeded"));
    let id = world.destination_with(api::Destination { url: receiver.url(), retry_policy, ..some_destination() }).await;
    world.publish("good").await;
    world.delivery_is("good", DeliveryStatus::Succeeded).await;
    receiver.answer(Answer::Status(503));
    world.publish("first").await;
    world.delivery_is("first", DeliveryStatus::Failed).await;
    let why = wait::until("the deactivation", SOON, async || shown(&world, &id).await.deactivated).await;
    assert_eq!((why.event_id.as_str(), why.attempts, why.http_status_code), ("first", 2, 503));
}

#[tokio::test]
async fn unknown_deactivation_rule_is_refused() {
    let world = World::start().await;
    let destination = api::Destination {
        url: "http://127.0.0.1:9/".into(),
        retry_policy: Some(rule(&[], "sometimes")),
        ..some_destination()
    };
    let request =
        api::CreateDestinationRequest { destination: Some(destination), ..api::CreateDestinationRequest::default() };
    let refused = world.registry().create_destination(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    for part in ["retry_policy.custom.deactivate", "sometimes", "if_nothing_succeeded", "on_exhaustion", "never"] {
        assert!(refused.message().contains(part), "{refused:?}");
    }
}

#[tokio::test]
async fn status_410_deactivates_the_destination() {
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
async fn held_deliveries_can_be_skipped_and_retried_later() {
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
    // A skipped delivery can still be retried.
    world.retry("old").await.unwrap();
    world.delivery_is("old", DeliveryStatus::Succeeded).await;
}

#[tokio::test]
async fn held_deliveries_survive_a_kill() {
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
async fn flapping_destination_loses_and_repeats_nothing() {
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
