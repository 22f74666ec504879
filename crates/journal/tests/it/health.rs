//! The health of a broker that this process did not start: in the readiness, and in the error of an append.

use std::{fs::File, time::Duration};

use async_nats::jetstream;
use domain::LeadEvent;
use journal::{Journal, JournalError, NatsOptions, StorageFault};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use runtime::{ErrorChain as _, Platform, trace::TraceContext};
use testkit::{NatsServer, SmallDisk, wait};

use crate::support;

const SOON: Duration = Duration::from_secs(30);
/// In bytes.
const DISK: u64 = 16 * 1024 * 1024;

fn event(number: u32) -> LeadEvent {
    support::event(&format!("e{number}"))
}

async fn connect(server: &NatsServer) -> (Journal, Platform) {
    let options = NatsOptions { nats_url: Some(server.url()), ..NatsOptions::default() };
    let platform = Platform::default();
    (Journal::connect(&options, &platform).await.unwrap(), platform)
}

fn words(platform: &Platform, part: &str) -> String {
    platform.readiness.report()[part].state.clone().err().unwrap_or_else(|| "ready".into())
}

#[tokio::test]
async fn a_full_disk_is_reported_until_the_broker_restarts() {
    let disk = SmallDisk::mount(DISK);
    let server = NatsServer::start_in(&disk.path().join("data"), "").await;
    let (journal, platform) = connect(&server).await;
    let trace = TraceContext::of_ids(7, 8);
    journal.leads().append(&event(0), &trace).await.unwrap();
    let filler = disk.path().join("filler");
    SmallDisk::fill(&filler);
    let mut number = 0;
    let error = wait::until("an append that fails", SOON, async || {
        number += 1;
        journal.leads().append(&event(number), &trace).await.err()
    })
    .await;
    assert!(matches!(error, JournalError::CannotStore(StorageFault::DiskFull(_))), "{}", error.chain());
    assert!(error.to_string().contains("disk full"), "{error}");
    assert_eq!((words(&platform, "broker").as_str(), words(&platform, "work storage").as_str()), ("ready", "ready"));
    assert_eq!(words(&platform, "storage"), "disk full: the broker cannot store messages");
    assert!(!platform.readiness.is_ready_for(&["ingest"]) && platform.readiness.is_ready_for(&["query"]));

    File::create(&filler).unwrap();
    server.restart().await;
    wait::until("an append", SOON, async || journal.leads().append(&event(number + 1), &trace).await.is_ok()).await;
    wait::until("readiness", SOON, async || platform.readiness.is_ready()).await;
}

#[tokio::test]
async fn a_reached_limit_of_the_broker_is_reported_until_there_is_room() {
    let server = NatsServer::start_with(&format!("max_file_store: {DISK}")).await;
    let (journal, platform) = connect(&server).await;
    let trace = TraceContext::of_ids(7, 8);
    server.fill().await;
    let error = journal.leads().append(&event(1), &trace).await.unwrap_err();
    assert!(matches!(error, JournalError::CannotStore(StorageFault::LimitReached(_))), "{}", error.chain());
    let full = "a storage limit of the broker is reached";
    wait::until_eq("a limit that is reached", SOON, full.into(), async || words(&platform, "storage")).await;
    assert_eq!((words(&platform, "broker").as_str(), words(&platform, "work storage").as_str()), ("ready", "ready"));

    jetstream::new(server.client().await).delete_stream(NatsServer::FILLER).await.unwrap();
    wait::until("an append", SOON, async || journal.leads().append(&event(2), &trace).await.is_ok()).await;
    wait::until("readiness", SOON, async || platform.readiness.is_ready()).await;
}

#[tokio::test]
async fn a_full_stream_is_reported_as_such() {
    let server = NatsServer::start().await;
    let options =
        NatsOptions { nats_url: Some(server.url()), stream_max_bytes: Some(1_000_000), ..NatsOptions::default() };
    let platform = Platform::default();
    let journal = Journal::connect(&options, &platform).await.unwrap();
    let large = LeadEvent { payload: vec![b' '; 400_000].into(), ..event(0) };
    let appends = (1..).map(|number| LeadEvent { event_id: event(number).event_id, ..large.clone() });
    let mut refused = None;
    for event in appends.take(5) {
        refused = journal.leads().append(&event, &TraceContext::of_ids(7, 8)).await.err();
    }
    let error = refused.expect("the fifth event has no room");
    assert!(matches!(error, JournalError::CannotStore(StorageFault::StreamFull(_))), "{}", error.chain());
    let full = "a stream of the broker is full";
    wait::until_eq("a full stream", SOON, full.into(), async || words(&platform, "storage")).await;
    assert_eq!(words(&platform, "work storage"), "ready", "other streams store");

    // The stream still has room for a small event, and counts as full while it refuses others.
    let trace = TraceContext::of_ids(7, 8);
    journal.leads().append(&event(10), &trace).await.unwrap();
    let large = LeadEvent { event_id: event(11).event_id, ..large };
    journal.leads().append(&large, &trace).await.unwrap_err();
    assert_eq!(words(&platform, "storage"), full);
    journal.leads().append(&event(12), &trace).await.unwrap();
    wait::until("readiness", SOON, async || platform.readiness.is_ready()).await;
}

#[tokio::test]
async fn a_hanging_broker_is_noticed_although_connected() {
    let server = NatsServer::start().await;
    let (journal, platform) = connect(&server).await;
    let process = Pid::from_raw(server.id().unwrap().cast_signed());
    kill(process, Signal::SIGSTOP).unwrap();
    wait::until_eq("a broker that hangs", SOON, "the broker does not answer".into(), async || {
        words(&platform, "broker")
    })
    .await;
    assert!(!platform.readiness.is_ready_for(&["dispatcher"]));
    kill(process, Signal::SIGCONT).unwrap();
    wait::until("readiness", SOON, async || platform.readiness.is_ready()).await;
    journal.leads().append(&event(1), &TraceContext::of_ids(7, 8)).await.unwrap();
}
