//! A wall clock that a test sets, for the processes that it starts.
//!
//! The processes run under libfaketime, which reads the offset from a file at each query of the time. The monotonic
//! clock does not change, as if a real clock jumped. Statically linked programs, such as the broker, have the real
//! time.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

/// The path in Debian's package, below the folder of the architecture.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The clock. It has the real time at first.
#[derive(Debug)]
pub struct FakeClock {
    library: PathBuf,
    folder: TempDir,
}

impl FakeClock {
    /// `None`, and a warning, if this machine has no libfaketime (`tools/bring-faketime`).
    ///
    /// # Panics
    /// If no file can be written.
    pub fn new(what_is_tested: &str) -> Option<Self> {
        let Some(library) = library() else {
            eprintln!("WARNING: NOT TESTED WITHOUT libfaketime (Debian: apt-get install faketime): {what_is_tested}");
            return None;
        };
        let clock = Self { library, folder: tempfile::tempdir().expect("a folder for the offset of the clock") };
        clock.set(0);
        Some(clock)
    }

    /// The environment of processes that have this clock.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// Sets the clock ahead of the real time by this many seconds, or behind it.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn set(&self, seconds: i32) {
        // A complete file is renamed, so that no reader finds half of it.
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{seconds:+}\n")).expect("the offset of the clock can be written");
        fs::rename(new, self.file()).expect("the offset of the clock can be replaced");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    folders.map(|folder| folder.join(LIBRARY)).find(|file| file.is_file())
}
