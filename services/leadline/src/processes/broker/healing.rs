//! Restarts the broker if it no longer stores messages, as soon as its disk has room.
//!
//! After a failed write, for example on a full disk, a stream of nats-server stores no more messages until the server
//! is restarted. `leadline up` owns its server, so it can restart it.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use journal::Journal;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use runtime::Drain;
use tokio::time::{Instant, sleep, timeout};

use super::running::{Running, STOP_TIMEOUT};

/// The free space on the disk before the broker is restarted, in bytes: enough for it to start.
const MIN_ROOM: usize = 1024 * 1024;
/// How often the free space of the disk is checked.
const ROOM_INTERVAL: Duration = Duration::from_secs(2);
/// How long a restarted broker may take until its streams store messages again. The interval doubles after each restart
/// that did not help, up to the maximum.
const MIN_RESTART_INTERVAL: Duration = Duration::from_secs(10);
const MAX_RESTART_INTERVAL: Duration = Duration::from_secs(160);
/// How often to check whether the broker has stopped.
const END_INTERVAL: Duration = Duration::from_millis(50);

/// Restarts the broker if it no longer stores messages.
#[derive(Debug)]
pub(crate) struct Healing {
    pub(super) folder: PathBuf,
    pub(super) running: Arc<Mutex<Running>>,
}

impl Healing {
    /// Runs until the drain.
    pub(crate) fn start(self, journal: Journal, drain: &Drain) {
        let stop = drain.clone();
        drain.spawn("broker healing", async move {
            tokio::select! {
                () = self.run(&journal) => {}
                () = stop.stopping() => {}
            }
        });
    }

    async fn run(&self, journal: &Journal) {
        let mut interval = MIN_RESTART_INTERVAL;
        loop {
            journal.storing_needs_restart(true).await;
            while !self.disk_has_room().await {
                sleep(ROOM_INTERVAL).await;
            }
            tracing::info!("broker stores no more messages after a failed write, and its disk has room; restarting it");
            self.restart().await;
            let stores_again = timeout(interval, journal.storing_needs_restart(false)).await.is_ok();
            interval = if stores_again { MIN_RESTART_INTERVAL } else { (interval * 2).min(MAX_RESTART_INTERVAL) };
        }
    }

    async fn disk_has_room(&self) -> bool {
        let folder = self.folder.clone();
        tokio::task::spawn_blocking(move || has_room(&folder)).await.unwrap_or(false)
    }

    async fn restart(&self) {
        let Some(process) = self.process(true) else { return };
        let _ = kill(process, Signal::SIGTERM);
        let give_up = Instant::now() + STOP_TIMEOUT;
        while self.process(false) == Some(process) {
            if Instant::now() >= give_up {
                tracing::warn!("broker did not stop before the deadline; killing it");
                let _ = kill(process, Signal::SIGKILL);
                return;
            }
            sleep(END_INTERVAL).await;
        }
    }

    /// The process of the broker; `None` if it does not run. Marks it as restarting on request.
    fn process(&self, is_to_restart: bool) -> Option<Pid> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.restarting |= is_to_restart && running.process.is_some();
        running.process
    }
}

/// Whether the disk of a folder has room. It writes a file, because nothing else shows a quota of the file system.
pub(super) fn has_room(folder: &Path) -> bool {
    let file = folder.join(".room");
    let write = || -> std::io::Result<()> {
        let mut out = File::create(&file)?;
        out.write_all(&vec![0; MIN_ROOM])?;
        out.sync_all()
    };
    let written = write();
    let _ = fs::remove_file(&file);
    written.is_ok()
}

#[cfg(test)]
mod tests {
    use testkit::SmallDisk;

    use super::*;

    #[test]
    fn a_full_disk_has_no_room() {
        let disk = SmallDisk::mount(4 * MIN_ROOM as u64);
        assert!(has_room(disk.path()));
        let filler = disk.path().join("filler");
        SmallDisk::fill(&filler);
        assert!(!has_room(disk.path()));
        File::create(&filler).unwrap();
        assert!(has_room(disk.path()));
        assert!(!disk.path().join(".room").exists());
    }
}
