//! Explanations why a destination got an event, or did not.

use std::time::Duration;

use api::{RoutingOutcome, RoutingRule, routing_service_client::RoutingServiceClient};
use serde_json::json;
use testkit::Receiver;
use tonic::Code;

use crate::world::{ACCOUNT, INTERFACE, World, lead_of, retries, some_destination};

const SECRET: &str = "ada@example.com";

async fn explained(world: &World, destination: &str, event: &str) -> api::RoutingExplanation {
    let request = api::ExplainRoutingRequest {
        account_id: ACCOUNT.into(),
        destination_id: destination.into(),
        event_id: event.into(),
        lead_id: String::new(),
    };
    let mut answer = explain(world, request).await.unwrap();
    assert_eq!((answer.explanations.len(), answer.more), (1, false));
    let only = answer.explanations.remove(0);
    assert!(!format!("{only:?}").contains(SECRET), "{only:?}");
    only
}

async fn explain(
    world: &World,
    request: api::ExplainRoutingRequest,
) -> Result<api::ExplainRoutingResponse, tonic::Status> {
    let mut client = RoutingServiceClient::new(world.channel());
    client.explain_routing(request).await.map(tonic::Response::into_inner)
}

/// The answer of a rule, and its reason.
fn answer(of: &api::RoutingExplanation, rule: RoutingRule) -> (RoutingOutcome, String) {
    let found = of.answers.iter().find(|answer| answer.rule() == rule).unwrap();
    (found.outcome(), found.reason.clone())
}

async fn publish(world: &World, event: &str, budget: u32) {
    world.publish_with(event, json!({"payload": {"email": SECRET, "budget": budget}})).await;
}

#[tokio::test]
async fn explanation_uses_the_configuration_at_the_time_of_the_event() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        publish(&world, "early", 9_000).await;
        let condition = r#"{"payload.budget": {"gte": 5000}}"#.to_owned();
        let rich = api::Destination { name: "Rich".into(), url: receiver.url(), condition, ..some_destination() };
        let rich = world.destination_with(rich).await;
        let lower = api::Destination { interface_id: INTERFACE.into(), url: receiver.url(), ..some_destination() };
        let lower = world.destination_with(lower).await;
        world.interface("page").await;
        let elsewhere = api::Destination { interface_id: "page".into(), url: receiver.url(), ..some_destination() };
        let elsewhere = world.destination_with(elsewhere).await;
        publish(&world, "poor", 100).await;
        publish(&world, "rich", 9_000).await;
        for event in ["poor", "rich"] {
            world.delivery_is(event, api::DeliveryStatus::Succeeded).await;
        }

        let early = explained(&world, &rich, "early").await;
        assert!(!early.routed && early.routed_now && early.delivery.is_none());
        let (outcome, reason) = answer(&early, RoutingRule::Existence);
        assert!(outcome == RoutingOutcome::No && reason.contains("after the event was published"), "{reason}");

        let poor = explained(&world, &rich, "poor").await;
        assert!(!poor.routed && poor.delivery.is_none());
        let unmet =
            "the condition does not hold: payload.budget.gte: the field is a number for which this does not hold";
        assert_eq!(answer(&poor, RoutingRule::Condition), (RoutingOutcome::No, unmet.into()));
        assert_eq!(poor.summary, format!("The destination does not get the event: {unmet}."));

        let got = explained(&world, &lower, "poor").await;
        assert!(got.routed && got.answers.iter().all(|a| a.outcome() == RoutingOutcome::Yes), "{got:?}");
        assert_eq!(got.delivery.unwrap().status(), api::DeliveryStatus::Succeeded);

        let overridden = explained(&world, &lower, "rich").await;
        let (outcome, reason) = answer(&overridden, RoutingRule::Override);
        assert!(outcome == RoutingOutcome::No && reason.contains(&format!("Rich ({rich})")), "{reason}");
        let other = explained(&world, &elsewhere, "rich").await;
        let (outcome, reason) = answer(&other, RoutingRule::Scope);
        assert_eq!(outcome, RoutingOutcome::No);
        assert_eq!(reason, "the destination is for interface page; the event came from interface form");

        // A later change does not change an earlier decision.
        world.disable(&lower).await;
        let got = explained(&world, &lower, "poor").await;
        assert!(got.routed);
        assert_eq!(answer(&got, RoutingRule::Enabled).0, RoutingOutcome::No);
        world.delete(&rich).await;
        let gone = explained(&world, &rich, "rich").await;
        assert!(gone.routed && !gone.routed_now && gone.delivery.is_some(), "{gone:?}");
    }
}

