//! The health of a broker that this process did not start: in the readiness, and in the error of an append.

use std::{fs::File, time::Duration};

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
    let disk = match SmallDisk::mount(DISK) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("WARNING: CANNOT MOUNT A SMALL DISK: {why}"),
    };
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
