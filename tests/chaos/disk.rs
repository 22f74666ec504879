//! The disk of the broker is full. The broker refuses what it cannot store, and keeps what it accepted.
//!
//! Mounting a small disk needs root. Without root the broker gets a storage limit instead, and the test prints a
//! warning: then the broker refuses, but no write to the disk fails.

use std::{
    fs,
    time::{Duration, Instant},
};

use async_nats::jetstream;
use testkit::{NatsServer, SmallDisk, wait};

use crate::{
    ledger::Outage,
    program::SOON,
    scenario::{EVENTS, Fire, Settings},
    stage::{Brokers, Shape, Victim},
};

/// The size of the disk, in bytes.
const DISK: u64 = 64 * 1024 * 1024;
/// How long no event is accepted before the test frees space.
const FULL: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_loses_no_accepted_events() {
    let settings = Settings::from_env(EVENTS / 4);
    let disk = SmallDisk::try_mount(DISK);
    let broker = match &disk {
        Ok(disk) => NatsServer::start_in(&disk.path().join("data"), "").await,
        Err(why) => {
            eprintln!(
                "WARNING: NO SMALL DISK CAN BE MOUNTED ({why}); the broker gets a storage limit instead, which tests less"
            );
            NatsServer::start_with(&format!("max_file_store: {DISK}")).await
        }
    };
    let shape = Shape { brokers: Brokers::One(broker), of_each: 1, env: vec![], seed: settings.seed };
    let fire = Fire::light_on("disk full", settings, shape).await;
    let some = async || fire.ledger.count_accepted() >= settings.events / 3;
    wait::until("some events", SOON, some).await;

    let from = Instant::now();
    let filler = disk.as_ref().ok().map(|disk| disk.path().join("filler"));
    match &filler {
        Some(file) => SmallDisk::fill(file),
        None => fire.stage.brokers.servers()[0].fill().await,
    }
    nothing_is_accepted(&fire).await;
    match &filler {
        Some(file) => fs::remove_file(file).unwrap(),
        None => {
            let client = fire.stage.brokers.servers()[0].client().await;
            jetstream::new(client).delete_stream(NatsServer::FILLER).await.unwrap();
        }
    }
    // After a full disk the broker stores nothing until it is restarted.
    let who = Victim::Broker(0);
    fire.stage.kill(who).await;
    let started = fire.stage.revive(who).await;
    let outage = Outage { who: "broker (disk full)".into(), from, started, to: Instant::now(), alone: false };
    fire.back(vec![outage]).await;
    fire.go_on().await;
    fire.out().await;
}

/// Waits until no event was accepted for [`FULL`].
async fn nothing_is_accepted(fire: &Fire) {
    let (mut seen, mut since) = (0, Instant::now());
    wait::until("nothing to be accepted any more", SOON, async || {
        let accepted = fire.ledger.count_accepted();
        if accepted != seen {
            (seen, since) = (accepted, Instant::now());
        }
        since.elapsed() > FULL
    })
    .await;
}
