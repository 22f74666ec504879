//! The wall clock of every service jumps forwards and back; the broker's clock does not.
//!
//! The services run under libfaketime, which reads the offset from a file at each query of the time. It does not change
//! the monotonic clock, like a jump of a real clock.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use testkit::NatsServer;

use crate::{
    plan::Seeded,
    scenario::{EVENTS, Fire, Settings},
    stage::{Brokers, Shape},
};

/// The path in Debian's package, below the folder of the architecture.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";
/// The errors of the clock in seconds, one after another. The last one is 0. A retry that is decided while the clock is
/// fast happens that much later, so the clock is never fast by much.
const OFFSETS: [i32; 5] = [5, -7, 10, -3_600, 0];

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join(LIBRARY)).find(|file| file.is_file())
}

/// Renames a complete file, so that no reader finds half of it.
fn set(file: &Path, offset: i32) {
    let new = file.with_extension("new");
    fs::write(&new, format!("{offset:+}\n")).unwrap();
    fs::rename(new, file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clock_jumps_lose_no_events() {
    let Some(library) = library() else {
        return eprintln!(
            "WARNING: NOT TESTED WITHOUT libfaketime (Debian: apt-get install faketime): jumps of the clock"
        );
    };
    let settings = Settings::from_env(EVENTS / 4);
    let folder = tempfile::tempdir().unwrap();
    let offset = folder.path().join("offset");
    set(&offset, 0);
    let env = vec![
        ("LD_PRELOAD", library.display().to_string()),
        ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let brokers = Brokers::One(NatsServer::start().await);
    let fire = Fire::light_on("clock jumps", settings, Shape { brokers, of_each: 1, env, seed: settings.seed }).await;
    let mut seeded = Seeded::of(settings.seed, "clock");
    for seconds in OFFSETS {
        set(&offset, seconds);
        fire.burns_for(Duration::from_millis(500 + seeded.below(1_500) as u64)).await;
    }
    fire.go_on().await;
    fire.out().await;
}
