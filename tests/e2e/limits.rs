//! Limits of requests and watches of one caller, and honest callers beside it.

use std::{path::Path, time::Duration};

use api::{DeliveryStatus, Scope, delivery_service_client::DeliveryServiceClient};
use futures::{Stream, StreamExt as _};
use testkit::{Process, wait};
use tonic::Code;

use crate::{
    usage,
    world::{ACCOUNT, INTERFACE, SOON, World, event_json},
};

const NDJSON: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];
/// How long an honest request may take while others are refused.
const PROMPTLY: Duration = Duration::from_secs(5);

/// The Python with grpcio that `tools/bring-python-grpc` downloads.
fn python() -> std::path::PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".tools/python-grpc/bin/python");
    assert!(python.is_file(), "no Python with grpcio: run tools/bring-python-grpc");
    python
}

#[tokio::test]
async fn grpcio_streams_events_without_waiting_for_answers() {
    // Far more than fits into HTTP/2 windows: most of the stream is unread.
    const COUNT: usize = 10_000;
    const MAX_MEMORY_KIB: u64 = 160 * 1024;
    let world = World::start().await;
    let (key, _) = world.new_key(ACCOUNT, &[Scope::Publish]).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/e2e/limits/publish_leads.py");
    let before = usage::status(&world.process, "VmRSS");
    let clients = [(2, COUNT), (135, COUNT / 4), (4_096, COUNT / 10)].map(|(size, count)| {
        let address = world.grpc.trim_start_matches("http://").to_owned();
        let args = [script.to_str().unwrap(), &address, &key, ACCOUNT, INTERFACE].map(str::to_owned);
        let args = args.into_iter().chain([count.to_string(), size.to_string()]);
        (count, Process::start("grpcio", python(), args, [("GRPC_VERBOSITY", "ERROR")]))
    });
    for (count, client) in &clients {
        let streamed = client.wait_line("streamed:", Duration::from_secs(120)).await;
        let expected = format!("streamed: {{'published': {count}, 'end': 1}}; beside: {{'ok': ");
        assert!(streamed.starts_with(&expected) && !streamed.contains("StatusCode"), "{streamed}");
    }
    let peak = usage::status(&world.process, "VmHWM");
    assert!(peak < before + MAX_MEMORY_KIB, "{before} KiB before, {peak} KiB at most");
}

#[tokio::test]
async fn request_of_a_million_events_has_bounded_memory() {
    const BYTES: usize = 4_100_000;
    const MAX_MEMORY_KIB: u64 = 10 * 4_100;
    let world = World::start().await;
    world.publish("before").await;
    let before = usage::status(&world.process, "VmRSS");
    let array = |event: &str| format!("[{event}{}]", format!(",{event}").repeat(BYTES / (event.len() + 1) - 1));
    for (body, lines) in [
        (array("{}"), false),
        (array("null"), false),
        (array("1").trim_end_matches(']').to_owned(), false),
        ("1\n".repeat(BYTES / 2), true),
        ("null\n".repeat(BYTES / 5), true),
    ] {
        let headers: &[_] = if lines { &NDJSON } else { &[] };
        let shown = body[..20].to_owned();
        let attack = world.post(body, headers);
        let honest = tokio::time::timeout(PROMPTLY, world.post(event_json("honest").to_string(), &[]));
        let ((status, answer), honest) = tokio::join!(attack, honest);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!((status, message.contains("more than 10000 events")), (413, true), "{shown}: {answer}");
        assert!(message.contains("--max-events") && message.contains("several requests"), "{message}");
        assert_eq!(honest.unwrap().0, 202, "beside {shown}");
    }
    let peak = usage::status(&world.process, "VmHWM");
    assert!(peak < before + MAX_MEMORY_KIB, "{before} KiB before, {peak} KiB at most");
}

#[tokio::test]
async fn at_most_a_hundred_wrong_events_are_listed() {
    let world = World::start_with(&["--max-events", "300"], &[]).await;
    let lines = [vec![event_json("good").to_string()], vec!["1".to_owned(); 299]].concat();
    let (status, answer) = world.post(lines.join("\n"), &NDJSON).await;
    assert_eq!((status, answer["more_errors"].as_u64()), (400, Some(199)), "{answer}");
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!((errors.len(), errors[0]["index"].as_u64(), errors[99]["index"].as_u64()), (100, Some(1), Some(100)));
    assert_eq!(
        answer["error"]["message"],
        "299 of the events are wrong, so none was stored; the first 100 errors are listed, 199 more are not"
    );
    let (status, answer) = world.post([lines.join("\n"), "1".into()].join("\n"), &NDJSON).await;
    assert_eq!(status, 413, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("more than 300 events"), "{answer}");
    // The allowed number of events is accepted in each format.
    world.publish_many(300).await;
    let array: Vec<_> = (0..300).map(|n| event_json(&format!("e{n}"))).collect();
    let (status, answer) = world.post(serde_json::Value::from(array).to_string(), &[]).await;
    assert_eq!((status, answer["results"].as_array().map(Vec::len)), (202, Some(300)));
    assert!(answer["results"].as_array().unwrap().iter().all(|result| result["duplicate"] == true));
}

/// Opens a watch and waits for its first change.
async fn watch(world: &World, key: &str) -> Result<impl Stream + Unpin + use<>, tonic::Status> {
    let request = api::WatchDeliveriesRequest { existing: true, ..api::WatchDeliveriesRequest::default() };
    let mut changes =
        DeliveryServiceClient::new(world.called_with(key).await).watch_deliveries(request).await?.into_inner();
    changes.next().await.unwrap()?;
    Ok(changes)
}

#[tokio::test]
async fn watches_are_limited_per_key_and_account() {
    let limits = ["--max-watches", "5", "--max-watches-per-account", "3", "--max-watches-per-key", "2"];
    let world = World::start_with(&limits, &[]).await;
    let receiver = testkit::Receiver::start().await;
    world.destination(&receiver.url()).await;
    world.publish("e").await;
    world.delivery_is("e", DeliveryStatus::Succeeded).await;
    let (first, _) = world.new_key(ACCOUNT, &[Scope::Read]).await;
    let (second, _) = world.new_key(ACCOUNT, &[Scope::Read]).await;
    let (platform, _) = world.new_key("", &[Scope::Read]).await;
    let refused = async |key: &str, fragments: [&str; 2]| {
        let Err(status) = watch(&world, key).await else { panic!("not refused: {fragments:?}") };
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(fragments.iter().all(|text| status.message().contains(text)), "{status}");
        assert!(status.message().contains("end one first"), "{status}");
    };
    let mut of_first = vec![watch(&world, &first).await.unwrap(), watch(&world, &first).await.unwrap()];
    refused(&first, ["2 open watches with this key", "--max-watches-per-key"]).await;
    let of_second = watch(&world, &second).await.unwrap();
    refused(&second, ["3 open watches with keys of this account", "--max-watches-per-account"]).await;
    // Watches of other accounts are not affected.
    let _of_platform = [watch(&world, &platform).await.unwrap(), watch(&world, &world.key).await.unwrap()];
    refused(&platform, ["5 open watches of all accounts", "--max-watches"]).await;
    // An ended watch frees its place once the server notices.
    of_first.pop();
    drop(wait::until("room again", SOON, async || watch(&world, &first).await.ok()).await);
    drop(of_second);
}
