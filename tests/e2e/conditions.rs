//! Destinations with conditions on payloads.

use api::DeliveryStatus;
use serde_json::json;
use testkit::{Receiver, wait};
use tonic::Code;

use crate::world::{ACCOUNT, INTERFACE, SOON, World, events_at, some_destination};

const RICH: &str = r#"{"payload.country": {"in": ["DE", "AT"]}, "payload.budget": {"gte": 5000}}"#;

async fn rich(world: &World, receiver: &Receiver) -> String {
    let destination = api::Destination { url: receiver.url(), condition: RICH.into(), ..some_destination() };
    world.destination_with(destination).await
}

async fn publish(world: &World, event: &str, payload: &str) {
    let payload: Box<serde_json::value::RawValue> = serde_json::from_str(payload).unwrap();
    let event =
        json!({"account": ACCOUNT, "interface": INTERFACE, "event_id": event, "lead_id": format!("lead-{event}")});
    let mut text = event.to_string();
    text.truncate(text.len() - 1);
    let (status, answer) = world.post(format!("{text}, \"payload\": {payload}}}"), &[]).await;
    assert_eq!(status, 202, "{answer}");
}

#[tokio::test]
async fn events_that_fail_a_condition_go_to_a_lower_destination() {
    for args in [&[][..], &["--burst-above", "0"]] {
        let world = World::start_with(args, &[]).await;
        let (receiver, rest) = (Receiver::start().await, Receiver::start().await);
        rich(&world, &receiver).await;
        let lower = api::Destination { interface_id: INTERFACE.into(), url: rest.url(), ..some_destination() };
        world.destination_with(lower).await;
        publish(&world, "rich", r#"{"country": "DE", "budget": 5000.0}"#).await;
        publish(&world, "poor", r#"{"country": "DE", "budget": 4999.9999999999999999999}"#).await;
        publish(&world, "text", r#"{"country": "AT", "budget": "6000"}"#).await;
        publish(&world, "far", r#"{"country": "FR", "budget": 9000}"#).await;
        for event in ["rich", "poor", "text", "far"] {
            world.delivery_is(event, DeliveryStatus::Succeeded).await;
        }
        assert_eq!(events_at(&receiver), ["rich"]);
        assert_eq!(events_at(&rest), ["far", "poor", "text"]);
    }
}

#[tokio::test]
async fn conditions_apply_to_order_recoveries_and_updates() {
    let world = World::start().await;
    let (receiver, late) = (Receiver::start().await, Receiver::start().await);
    let ordered = api::Destination { url: receiver.url(), condition: RICH.into(), ordered: true, ..some_destination() };
    let id = world.destination_with(ordered).await;
    publish(&world, "no", r#"{"country": "DE"}"#).await;
    publish(&world, "yes", r#"{"country": "DE", "budget": 1e4}"#).await;
    world.delivery_is("yes", DeliveryStatus::Succeeded).await;
    assert_eq!(events_at(&receiver), ["yes"]);

    // A recovery of older events brings only those that meet the condition.
    let all =
        api::Destination { client_id: String::new(), url: late.url(), condition: RICH.into(), ..some_destination() };
    let late_id = world.destination_with(all).await;
    let since = "1h";
    let recover = ["recover", &late_id, "--since", since, "--include-before-created"];
    let ran = world.run(&recover).await.well();
    wait::until_eq("the wanted event", SOON, vec!["yes".to_owned()], async || events_at(&late)).await;
    assert_eq!(late.count(), 1, "{ran:?}");

    // A condition can be changed and removed like any other setting.
    let update = async |condition: &str| {
        let destination = api::Destination {
            account_id: ACCOUNT.into(),
            destination_id: id.clone(),
            condition: condition.into(),
            ..api::Destination::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["condition".into()] });
        let request =
            api::UpdateDestinationRequest { destination: Some(destination), update_mask, ..Default::default() };
        world.registry().update_destination(request).await.map(tonic::Response::into_inner)
    };
    let changed = update(r#"{"payload.country": "FR"}"#).await.unwrap();
    assert_eq!((changed.condition.as_str(), changed.ordered), (r#"{"payload.country": "FR"}"#, true));
    publish(&world, "fr", r#"{"country": "FR"}"#).await;
    wait::until_eq("the event by the new condition", SOON, vec!["fr".to_owned(), "yes".into()], async || {
        events_at(&receiver)
    })
    .await;
    assert_eq!(update("").await.unwrap().condition, "");
    publish(&world, "any", "{}").await;
    wait::until_eq("the event without a condition", SOON, 3, async || events_at(&receiver).len()).await;
}

#[tokio::test]
async fn condition_errors_name_their_position_and_can_be_tested() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    for (wrong, expected) in [
        (r#"{"payload.budget": {"atleast": 5000}}"#, "condition: payload.budget.atleast: is not an operator"),
        (r#"{"or": [{"payload.a": 1}, {"country": "DE"}]}"#, "condition: or[1].country: is not a path"),
        ("{", "condition: is not JSON"),
    ] {
        let destination = api::Destination { url: receiver.url(), condition: wrong.into(), ..some_destination() };
        let request = api::CreateDestinationRequest { destination: Some(destination), ..Default::default() };
        let refused = world.registry().create_destination(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(expected), "{refused}");
    }
    let id = rich(&world, &receiver).await;
    let test = async |destination: &str, condition: &str, payload: &str| {
        let request = api::TestConditionRequest {
            account_id: ACCOUNT.into(),
            destination_id: destination.into(),
            condition: condition.into(),
            payload: payload.as_bytes().to_vec(),
        };
        world.registry().test_condition(request).await.map(tonic::Response::into_inner)
    };
    assert!(test(&id, "", r#"{"country": "DE", "budget": 5000}"#).await.unwrap().holds);
    let no = test(&id, "", r#"{"country": "DE", "budget": 1}"#).await.unwrap();
    assert_eq!((no.holds, no.unmet.as_str()), (false, "payload.budget.gte"));
    let no = test("", r#"{"payload.a": {"exists": true}}"#, "{}").await.unwrap();
    assert_eq!((no.unmet.as_str(), no.reason.as_str()), ("payload.a.exists", "the field is missing"));
    for (destination, condition, payload, field) in [
        (&*id, RICH, "{}", "condition"),
        ("", "", "{}", "condition"),
        (&id, "", "{", "payload"),
        ("", "{}", "1", "condition"),
    ] {
        let refused = test(destination, condition, payload).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(field), "{refused}");
    }

    // The same on the command line.
    world
        .run(&["destinations", "test-condition", "CRM", "--payload", r#"{"country": "AT", "budget": 5000}"#])
        .await
        .well();
    let ran = world.run(&["destinations", "test-condition", "CRM", "--payload", r#"{"country": "AT"}"#]).await;
    assert_eq!((ran.code, ran.out.contains("payload.budget.gte: the field is missing")), (1, true), "{ran:?}");
    let made =
        ["destinations", "create", "--name", "two", "--url", &receiver.url(), "--condition", r#"{"payload.a": 1}"#];
    let made = world.run(&made).await.well();
    assert_eq!(made.fact("condition"), r#"{"payload.a": 1}"#);
    world.run(&["destinations", "update", "two", "--condition", ""]).await.well();
}
