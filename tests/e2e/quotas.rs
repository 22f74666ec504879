//! Quotas of an account: every limit is a setting, and every refusal names it.

use std::time::{Duration, Instant};

use api::publish_leads_result::Result as Outcome;
use futures::StreamExt as _;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::world::{ACCOUNT, INTERFACE, World, event_json, some_destination, web};

fn request(event: &str) -> api::PublishLeadRequest {
    api::PublishLeadRequest {
        account: ACCOUNT.into(),
        interface: INTERFACE.into(),
        event_id: event.into(),
        payload: b"{}".as_slice().into(),
        ..api::PublishLeadRequest::default()
    }
}

#[tokio::test]
async fn publishing_above_the_rate_is_refused_with_a_delay() {
    // So slow that the burst is not refilled while the test runs.
    let world = World::start_with(&["--publish-rate", "1", "--publish-burst", "4"], &[]).await;
    let lines = |ids: std::ops::Range<usize>| {
        let events: Vec<_> = ids.map(|n| event_json(&format!("e{n}")).to_string()).collect();
        format!("[{}]", events.join(","))
    };
    let (status, answer) = world.post(lines(0..5), &[]).await;
    assert_eq!(
        (status, &answer["error"]["field"]),
        (400, &json!("body")),
        "more events than the burst allows: {answer}"
    );
    assert!(answer["error"]["message"].as_str().unwrap().contains("--publish-burst"), "{answer}");
    assert_eq!(world.post(lines(0..4), &[]).await.0, 202);

    let too_fast = web().post(format!("{}/v1/leads", world.http)).bearer_auth(&world.key).body(lines(4..8));
    let refused = too_fast.send().await.unwrap();
    assert_eq!(refused.status(), 429);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=4).contains(&wait), "{wait} s");
    let answer: serde_json::Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("account: acme") && message.contains("--publish-rate"), "{message}");

    let mut client = world.ingest();
    let refused = loop {
        // One more event is allowed each second.
        if let Err(status) = client.publish_lead(request("")).await {
            break status;
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let details = refused.get_error_details();
    let wait = details.retry_info().unwrap().retry_delay.unwrap();
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
    assert_eq!(details.quota_failure().unwrap().violations[0].subject, "account:acme");
    // Refused events are not stored.
    let leads =
        api::ListLeadsRequest { account_id: ACCOUNT.into(), page_size: 500, ..api::ListLeadsRequest::default() };
    let stored = world.leads().list_leads(leads).await.unwrap().into_inner().leads;
    assert!(stored.iter().all(|lead| !["lead-e4", "lead-e7"].contains(&lead.lead_id.as_str())), "{stored:?}");
}

#[tokio::test]
async fn publish_stream_is_read_at_the_rate_of_its_account() {
    const EVENTS: usize = 30;
    let world = World::start_with(&["--publish-rate", "20", "--publish-burst", "10"], &[]).await;
    let begun = Instant::now();
    let events = futures::stream::iter((0..EVENTS).map(|n| request(&format!("s{n}"))));
    let results = world.ingest().publish_leads(events).await.unwrap().into_inner();
    let results: Vec<_> = results.map(|result| result.unwrap().result.unwrap()).collect().await;
    assert_eq!(results.len(), EVENTS);
    assert!(results.iter().all(|result| matches!(result, Outcome::Published(_))), "{results:?}");
    // Ten at once, and the other twenty within one second.
    assert!(begun.elapsed() >= Duration::from_millis(950), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn limits_of_an_account_are_settings_named_in_refusals() {
    let settings = [
        "--max-destinations=3",
        "--max-deliveries-per-event=2",
        "--max-template-bytes=200",
        "--max-clients=1",
        "--max-interfaces=2",
        "--max-tokens=1",
    ];
    let world = World::start_with(&settings, &[]).await;
    let mut registry = world.registry();
    let create = async |destination: api::Destination| {
        let request = api::CreateDestinationRequest { destination: Some(destination), ..Default::default() };
        world.registry().create_destination(request).await.map(|made| made.into_inner().destination_id)
    };
    let of_type = |event_type: &str| api::Destination {
        url: "https://crm.example/".into(),
        event_types: vec![event_type.into()],
        ..some_destination()
    };
    let mut refusals = vec![];
    let first = create(of_type("one")).await.unwrap();
    create(of_type("one")).await.unwrap();
    refusals.push((
        "3 deliveries of one event, and 2",
        "--max-deliveries-per-event",
        create(of_type("*")).await.unwrap_err(),
    ));
    let long = api::destination::Body::BodyTemplate(format!("{{\"text\": \"{}\"}}", "x".repeat(188)));
    let templates = create(api::Destination { body: Some(long), ..of_type("two") }).await.unwrap_err();
    refusals.push((
        "260 bytes of URLs, templates, form settings, conditions and certificates, and 200",
        "--max-template-bytes",
        templates,
    ));
    create(of_type("two")).await.unwrap();
    refusals.push(("4 destinations, and 3", "--max-destinations", create(of_type("three")).await.unwrap_err()));

    world.client("c1").await;
    let client = api::Client { account_id: ACCOUNT.into(), client_id: "c2".into(), name: String::new() };
    let refused = registry.create_client(api::CreateClientRequest { client: Some(client) }).await.unwrap_err();
    refusals.push(("2 clients, and 1", "--max-clients", refused));
    world.interface("i2").await;
    let interface = api::Interface { account_id: ACCOUNT.into(), interface_id: "i3".into(), ..Default::default() };
    let refused = registry.create_interface(api::CreateInterfaceRequest { interface: Some(interface) }).await;
    refusals.push(("3 interfaces, and 2", "--max-interfaces", refused.unwrap_err()));
    let token = || api::CreateTokenRequest { account_id: ACCOUNT.into(), name: "T".into(), ..Default::default() };
    registry.create_token(token()).await.unwrap();
    refusals.push(("2 tokens, and 1", "--max-tokens", registry.create_token(token()).await.unwrap_err()));
    for (expected, setting, refused) in refusals {
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        let message = refused.message();
        assert!(message.contains(&format!("account acme would have {expected} is the limit")), "{expected}: {message}");
        assert!(message.contains(setting), "{setting}: {message}");
    }
    // A deletion frees its place.
    world.delete(&first).await;
    create(of_type("three")).await.unwrap();
}
