//! A nats-server with JetStream, private to one test: it has its own port and directory, and is killed on drop.

pub(crate) mod cluster;

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Child,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use nix::{
    sys::signal::{self, Signal},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{
    child,
    port::free_port,
    tls::{Authority, CertificateFiles},
    wait,
};

/// How long a broker may take to start. On an idle machine it takes about 100 ms.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// The environment variable with the path of the binary.
const BINARY_VARIABLE: &str = "LEADLINE_NATS_SERVER";

/// A running broker. Tests may kill and restart it on the same port and data while they hold connections to it.
#[derive(Debug)]
pub struct NatsServer {
    port: u16,
    dir: TempDir,
    tls: Option<Tls>,
    child: Mutex<Option<Child>>,
}

/// Further configuration of a broker.
#[derive(Debug, Default)]
struct Setup {
    /// Lines for the `jetstream` block.
    jetstream: String,
    /// Lines after it.
    more: String,
    tls: Option<Tls>,
    /// The folder of its store; `None` if it is its own folder.
    store: Option<PathBuf>,
}

/// The certificates of a broker with TLS.
#[derive(Debug)]
struct Tls {
    ca: PathBuf,
    own: CertificateFiles,
}

impl NatsServer {
    /// Starts a broker and returns once its JetStream answers.
    ///
    /// # Panics
    /// If the binary is missing or does not start; the message has the broker's log.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Like [`start`](Self::start), with more lines for the `jetstream` block of its configuration, for instance
    /// `sync_interval: always`.
    pub async fn start_with(jetstream: &str) -> Self {
        Self::start_configured(Setup { jetstream: jetstream.into(), ..Setup::default() }).await
    }

    /// Starts a broker that stores in this folder, for instance on a small disk.
    pub async fn start_in(store: &Path, jetstream: &str) -> Self {
        let (jetstream, store) = (jetstream.into(), Some(store.to_owned()));
        Self::start_configured(Setup { jetstream, store, ..Setup::default() }).await
    }

    /// Starts a broker with this `authorization` block in its configuration, for instance `token: "secret"`. It refuses
    /// [`client`](Self::client).
    pub async fn start_with_login(authorization: &str) -> Self {
        let more = format!("authorization {{ {authorization} }}\n");
        let server = Self::configured(Setup { more, ..Setup::default() });
        server.spawn();
        let refused = |error: String| error.contains("authorization violation");
        let up =
            wait::attempt(START_DEADLINE, async || server.answers().await.err().filter(|e| refused(e.to_lowercase())));
        assert!(up.await.is_ok(), "nats-server did not come up; its log:\n{}", server.log());
        server
    }

    /// Starts a broker with more lines after the `jetstream` block of its configuration, for instance `accounts { … }`.
    pub async fn start_with_more(more: &str) -> Self {
        Self::start_configured(Setup { more: more.into(), ..Setup::default() }).await
    }

    /// Starts a single broker that names a cluster, as a broker in front of others does.
    pub async fn start_named(cluster: &str) -> Self {
        Self::start_configured(Setup { more: format!("cluster {{\n  name: {cluster:?}\n}}\n"), ..Setup::default() })
            .await
    }

    /// Starts a broker that speaks TLS only, as `localhost`, and accepts only clients with a certificate of the same
    /// authority.
    pub async fn start_tls(authority: &Authority) -> Self {
        let own = authority.files_for(&["localhost"]);
        let (certificate, key) = own.names();
        let ca = authority.file();
        let tls = format!(
            "tls {{\n  cert_file: {certificate:?}\n  key_file: {key:?}\n  ca_file: {ca:?}\n  verify: true\n}}\n"
        );
        Self::start_configured(Setup { more: tls, tls: Some(Tls { ca, own }), ..Setup::default() }).await
    }

    async fn start_configured(setup: Setup) -> Self {
        let server = Self::configured(setup);
        server.restart().await;
        server
    }

    fn configured(setup: Setup) -> Self {
        let dir = tempfile::Builder::new().prefix("leadline-nats-").tempdir().expect("a temporary directory");
        let server = Self { port: free_port(), dir, tls: setup.tls, child: Mutex::new(None) };
        let store = setup.store.unwrap_or_else(|| server.dir.path().join("data"));
        let configuration = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{\n  store_dir: {store:?}\n  {}\n}}\n{}",
            server.port, setup.jetstream, setup.more,
        );
        fs::write(server.configuration(), configuration).expect("the broker's configuration is written");
        server
    }

    /// `nats://127.0.0.1:<port>`, or `tls://localhost:<port>`.
    pub fn url(&self) -> String {
        match self.tls {
            None => format!("nats://127.0.0.1:{}", self.port),
            Some(_) => format!("tls://localhost:{}", self.port),
        }
    }

    /// The port, which stays the same over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A plain client.
    ///
    /// # Panics
    /// If the broker does not answer.
    pub async fn client(&self) -> async_nats::Client {
        self.options().connect(self.url()).await.expect("the private broker accepts a connection")
    }

    /// The stream of [`fill`](Self::fill).
    pub const FILLER: &'static str = "FILLER";

    /// Stores messages in a stream of their own until the broker refuses. The broker needs a limit (`max_file_store`).
    ///
    /// # Panics
    /// If the broker does not answer.
    pub async fn fill(&self) {
        let context = jetstream::new(self.client().await);
        let subjects = vec!["filler".to_owned()];
        let config = stream::Config { name: Self::FILLER.to_owned(), subjects, ..stream::Config::default() };
        context.create_stream(config).await.expect("the broker creates a stream");
        let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
        while context.publish("filler", chunk.clone()).await.expect("the broker is connected").await.is_ok() {}
    }

    /// Sends SIGKILL: nothing is flushed, and connections break. It has no effect on a broker that is down.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            child::kill(&mut child);
        }
    }

    /// Starts the broker on the same port and data, and kills it first if it runs.
    ///
    /// # Panics
    /// Like [`start`](Self::start).
    pub async fn restart(&self) {
        self.spawn();
        if let Err(seen) = wait::attempt(START_DEADLINE, || self.answers()).await {
            panic!("nats-server did not come up: {seen}; its log:\n{}", self.log());
        }
    }

    /// Sends SIGTERM: the broker hands over its leaderships and ends. It has no effect on a broker that is down.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Starts the lame-duck mode: the broker accepts no new connections, hands over its leaderships, disconnects its
    /// clients, and ends.
    pub fn enter_lame_duck_mode(&self) {
        self.signal(Signal::SIGUSR2);
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = self.child().as_mut()
            && matches!(child.try_wait(), Ok(None))
        {
            let _ = signal::kill(Pid::from_raw(child.id().cast_signed()), signal);
        }
    }

    /// Replaces the certificates of a broker with TLS by those of another authority. It uses them after a restart.
    ///
    /// # Panics
    /// If the broker has no TLS, or the files cannot be written.
    pub fn replace_certificates(&self, authority: &Authority) {
        let tls = self.tls.as_ref().expect("a broker with TLS");
        fs::copy(authority.file(), &tls.ca).expect("the authority can be replaced");
        authority.files_for(&["localhost"]).copy_to(&tls.own);
    }

    fn spawn(&self) {
        self.kill();
        let binary = binary();
        let log =
            File::options().create(true).append(true).open(self.log_file()).expect("the broker's log is writable");
        let mut command = child::bound_to_us(&binary);
        command.arg("-c").arg(self.configuration());
        command.stdin(std::process::Stdio::null());
        command.stderr(log.try_clone().expect("the broker's log can be shared")).stdout(log);
        let child = child::start(command).unwrap_or_else(|error| panic!("{} did not start: {error}", binary.display()));
        *self.child() = Some(child);
    }

    /// The id of its process; `None` if it is down.
    pub fn id(&self) -> Option<u32> {
        self.child().as_ref().map(Child::id)
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        self.child().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The log of the broker.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    async fn answers(&self) -> Result<(), String> {
        let client = self.options().connect(self.url()).await.map_err(|error| error.to_string())?;
        async_nats::jetstream::new(client).query_account().await.map(drop).map_err(|error| error.to_string())
    }

    /// Like [`restart`](Self::restart), without waiting until it answers.
    pub fn restart_unasked(&self) {
        self.spawn();
    }

    fn options(&self) -> async_nats::ConnectOptions {
        let options = async_nats::ConnectOptions::new();
        match &self.tls {
            None => options,
            Some(tls) => options
                .add_root_certificates(tls.ca.clone())
                .add_client_certificate(tls.own.certificate.clone(), tls.own.key.clone()),
        }
    }

    fn configuration(&self) -> PathBuf {
        self.dir.path().join("nats.conf")
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("nats.log")
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program from the environment variable, else from `PATH`, else from the folder of `tools/bring-nats`.
pub fn binary() -> PathBuf {
    if let Some(given) = std::env::var_os(BINARY_VARIABLE) {
        return given.into();
    }
    let brought = child::workspace().join(".tools/bin/nats-server");
    child::find_on_path("nats-server").or_else(|| brought.is_file().then_some(brought)).unwrap_or_else(|| {
        panic!("no nats-server: run tools/bring-nats, or set {BINARY_VARIABLE} to its path");
    })
}

#[cfg(test)]
mod tests {
    use async_nats::jetstream::{self, stream};

    use super::*;

    #[tokio::test]
    async fn facts_survive_a_kill_and_restart_on_one_port() {
        let server = NatsServer::start_with("sync_interval: always").await;
        let jetstream = jetstream::new(server.client().await);
        let config = stream::Config { name: "S".into(), subjects: vec!["s".into()], ..Default::default() };
        jetstream.create_stream(config).await.unwrap();
        jetstream.publish("s", "one".into()).await.unwrap().await.unwrap();

        let url = server.url();
        server.kill();
        assert!(async_nats::connect(&url).await.is_err());
        server.restart().await;

        assert_eq!(server.url(), url);
        let jetstream = jetstream::new(server.client().await);
        let mut stream = jetstream.get_stream("S").await.unwrap();
        assert_eq!(stream.info().await.unwrap().state.messages, 1);
    }

    #[tokio::test]
    async fn two_servers_are_private() {
        let (one, two) = tokio::join!(NatsServer::start(), NatsServer::start());
        assert_ne!(one.port(), two.port());
    }
}
