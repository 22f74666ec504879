//! Loops: a destination whose receiver is Leadline's own `/v1/leads`.

use api::{DeliveryStatus, Scope};
use serde_json::json;
use testkit::{Answer, Receiver, wait};
use tonic::{Code, Request};

use crate::world::{ACCOUNT, INTERFACE, SOON, World, event_json, some_destination};

/// The default of `--max-hops`.
const MAX_HOPS: usize = 4;

/// Creates a destination of `from` that publishes the body of this template to `to`. Returns its id.
async fn to_leadline(from: &World, to: &World, event_types: &[&str], template: &str) -> String {
    let (key, _) = to.new_key(ACCOUNT, &[Scope::Publish]).await;
    from.destination_with(api::Destination {
        name: "Leadline".into(),
        url: format!("{}/v1/leads", to.http),
        event_types: event_types.iter().map(|&pattern| pattern.to_owned()).collect(),
        auth: Some(api::Auth { kind: Some(api::auth::Kind::BearerToken(key)), ..api::Auth::default() }),
        body: Some(api::destination::Body::BodyTemplate(template.into())),
        retry_policy: None,
        ..some_destination()
    })
    .await
}

fn event() -> String {
    json!({"account": ACCOUNT, "interface": INTERFACE, "payload": {"again": true}}).to_string()
}

async fn deliveries(world: &World, filter: api::DeliveryFilter) -> Vec<api::Delivery> {
    let request = api::ListDeliveriesRequest { filter: Some(filter), page_size: 500, ..Default::default() };
    world.deliveries().list_deliveries(request).await.unwrap().into_inner().deliveries
}

#[tokio::test]
async fn loop_ends_at_the_hop_limit_with_a_reason() {
    let world = World::start().await;
    let id = to_leadline(&world, &world, &[], &format!("[{0}, {0}]", event())).await;
    world.publish("first").await;
    // The number doubles with each hop; deliveries after the last hop are refused at their first attempt.
    let refused = 1 << MAX_HOPS;
    let looped = || api::DeliveryFilter { failure_reason: "loop".into(), ..api::DeliveryFilter::default() };
    let ended = wait::until("the end of the loop", SOON, async || {
        let ended = deliveries(&world, looped()).await;
        if ended.len() == refused { Ok(ended) } else { Err(ended.len()) }
    })
    .await;
    for delivery in &ended {
        assert_eq!((delivery.status(), delivery.attempts), (DeliveryStatus::Failed, 1), "{delivery:?}");
        assert_eq!(delivery.http_status_code, 508, "{delivery:?}");
        assert!(delivery.webhook_response.contains("--max-hops"), "{delivery:?}");
        assert!(delivery.suggested_action.contains("leads back to Leadline"), "{delivery:?}");
    }
    let all = deliveries(&world, api::DeliveryFilter::default()).await;
    assert_eq!(all.len(), 2 * refused - 1, "nothing comes after them");
    let request = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: id };
    let destination = world.registry().get_destination(request).await.unwrap().into_inner();
    assert_eq!((destination.enabled, destination.deactivated), (Some(true), None));
}

#[tokio::test]
async fn chain_of_two_installations_works_and_counts_hops() {
    let (first, second, receiver) = (World::start().await, World::start().await, Receiver::start().await);
    to_leadline(&first, &second, &[], &event()).await;
    second.destination(&receiver.url()).await;
    first.publish("lead").await;
    first.delivery_is("lead", DeliveryStatus::Succeeded).await;
    wait::until("the request", SOON, async || receiver.count() == 1).await;
    assert_eq!(receiver.requests()[0].header("leadline-hops"), "2");
}

#[tokio::test]
async fn requests_with_too_many_hops_are_refused() {
    let world = World::start_with(&["--max-hops", "2"], &[]).await;
    let post = async |hops: &str, body: String| world.post(body, &[("leadline-hops", hops)]).await;
    let one = |id: &str| event_json(id).to_string();
    assert_eq!(post("2", one("two")).await.0, 202);
    for body in [one("three"), format!("[{}]", one("three"))] {
        let (status, answer) = post("3", body).await;
        assert_eq!((status, &answer["error"]["field"]), (508, &json!("leadline-hops")), "{answer}");
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(
            message.contains("3 deliveries led to this request") && message.contains("2 is the limit"),
            "{message}"
        );
    }
    let (status, answer) = post("many", one("many")).await;
    assert_eq!((status, &answer["error"]["field"]), (400, &json!("leadline-hops")), "{answer}");

    let publish = api::PublishLeadRequest {
        account: ACCOUNT.into(),
        interface: INTERFACE.into(),
        payload: b"{}".as_slice().into(),
        ..api::PublishLeadRequest::default()
    };
    let with = |hops: &'static str| {
        let mut request = Request::new(publish.clone());
        request.metadata_mut().insert("leadline-hops", hops.parse().unwrap());
        request
    };
    world.ingest().publish_lead(with("2")).await.unwrap();
    let refused = world.ingest().publish_lead(with("3")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let mut stream = Request::new(futures::stream::iter([publish.clone()]));
    stream.metadata_mut().insert("leadline-hops", "3".parse().unwrap());
    let refused = world.ingest().publish_leads(stream).await.unwrap_err();
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains("--max-hops"), "{refused}");
}

#[tokio::test]
async fn loop_through_failure_events_ends() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    let failing =
        api::Destination { url: receiver.url(), event_types: vec!["lead.created".into()], ..some_destination() };
    world.destination_with(failing).await;
    to_leadline(&world, &world, &["leadline.delivery.failed"], &event()).await;
    world.publish("first").await;
    let looped = || api::DeliveryFilter { failure_reason: "loop".into(), ..api::DeliveryFilter::default() };
    wait::until("the end of the loop", SOON, async || deliveries(&world, looped()).await.len() == 1).await;
    assert_eq!(receiver.count(), MAX_HOPS + 1);
}