#[tokio::test]
async fn named_destination_and_earlier_delivery_are_explained() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let named = world.destination(&receiver.url()).await;
    let other = world.destination(&receiver.url()).await;
    world.publish_with("named", json!({"destination_id": named})).await;
    world.delivery_is("named", api::DeliveryStatus::Succeeded).await;
    let got = explained(&world, &named, "named").await;
    assert!(got.routed, "{got:?}");
    let (outcome, reason) = answer(&got, RoutingRule::Name);
    assert_eq!(
        (outcome, reason.as_str()),
        (RoutingOutcome::Yes, "the event names this destination, so routing does not decide")
    );
    let left_out = explained(&world, &other, "named").await;
    let reason = format!("the event names destination {named}, so it goes there alone");
    assert_eq!(answer(&left_out, RoutingRule::Name), (RoutingOutcome::No, reason));
    assert!(!left_out.routed && left_out.delivery.is_none(), "{left_out:?}");
    assert_eq!(answer(&got, RoutingRule::Order), (RoutingOutcome::Yes, "the destination is not ordered".into()));
    for id in [named, other] {
        world.delete(&id).await;
    }

    receiver.answer_next([testkit::Answer::Status(500)]);
    let retry_policy = Some(retries(&[Duration::from_secs(3_600)]));
    let ordered = api::Destination { url: receiver.url(), ordered: true, retry_policy, ..some_destination() };
    let ordered = world.destination_with(ordered).await;
    world.publish_with("first", json!({"lead_id": "ada"})).await;
    let first = world.delivery_is("first", api::DeliveryStatus::Retrying).await.delivery.unwrap().delivery_id;
    world.publish_with("second", json!({"lead_id": "ada"})).await;
    world.delivery("second").await;
    let waits = explained(&world, &ordered, "second").await;
    let reason = format!("the destination is ordered: delivery {first} of an earlier event has to end first");
    assert_eq!(answer(&waits, RoutingRule::Order), (RoutingOutcome::No, reason));
    assert!(waits.routed, "order delays a delivery, and routing has decided: {waits:?}");
    let reason = "the destination is ordered, and no earlier delivery of the lead waits";
    let before = explained(&world, &ordered, "first").await;
    assert_eq!(answer(&before, RoutingRule::Order), (RoutingOutcome::Yes, reason.into()));
}

#[tokio::test]
async fn anonymised_lead_is_explained_without_its_payload() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let condition = r#"{"payload.budget": {"gte": 5000}}"#.to_owned();
    let rich = api::Destination { url: receiver.url(), condition, ..some_destination() };
    let rich = world.destination_with(rich).await;
    publish(&world, "e", 9_000).await;
    world.delivery_is("e", api::DeliveryStatus::Succeeded).await;
    let request = api::AnonymizeLeadsRequest {
        account_id: ACCOUNT.into(),
        lead_ids: vec![lead_of("e")],
        ..api::AnonymizeLeadsRequest::default()
    };
    world.leads().anonymize_leads(request).await.unwrap();
    testkit::wait::until("the payload to be erased", crate::world::SOON, async || {
        let found = explained(&world, &rich, "e").await;
        let erased = answer(&found, RoutingRule::Condition).0 == RoutingOutcome::NotAsked;
        if erased { Ok(found) } else { Err(found) }
    })
    .await;
    let found = explained(&world, &rich, "e").await;
    assert_eq!(answer(&found, RoutingRule::Anonymised).0, RoutingOutcome::No);
    assert!(found.delivery.is_some());
}

#[tokio::test]
async fn changes_that_override_another_destination_warn() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let create = async |name: &str, interface: &str| {
        let (name, interface_id) = (name.to_owned(), interface.to_owned());
        let destination = api::Destination { name, interface_id, url: receiver.url(), ..some_destination() };
        let request = api::CreateDestinationRequest { destination: Some(destination), ..Default::default() };
        world.registry().create_destination(request).await.unwrap().into_inner()
    };
    let form = create("Form", INTERFACE).await;
    assert_eq!(form.warnings, [""; 0]);
    let all = create("All", "").await;
    let [warning] = all.warnings.as_slice() else { panic!("{:?}", all.warnings) };
    let named = format!("This destination overrides Form ({}) of interface form: ", form.destination_id);
    assert!(warning.starts_with(&named), "{warning}");
    let ran = world.run(&["destinations", "update", &form.destination_id, "--name", "Old form"]).await.well();
    let warned = format!("Warning: This destination is overridden by All ({}) of the account", all.destination_id);
    assert!(ran.err.contains(&warned), "{ran:?}");
    // Two destinations of one level share events; neither overrides the other.
    assert_eq!(create("Form, too", INTERFACE).await.warnings.len(), 1);
}

#[tokio::test]
async fn command_line_explains_every_event_of_a_lead() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let destination = api::Destination {
        name: "CRM".into(),
        url: receiver.url(),
        event_types: vec!["lead.*".into()],
        ..some_destination()
    };
    world.destination_with(destination).await;
    world.publish_with("created", json!({"lead_id": "ada", "type": "lead.created"})).await;
    world.delivery_is("created", api::DeliveryStatus::Succeeded).await;
    world.publish_with("opened", json!({"lead_id": "ada", "type": "email.open"})).await;
    testkit::wait::until_eq("both events to be known", crate::world::SOON, 2, async || {
        let ran = world.run(&["explain", "ada", "CRM", "--json"]).await;
        ran.json()["explanations"].as_array().map_or(0, Vec::len)
    })
    .await;
    let ran = world.run(&["explain", "ada", "CRM"]).await.well();
    assert!(ran.out.find("opened (email.open)") < ran.out.find("created (lead.created)"), "{}", ran.out);
    assert!(ran.out.contains("The destination gets the event. The delivery has succeeded."), "{}", ran.out);
    assert!(ran.out.contains("the type email.open matches none of lead.*"), "{}", ran.out);
    let one = world.run(&["explain", "--event", "opened", "CRM", "--json"]).await.well().json();
    assert_eq!(one["explanations"].as_array().unwrap().len(), 1);

    let request = |lead: &str, event: &str, destination: &str| api::ExplainRoutingRequest {
        account_id: ACCOUNT.into(),
        destination_id: destination.into(),
        event_id: event.into(),
        lead_id: lead.into(),
    };
    let crm = world.run(&["destinations", "list", "--json"]).await.well().json_lines()[0]["destination_id"].clone();
    let crm = crm.as_str().unwrap();
    for (request, code) in [
        (request("", "", crm), Code::InvalidArgument),
        (request("ada", "created", crm), Code::InvalidArgument),
        (request("nobody", "", crm), Code::NotFound),
        (request("", "nothing", crm), Code::NotFound),
        (request("ada", "", "dst_unknown"), Code::NotFound),
    ] {
        let refused = explain(&world, request).await.unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
    }
}
