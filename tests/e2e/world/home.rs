//! The folder of a system, and its process.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use testkit::Process;

/// The folder of a system, which may run or not.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
}

/// The path of the program.
pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_leadline").into()
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Creates the folder on another disk.
    pub(crate) fn within(folder: &Path) -> Self {
        Self { folder: tempfile::tempdir_in(folder).unwrap() }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn admin_key(&self) -> String {
        fs::read_to_string(self.data().join("admin.key")).unwrap().trim().to_owned()
    }

    pub(crate) fn outbox(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.data().join("outbox")) else { return vec![] };
        let mails = files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "eml"));
        mails.map(|path| fs::read_to_string(path).unwrap()).collect()
    }

    /// Starts `leadline up` in this folder.
    pub(crate) fn up(&self, args: &[&str], env: &[(&str, &str)]) -> Process {
        self.up_under(&[], args, env)
    }

    /// Like [`Home::up`], with this command as a wrapper; empty if there is none.
    pub(crate) fn up_under(&self, starter: &[&str], args: &[&str], env: &[(&str, &str)]) -> Process {
        let (data, leadline) = (self.data(), program());
        let mut all = starter.to_vec();
        all.extend([leadline.to_str().unwrap(), "up", "--data-dir", data.to_str().unwrap(), "--http", "127.0.0.1:0"]);
        all.extend(["--allow-network", "127.0.0.0/8", "--allow-plain-http"]);
        let grpc: &[_] = if args.contains(&"--grpc") { &[] } else { &["--grpc", "127.0.0.1:0"] };
        all.extend(grpc.iter().chain(args));
        let nats_server = testkit::nats::binary();
        let env = [env, &[("LEADLINE_NATS_SERVER", nats_server.to_str().unwrap())]].concat();
        Process::start("leadline up", all[0], &all[1..], env)
    }
}
