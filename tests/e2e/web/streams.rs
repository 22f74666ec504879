//! Streams over the HTTP port, and gRPC-Web.

use api::{DeliveryStatus, delivery_service_client::DeliveryServiceClient};
use base64::Engine as _;
use prost::Message as _;
use serde_json::{Value, json};
use testkit::{Receiver, wait};

use super::{call, request, sent};
use crate::world::{ACCOUNT, INTERFACE, SOON, World, web};

const CONNECT: &str = "application/connect+json";

/// A message of a stream with its prefix.
pub(crate) fn prefixed(flags: u8, message: &[u8]) -> Vec<u8> {
    [&[flags][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// Removes the complete messages from a body, with their flags.
pub(crate) fn taken(body: &mut Vec<u8>) -> Vec<(u8, Vec<u8>)> {
    let mut messages = vec![];
    while body.len() >= 5 {
        let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
        if body.len() < 5 + length {
            break;
        }
        let message = body.drain(..5 + length).collect::<Vec<_>>();
        messages.push((message[0], message[5..].to_vec()));
    }
    messages
}

fn in_json(message: &[u8]) -> Value {
    serde_json::from_slice(message).unwrap()
}

#[tokio::test]
async fn watch_over_connect_lasts_until_the_caller_disconnects() {
    let (world, receiver) = (World::start_with(&["--max-watches", "1"], &[]).await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let body = prefixed(0, json!({"account_id": ACCOUNT}).to_string().as_bytes());
    let mut watch = request(&world, "DeliveryService/WatchDeliveries", CONNECT, body.clone()).send().await.unwrap();
    assert_eq!((watch.status().as_u16(), watch.headers()["content-type"].to_str().unwrap()), (200, CONNECT));
    world.publish("e1").await;
    let mut read = vec![];
    'watch: loop {
        let chunk = tokio::time::timeout(SOON, watch.chunk()).await.expect("a change in time").unwrap();
        read.extend_from_slice(&chunk.expect("no end"));
        for (flags, message) in taken(&mut read) {
            assert_eq!(flags, 0, "{}", String::from_utf8_lossy(&message));
            let delivery = &in_json(&message)["delivery"];
            if delivery["eventId"] == "e1" && delivery["status"] == "DELIVERY_STATUS_SUCCEEDED" {
                break 'watch;
            }
        }
    }
    drop(watch);
    // The disconnected caller frees its place.
    wait::until("room for another watch", SOON, async || {
        let request = api::WatchDeliveriesRequest { account_id: ACCOUNT.into(), ..Default::default() };
        DeliveryServiceClient::new(world.channel()).watch_deliveries(request).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn stream_ends_with_its_error_or_deadline() {
    let world = World::start().await;
    let method = "DeliveryService/WatchDeliveries";
    let good = prefixed(0, json!({"account_id": ACCOUNT}).to_string().as_bytes());
    let of = |body: Vec<u8>| request(&world, method, CONNECT, body);
    let cases = [
        (of(good.clone()).header("connect-timeout-ms", "300"), "deadline_exceeded"),
        (of(prefixed(0, br#"{"account": "acme"}"#)), "invalid_argument"),
        (of(prefixed(0, br#"{"account_id": "no id"}"#)), "invalid_argument"),
        (of(prefixed(4, b"{}")), "invalid_argument"),
        (of(good[..good.len() - 1].to_vec()), "invalid_argument"),
        (of([&[0, 0xff, 0xff, 0xff, 0xff][..], b"{}"].concat()), "resource_exhausted"),
        (of(prefixed(1, b"{}")).header("connect-content-encoding", "gzip"), "invalid_argument"),
        (of(good.clone()).header("connect-content-encoding", "br"), "unimplemented"),
    ];
    for (request, code) in cases {
        let mut answer = sent(request).await;
        assert_eq!(answer.status, 200);
        let (flags, end) = taken(&mut answer.body).pop().unwrap();
        assert_eq!((flags, &in_json(&end)["error"]["code"]), (2, &json!(code)), "{}", in_json(&end));
    }
    let stranger = web().post(format!("{}/leadline.v1.{method}", world.http)).header("content-type", CONNECT);
    let mut stranger = sent(stranger.body(good)).await;
    assert_eq!(in_json(&taken(&mut stranger.body)[0].1)["error"]["code"], "unauthenticated");
}

#[tokio::test]
async fn events_can_be_published_in_a_connect_stream() {
    let world = World::start().await;
    let lead = |event: &str, account: &str| {
        let lead = json!({"account": account, "interface": INTERFACE, "event_id": event, "payload": "e30="});
        lead.to_string().into_bytes()
    };
    let zipped = prefixed(1, &crate::compressed::gzip(&lead("e2", ACCOUNT)));
    let body = [prefixed(0, &lead("e1", ACCOUNT)), zipped, prefixed(0, &lead("e3", "none"))].concat();
    let call = request(&world, "IngestService/PublishLeads", CONNECT, body);
    let mut answer = sent(call.header("connect-content-encoding", "gzip")).await;
    let mut messages = taken(&mut answer.body);
    let (flags, end) = messages.pop().unwrap();
    assert_eq!((flags, in_json(&end)), (2, json!({})));
    let mut results: Vec<_> = messages.iter().map(|(_, message)| in_json(message)).collect();
    results.sort_by_key(|result| result["index"].as_str().unwrap_or("0").to_owned());
    assert_eq!(results[0]["published"]["eventId"], "e1", "{results:?}");
    assert_eq!(results[1]["published"]["eventId"], "e2", "{results:?}");
    assert_eq!(results[2]["refused"]["field"], "account", "{results:?}");
}

#[tokio::test]
async fn grpc_web_works_in_binary_and_text_form() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let message = prefixed(0, &api::GetAccountRequest { account_id: ACCOUNT.into() }.encode_to_vec());
    let method = "RegistryService/GetAccount";
    let mut plain = sent(request(&world, method, "application/grpc-web+proto", message.clone())).await;
    let messages = taken(&mut plain.body);
    assert_eq!(api::Account::decode(&messages[0].1[..]).unwrap().name, "Acme");
    assert_eq!(messages[1].0, 0x80);
    assert!(String::from_utf8_lossy(&messages[1].1).contains("grpc-status:0"), "{messages:?}");
    let base64 = base64::engine::general_purpose::STANDARD;
    let text = request(&world, method, "application/grpc-web-text", base64.encode(&message));
    let text = sent(text.header("accept", "application/grpc-web-text")).await;
    assert!(text.body.is_ascii() && text.header("content-type").starts_with("application/grpc-web-text"));

    let request_of = api::WatchDeliveriesRequest { account_id: ACCOUNT.into(), existing: true, ..Default::default() };
    let body = prefixed(0, &request_of.encode_to_vec());
    let watch = request(&world, "DeliveryService/WatchDeliveries", "application/grpc-web", body);
    let mut watch = watch.send().await.unwrap();
    let mut read = watch.chunk().await.unwrap().unwrap().to_vec();
    let change = api::WatchDeliveriesResponse::decode(&taken(&mut read)[0].1[..]).unwrap();
    assert_eq!(change.delivery.unwrap().event_id, "e1");

    let stranger = web().post(format!("{}/leadline.v1.{method}", world.http));
    let stranger = sent(stranger.header("content-type", "application/grpc-web").body(message)).await;
    assert_eq!((stranger.status, stranger.header("grpc-status")), (200, "16"));
}

#[tokio::test]
async fn each_process_serves_its_own_services_over_http_only() {
    let world = World::start().await;
    let args = ["--nats-url", &world.nats];
    let ingest = testkit::Process::start(
        "ingest",
        crate::world::program(),
        crate::processes::arguments("ingest", &args),
        std::iter::empty::<(&str, &str)>(),
    );
    let http = crate::processes::address(&ingest, "http=").await;
    let elsewhere = web().post(format!("{http}/leadline.v1.AccessService/WhoAmI")).bearer_auth(&world.key);
    let elsewhere = sent(elsewhere.header("content-type", "application/json").body("{}")).await;
    assert_eq!(elsewhere.status, 501);
    let message = elsewhere.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("AccessService") && message.contains("leadline.v1.IngestService"), "{message}");
    let me = call(&world, "AccessService/WhoAmI", json!({})).await.json();
    assert_eq!(me["scopes"][0], "SCOPE_ADMIN");
}
