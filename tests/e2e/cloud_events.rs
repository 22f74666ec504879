//! CloudEvents at `/v1/leads`, as brokers and their libraries send them.

use api::DeliveryStatus;
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::{Receiver, wait};

use crate::world::{ACCOUNT, INTERFACE, SOON, World, web};

/// Posts a request whose query names account and interface, for senders that cannot set extension attributes.
async fn post(world: &World, headers: &[(&str, &str)], body: String) -> (StatusCode, Value) {
    let address = format!("{}/v1/leads?account={ACCOUNT}&interface={INTERFACE}", world.http);
    let request = web().post(address).bearer_auth(world.home.admin_key()).body(body);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

fn event(id: &str, lead: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/shop", "type": "lead.created", "leadlinelead": lead,
        "data": {"name": lead},
    })
}

#[tokio::test]
async fn cloud_events_of_each_mode_become_deduplicated_leads() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let structured = [("content-type", "application/cloudevents+json; charset=UTF-8")];
    let (status, one) = post(&world, &structured, event("1", "ada").to_string()).await;
    assert_eq!((status, &one["lead_id"], &one["duplicate"]), (StatusCode::ACCEPTED, &json!("ada"), &json!(false)));

    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/shop"),
        ("ce-type", "lead.created"),
        ("ce-leadlinelead", "ada"),
    ];
    let (status, same) = post(&world, &binary, json!({"name": "ada"}).to_string()).await;
    assert_eq!((status, &same["event_id"], &same["duplicate"]), (StatusCode::ACCEPTED, &one["event_id"], &json!(true)));

    let batch = [("content-type", "application/cloudevents-batch+json")];
    let mut of_another_source = event("1", "bob");
    of_another_source["source"] = "/fair".into();
    let events = json!([event("2", "cleo"), of_another_source]);
    let (status, answer) = post(&world, &batch, events.to_string()).await;
    assert_eq!((status, answer["results"].as_array().unwrap().len()), (StatusCode::ACCEPTED, 2), "{answer}");

    wait::until_eq("three leads", SOON, 3, async || receiver.count()).await;
    let mut names: Vec<_> =
        receiver.requests().iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect();
    names.sort();
    assert_eq!(names, ["ada", "bob", "cleo"].map(|name| json!({"name": name}).to_string()));
    let succeeded = async || world.all(DeliveryStatus::Succeeded).await.len();
    wait::until_eq("three deliveries", SOON, 3, succeeded).await;

    let (status, wrong) = post(&world, &batch, json!([event("3", "eve"), {"id": "4"}]).to_string()).await;
    assert_eq!((status, &wrong["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("specversion")), "{wrong}");
}
