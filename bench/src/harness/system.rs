//! The system under test: `leadline up` in its own folder. It can be stopped or killed, and started again there.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use crypto::MasterKey;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Process, wait};
use tokio::time::Instant;

use crate::harness::{
    api::{Addresses, Api},
    machine::{children, runs},
    usage::Processes,
};

/// How long a start may take, even after a kill with a million stored events.
const START_DEADLINE: Duration = Duration::from_secs(600);
/// How long a ready system may take to write its addresses.
const SOON: Duration = Duration::from_secs(10);
/// How long a stop may take.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// A running system.
#[derive(Debug)]
pub(crate) struct System {
    process: Process,
    pub(crate) api: Api,
    pub(crate) database: String,
    /// The URL of its broker, with the password.
    pub(crate) nats: String,
    /// The time of execution, and the time from there until the system was ready.
    pub(crate) executed: Instant,
    pub(crate) ready_after: Duration,
    home: Home,
}

/// The data folder of a system, which may run or not.
#[derive(Debug)]
pub(crate) struct Home(TempDir);

impl System {
    /// Starts a new system and creates an account.
    pub(crate) async fn start(program: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let system = Self::start_in(Home(tempfile::tempdir()?), program, args).await?;
        system.api.account().await?;
        Ok(system)
    }

    /// Like [`System::start`], with these variables of its environment.
    pub(crate) async fn start_with(program: &Path, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let system = Self::launch(Home(tempfile::tempdir()?), program, &[], env).await?;
        system.api.account().await?;
        Ok(system)
    }

    /// Starts a system in an existing folder.
    pub(crate) async fn start_in(home: Home, program: &Path, args: &[&str]) -> anyhow::Result<Self> {
        Self::launch(home, program, args, &[]).await
    }

    async fn launch(home: Home, program: &Path, args: &[&str], env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let data = home.data();
        // A killed system leaves its addresses behind.
        let _ = std::fs::remove_file(data.join("addresses.json"));
        let data_text = data.to_str().context("a folder whose name is UTF-8")?;
        let mut all = vec!["up", "--data-dir", data_text, "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"];
        all.extend(["--allow-network", "127.0.0.0/8", "--allow-plain-http"]);
        all.extend(args);
        let nats_server = testkit::nats::binary();
        let given = env.iter().map(|(name, value)| (*name, OsStr::new(value)));
        let env = given.chain([("LEADLINE_NATS_SERVER", nats_server.as_os_str())]);
        let executed = Instant::now();
        let process = Process::start("leadline up", program, all, env);
        process.wait_line("is ready", START_DEADLINE).await;
        let ready_after = executed.elapsed();
        let addresses = wait::until("addresses.json", SOON, async || {
            serde_json::from_slice::<Value>(&std::fs::read(data.join("addresses.json")).ok()?).ok()
        })
        .await;
        let text = |name: &str| addresses[name].as_str().map(str::to_owned).context("addresses.json is incomplete");
        let key = std::fs::read_to_string(data.join("admin.key"))?.trim().to_owned();
        let (database, nats, grpc) = (text("database")?, text("nats")?, text("grpc")?);
        let addresses = Addresses { http: text("http")?, ingest: grpc.clone(), query: grpc };
        let api = Api::connect(addresses, key).await?;
        Ok(Self { process, api, database, nats, executed, ready_after, home })
    }

    /// The processes: one for all services, and the broker as its child.
    pub(crate) fn processes(&self) -> Processes {
        let services = self.process.id();
        let brokers = children(services).into_iter().map(|broker| ("broker".to_owned(), broker));
        [("services".to_owned(), services)].into_iter().chain(brokers).collect()
    }

    /// Waits for a log line with these words.
    pub(crate) async fn says(&self, words: &str) {
        self.process.wait_line(words, START_DEADLINE).await;
    }

    /// The folder with the broker's streams, one folder each.
    pub(crate) fn streams(&self) -> PathBuf {
        self.home.data().join("nats/jetstream/$G/streams")
    }

    /// The master key of the system.
    pub(crate) fn master_key(&self) -> anyhow::Result<MasterKey> {
        let kept = std::fs::read_to_string(self.home.data().join("master.key"))?;
        kept.trim().parse().context("the master key of the system under test")
    }

    /// Stops the system cleanly.
    pub(crate) async fn stop(self) -> Home {
        self.process.terminate();
        self.process.wait_exit(STOP_DEADLINE).await;
        self.home
    }

    /// Kills the services, and the broker with them.
    pub(crate) async fn kill(self) -> Home {
        let processes = self.processes();
        self.process.kill();
        let gone = || processes.iter().all(|(_, id)| !runs(*id));
        wait::until("the end of the broker", SOON, async || gone()).await;
        self.home
    }
}

impl Home {
    fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }
}
