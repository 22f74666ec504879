//! `leadline publish`: from a file, from standard input, and one event from the command line.

use std::fs;

use api::{DeliveryStatus, Scope};
use serde_json::json;
use testkit::{Process, Receiver};
use tokio::{io::AsyncWriteExt as _, time::timeout};

use crate::{
    processes::address,
    world::{ACCOUNT, INTERFACE, SOON, World, program},
};

#[tokio::test]
async fn one_event_can_be_given_on_the_command_line() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let payload = "{\"name\":  \"Ada\"}";
    let args = ["publish", "--interface", INTERFACE, "--lead", "ada", "--event", "e1", "--payload", payload];
    let ran = world.run(&args).await.well();
    assert_eq!(ran.out, "Event e1 of lead ada is stored.\n");
    assert_eq!(world.run(&args).await.well().out, "Event e1 of lead ada was stored before.\n");
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.requests()[0].body, payload.as_bytes(), "byte for byte");

    let from_stdin = ["publish", "--interface", INTERFACE, "--event", "e2", "--type", "email.sent", "--payload", "-"];
    let published = world.run_with(&[&from_stdin[..], &["--json"]].concat(), "[1, 2]\n").await.well().json();
    assert_eq!(published["published"]["event_id"], "e2");
    let delivery = world.delivery_is("e2", DeliveryStatus::Succeeded).await.delivery.unwrap();
    assert_eq!(delivery.event_type, "email.sent");
}

#[tokio::test]
async fn events_can_come_from_a_file_or_standard_input() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let event = |id: &str| json!({"interface": INTERFACE, "event_id": id, "payload": {"event": id}});
    let file = world.home.data().join("leads.json");
    let name = file.to_str().unwrap();

    // Lines, an array, and one event that is written over several lines.
    let lines: Vec<_> = (0..300).map(|n| event(&format!("line{n}")).to_string()).collect();
    let ran = world.run_with(&["publish", "--account", ACCOUNT], &lines.join("\n")).await.well();
    assert_eq!(ran.out, "Stored: 300. Stored before: 0. Refused: 0.\n");
    fs::write(&file, format!("\n [{}, {}]", event("array0"), event("array1"))).unwrap();
    let ran = world.run(&["publish", "--file", name, "--account", ACCOUNT]).await.well();
    assert_eq!(ran.out, "Stored: 2. Stored before: 0. Refused: 0.\n");
    fs::write(&file, format!("{:#}", event("one"))).unwrap();
    let results = world.run(&["publish", "-f", name, "--account", ACCOUNT, "--json"]).await.well().json_lines();
    assert_eq!((results.len(), results[0]["published"]["event_id"].as_str()), (1, Some("one")));
    testkit::wait::until_eq("all delivered", SOON, 303, async || receiver.count()).await;

    // A key with only the scope publish names its account.
    let (key, _) = world.new_key(ACCOUNT, &[Scope::Publish]).await;
    let refused = json!({"interface": "nowhere", "payload": 1}).to_string();
    let both = format!("{}\n{refused}\n", event("two"));
    let ran = world.run_with(&["publish", "--api-key", &key], &both).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, "Stored: 1. Stored before: 0. Refused: 1.\n"));
    assert!(ran.err.contains("Event 2 is refused (INVALID_ARGUMENT): interface: nowhere"), "{ran:?}");

    // An unreadable event ends the command; earlier events are stored.
    let broken = format!("{}\n{{\"no\": \"event\"}}\n", event("three"));
    let ran = world.run_with(&["publish", "--account", ACCOUNT], &broken).await;
    assert_eq!(ran.code, 1);
    assert!(
        ran.out.starts_with("Event three of lead ") && ran.err.contains("after 1 events: this is not an event"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn publishing_works_with_ingest_alone() {
    let world = World::start().await;
    let args = ["ingest", "--nats-url", &world.nats, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
    let ingest = Process::start("ingest", program(), args, [] as [(&str, &str); 0]);
    let grpc = address(&ingest, "grpc=").await;
    let event = json!({"account": ACCOUNT, "interface": INTERFACE, "event_id": "e1", "payload": 1}).to_string();
    let ran = world.run_with(&["publish", "--grpc-url", &grpc], &event).await.well();
    assert!(ran.out.starts_with("Event e1 of lead "), "{ran:?}");
    let one = ["publish", "--grpc-url", &grpc, "--interface", INTERFACE, "--payload", "1"];
    let ran = world.run(&one).await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("--account is missing"), "{ran:?}");
    world.run(&[&one[..], &["--account", ACCOUNT]].concat()).await.well();
}

#[tokio::test]
async fn publish_ends_with_an_error_when_the_server_stops() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let mut child = world.command(&["publish", "--account", ACCOUNT]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let event = json!({"interface": INTERFACE, "event_id": "e1", "payload": 1}).to_string();
    stdin.write_all(event.as_bytes()).await.unwrap();
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    world.process.terminate();
    let ended = timeout(SOON, child.wait_with_output()).await.expect("it ends soon").unwrap();
    let text = String::from_utf8(ended.stderr).unwrap();
    assert_eq!((ended.status.code(), text.contains("publish all of them again")), (Some(1), true), "{text}");
    assert!(String::from_utf8(ended.stdout).unwrap().starts_with("Event e1 of lead "));
}
