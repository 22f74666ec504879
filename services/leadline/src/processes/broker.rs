//! The nats-server of `leadline up`: started as a child, restarted when it dies, stopped last.
//!
//! setpriv(1) makes Linux kill the child when the *thread* that started it ends (prctl(2), `PR_SET_PDEATHSIG`). So no
//! broker is left behind, even if this process is killed, unless setpriv is not installed. For the same reason one
//! thread starts and watches the child for as long as the process lives.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use journal::Flush;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use runtime::Platform;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::processes::data_dir::DataDir;

mod healing;
mod running;

pub(crate) use healing::Healing;
use running::{Running, STOP_TIMEOUT};

/// The pause before a broker that died is restarted.
const RESTART_DELAY: Duration = Duration::from_millis(300);
/// A broker that dies sooner than this counts as a failed start.
const MIN_UPTIME: Duration = Duration::from_secs(3);
/// The number of failed starts in a row after which the process gives up, unless the disk is full: then it tries again.
const MAX_FAILURES: u32 = 5;
/// The maximum part of the broker's log in an error about failed starts, in bytes.
const LOG_SHOWN: usize = 2_000;

/// No limit except the disk. By default nats-server uses at most three quarters of the space that is free when it
/// starts, and may then refuse streams that it has stored.
const MAX_FILE_STORE: &str = "1PB";

/// The growth of the heap in percent at which Go's runtime collects garbage. A value below the default saves a fifth of
/// the memory under load, for little processor time. A value in the environment takes precedence.
const COLLECT_AT: &str = "GOGC";
const COLLECT_AT_PERCENT: &str = "50";

#[derive(Debug)]
pub(crate) struct Broker {
    url: String,
    folder: PathBuf,
    running: Arc<Mutex<Running>>,
    stopped: oneshot::Receiver<()>,
}

impl Broker {
    /// Starts the broker on a free port, with its data in the data directory.
    pub(crate) fn start(
        data_dir: &DataDir,
        program: Option<&Path>,
        flush: Flush,
        platform: &Platform,
    ) -> anyhow::Result<Self> {
        let program = find(program)?;
        let folder = data_dir.path().join("nats");
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let port = free_port().context("no free port for the broker")?;
        let password = data_dir.secret("nats.password", || Ok(Uuid::new_v4().simple().to_string()))?;
        let sync_interval = match flush {
            Flush::Interval => "100ms",
            Flush::EveryWrite => "always",
        };
        let configuration = format!(
            "listen: \"127.0.0.1:{port}\"\nserver_name: leadline\nauthorization {{ user: leadline, password: \"{password}\" }}\n\
             jetstream {{ store_dir: {:?}, sync_interval: {sync_interval}, max_file_store: {MAX_FILE_STORE} }}\n",
            folder.display().to_string(),
        );
        data_dir.write("nats.conf", configuration.as_bytes())?;
        let log = data_dir.path().join("nats.log");
        let store = folder.clone();
        let command = Invocation { program, configuration: data_dir.path().join("nats.conf"), log, store };
        let running = Arc::new(Mutex::new(Running::default()));
        let (started, first) = mpsc::sync_channel(1);
        let (ended, stopped) = oneshot::channel();
        let (watched, drain) = (Arc::clone(&running), platform.drain.clone());
        std::thread::Builder::new().name("broker".into()).spawn(move || {
            if let Err(error) = watch(&command, &watched, &started) {
                tracing::error!(error = runtime::chain_of(&error), "cannot keep the broker running; stopping");
                drain.fail();
            }
            let _ = ended.send(());
        })?;
        first.recv().context("the thread of the broker ended")??;
        Ok(Self { url: format!("nats://leadline:{password}@127.0.0.1:{port}"), folder, running, stopped })
    }

    /// The URL contains the password.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns what restarts the broker if it no longer stores messages.
    pub(crate) fn healing(&self) -> Healing {
        Healing { folder: self.folder.clone(), running: Arc::clone(&self.running) }
    }

    /// Stops the broker with a signal, and kills it after a deadline.
    pub(crate) async fn stop(self) {
        let process = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.stopping = true;
            running.process
        };
        let Some(process) = process else { return };
        let _ = kill(process, Signal::SIGTERM);
        if tokio::time::timeout(STOP_TIMEOUT, self.stopped).await.is_err() {
            tracing::warn!("broker did not stop before the deadline; killing it");
            let _ = kill(process, Signal::SIGKILL);
        }
    }
}

struct Invocation {
    program: PathBuf,
    configuration: PathBuf,
    log: PathBuf,
    store: PathBuf,
}

impl Invocation {
    fn spawn(&self) -> anyhow::Result<Child> {
        let log = || File::options().create(true).append(true).open(&self.log);
        let failed = || format!("{} cannot be written", self.log.display());
        let mut command = match on_path("setpriv") {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program);
                command
            }
            None => Command::new(&self.program),
        };
        command.arg("-c").arg(&self.configuration).stdin(Stdio::null());
        if std::env::var_os(COLLECT_AT).is_none() {
            command.env(COLLECT_AT, COLLECT_AT_PERCENT);
        }
        command.stdout(log().with_context(failed)?).stderr(log().with_context(failed)?);
        // Ctrl-C goes to the whole process group; the broker has to live until the services have finished.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.spawn().with_context(|| format!("{} cannot be started", self.program.display()))
    }

    fn end_of_log(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log[log.ceil_char_boundary(log.len().saturating_sub(LOG_SHOWN))..].to_owned()
    }
}

/// Restarts the broker whenever it dies, until [`Broker::stop`].
fn watch(
    command: &Invocation,
    running: &Mutex<Running>,
    started: &mpsc::SyncSender<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let mut failures = 0;
    loop {
        let since = Instant::now();
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => {
                let text = runtime::chain_of(&error);
                let _ = started.try_send(Err(error));
                anyhow::bail!(text);
            }
        };
        {
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            running.process = Some(Pid::from_raw(child.id().cast_signed()));
        }
        let _ = started.try_send(Ok(()));
        let status = child.wait()?;
        let mut now = running.lock().unwrap_or_else(PoisonError::into_inner);
        now.process = None;
        if now.stopping {
            return Ok(());
        }
        if std::mem::take(&mut now.restarting) {
            failures = 0;
            continue;
        }
        drop(now);
        failures = if since.elapsed() >= MIN_UPTIME { 0 } else { failures + 1 };
        if failures >= MAX_FAILURES {
            anyhow::ensure!(
                !healing::has_room(&command.store),
                "nats-server does not run ({status}); the end of its log:\n{}",
                command.end_of_log()
            );
        }
        tracing::warn!(%status, "broker died; restarting it");
        std::thread::sleep(RESTART_DELAY);
        if running.lock().unwrap_or_else(PoisonError::into_inner).stopping {
            return Ok(());
        }
    }
}

fn find(given: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        anyhow::ensure!(given.is_file(), "--nats-server: there is no file {}", given.display());
        return Ok(given.to_owned());
    }
    on_path("nats-server").context(
        "there is no nats-server on PATH; install version 2.15.1 or newer, or run tools/bring-nats and give \
         --nats-server .tools/bin/nats-server, or use a running one with --nats-url",
    )
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
