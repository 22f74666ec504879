//! Private PostgreSQL clusters: usually one for each test process, with as many databases as its tests need.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use nix::{
    sys::signal::{self, Signal},
    unistd::{Pid, Uid, User, chown},
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{child, port::free_port, tls::Authority, wait};

/// How long a cluster may take to be created and to start.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// The user that runs the server if root runs the tests: PostgreSQL refuses to run as root.
const UNPRIVILEGED: &str = "nobody";

/// The prefix of the names of cluster folders; the id of the process follows.
const PREFIX: &str = "leadline-postgres-";

/// A running cluster. It ends when it is dropped, or when the test process ends.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    user: String,
    /// The parameters of a URL, after the name of the database.
    parameters: String,
    /// Further arguments of the server.
    settings: Vec<String>,
    databases: AtomicU32,
    child: Mutex<Child>,
    folder: TempDir,
}

/// Creates an empty database in the cluster that the tests of this process share, and returns its URL.
///
/// # Panics
/// If the server programs are missing or do not start; the message says what to do.
pub async fn database() -> String {
    static CLUSTER: OnceCell<Postgres> = OnceCell::const_new();
    CLUSTER.get_or_init(Postgres::start).await.database().await
}

impl Postgres {
    /// Starts a separate cluster, for tests that kill or configure the server.
    ///
    /// # Panics
    /// Like [`database`].
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts a cluster that accepts connections over TLS only, with a client certificate of `authority`.
    ///
    /// # Panics
    /// Like [`database`].
    pub async fn start_tls(authority: &Authority) -> Self {
        Self::start_with(Some(authority)).await
    }

    async fn start_with(authority: Option<&Authority>) -> Self {
        let programs = programs();
        remove_leftover_folders();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir().expect("a folder for a cluster");
        let data = folder.path().join("data");
        let user = if nobody().is_some() { UNPRIVILEGED.to_owned() } else { "leadline".to_owned() };
        if let Some(nobody) = nobody() {
            chown(folder.path(), Some(nobody.uid), Some(nobody.gid)).expect("the folder's owner can be changed");
        }
        let mut initdb = unprivileged(&programs.join("initdb"));
        initdb.arg("--pgdata").arg(&data).args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]);
        let made = initdb.arg(format!("--username={user}")).output().expect("initdb can be run");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let (parameters, settings) =
            authority.map_or_else(Default::default, |authority| demand_tls(authority, folder.path()));

        let port = free_port();
        let child = Mutex::new(serve(folder.path(), port, &settings));
        let cluster = Self { port, user, parameters, settings, databases: AtomicU32::new(0), child, folder };
        if let Err(seen) | Ok(Err(seen)) = wait::attempt(START_DEADLINE, || cluster.answers()).await {
            panic!("postgres did not come up: {seen}; its log:\n{}", cluster.log());
        }
        cluster
    }

    /// Sends SIGKILL to the server. Its other processes notice this and end, as after a crash.
    pub fn kill(&self) {
        child::kill(&mut self.child.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Restarts the server on the same port and data after [`kill`](Self::kill). It recovers first.
    ///
    /// # Panics
    /// If the server does not start.
    pub async fn restart(&self) {
        // The server refuses to start while a process of the killed one is left.
        let up = wait::attempt(START_DEADLINE, async || {
            let answer = self.answers().await;
            if let Ok(Err(_)) = &answer {
                *self.child.lock().unwrap_or_else(PoisonError::into_inner) =
                    serve(self.folder.path(), self.port, &self.settings);
            }
            matches!(answer, Ok(Ok(())))
        });
        if up.await.is_err() {
            panic!("postgres did not come back; its log:\n{}", self.log());
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Creates an empty database and returns its URL.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&self.url("postgres")).await.expect("the cluster answers");
        let create = format!("CREATE DATABASE {name}");
        connection.execute(sqlx::AssertSqlSafe(create)).await.expect("a database can be made");
        self.url(&name)
    }

    /// Whether the server answers. The inner error is permanent.
    async fn answers(&self) -> Result<Result<(), String>, String> {
        let answer = PgConnection::connect(&self.url("postgres")).await;
        // This is checked last: if this server has ended, another server on the same port may have answered.
        let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten();
        match (ended, answer) {
            (Some(status), _) => Ok(Err(status.to_string())),
            (None, Ok(_)) => Ok(Ok(())),
            (None, Err(error)) => Err(error.to_string()),
        }
    }

    /// The folder of its files.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Rewrites a database without deleted rows, and flushes it to its files.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn vacuum(&self, database: &str) {
        let mut connection = PgConnection::connect(database).await.expect("the cluster answers");
        for statement in ["VACUUM FULL", "CHECKPOINT"] {
            connection.execute(statement).await.expect("the database can be vacuumed");
        }
    }

    /// Stops the server ("fast shutdown"). Afterwards the files have everything that the server held in memory.
    ///
    /// # Panics
    /// If the server does not end.
    pub async fn stop(&self) {
        let ended = || self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait().ok().flatten();
        let pid = self.child.lock().unwrap_or_else(PoisonError::into_inner).id();
        signal::kill(Pid::from_raw(pid.cast_signed()), Signal::SIGINT).expect("the server gets a signal to end");
        let status = wait::until("the end of postgres", START_DEADLINE, async || ended()).await;
        assert!(status.success(), "postgres ended with {status}");
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{database}{}", self.user, self.port, self.parameters)
    }

    /// Its port on 127.0.0.1.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Its superuser.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }
}

impl Drop for Postgres {
    /// Stops the server and waits for its processes, which would otherwise write to the folder while it is removed.
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(None)) {
            // "Immediate shutdown": PostgreSQL kills processes that have not ended after five seconds.
            let _ = signal::kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGQUIT);
            let _ = child.wait();
        }
    }
}

/// Starts the server of the cluster in this folder.
fn serve(folder: &Path, port: u16, settings: &[String]) -> Child {
    let mut server = unprivileged(&programs().join("postgres"));
    server.arg("-D").arg(folder.join("data")).arg("-p").arg(port.to_string()).args(["-h", "127.0.0.1", "-k", ""]);
    server.args(["-c", "fsync=off", "-c", "max_connections=200"]).args(settings).stdin(Stdio::null());
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).expect("the log can be written");
    server.stdout(log.try_clone().expect("the log can be shared")).stderr(log);
    child::start(server).expect("postgres can be started")
}

/// Configures the cluster in this folder to accept only TLS with a client certificate. Returns the parameters of its
/// URL and its further arguments.
fn demand_tls(authority: &Authority, folder: &Path) -> (String, Vec<String>) {
    let (server, client) = (authority.files_for(&["127.0.0.1"]), authority.files_for(&["leadline"]));
    let data = folder.join("data");
    let hba = "hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n";
    fs::write(data.join("pg_hba.conf"), hba).expect("the rules can be written");
    let mut settings = vec!["-c".to_owned(), "ssl=on".to_owned()];
    let files =
        [("ssl_cert_file", &server.certificate), ("ssl_key_file", &server.key), ("ssl_ca_file", &authority.file())];
    for (setting, file) in files {
        // PostgreSQL refuses a key that other users may read.
        let own = data.join(format!("{setting}.pem"));
        fs::copy(file, &own).expect("the file can be copied");
        fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).expect("the file can be made private");
        if let Some(nobody) = nobody() {
            chown(&own, Some(nobody.uid), Some(nobody.gid)).expect("the file's owner can be changed");
        }
        settings.extend(["-c".to_owned(), format!("{setting}={}", own.display())]);
    }
    let (certificate, key) = client.names();
    let root = authority.file().display().to_string();
    (format!("?sslmode=verify-full&sslrootcert={root}&sslcert={certificate}&sslkey={key}"), settings)
}

/// Every row of every table of a database as text, sorted, under the name of its table.
///
/// # Panics
/// If the server does not answer.
pub async fn rows(url: &str) -> BTreeMap<String, Vec<String>> {
    let mut connection = PgConnection::connect(url).await.expect("the cluster answers");
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.expect("tables are listed");
    let mut rows = BTreeMap::new();
    for table in tables {
        let all = format!("SELECT t::text FROM {table} t ORDER BY 1");
        let all = sqlx::query_scalar(sqlx::AssertSqlSafe(all)).fetch_all(&mut connection).await;
        rows.insert(table, all.expect("rows are listed"));
    }
    rows
}

/// Removes folders of earlier processes. The shared cluster is a static and is never dropped, so its folder outlives
/// its process.
fn remove_leftover_folders() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another test process may do the same now.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A command that ends with the tests and does not run as root.
pub(crate) fn unprivileged(program: &Path) -> Command {
    let mut command = if let Some(nobody) = nobody() {
        let setpriv =
            child::find_on_path("setpriv").expect("root may not run PostgreSQL: install setpriv (util-linux)");
        let mut command = child::bound_to_us(&setpriv);
        command.args([format!("--reuid={}", nobody.uid), format!("--regid={}", nobody.gid), "--clear-groups".into()]);
        // A change of the user clears the signal that setpriv(1) requested, so it is requested again.
        command.arg(setpriv).args(["--pdeathsig", "KILL"]).arg(program);
        command
    } else {
        child::bound_to_us(program)
    };
    command.current_dir("/");
    command
}

/// The user that runs the server; `None` if it is the user of this process.
pub(crate) fn nobody() -> Option<User> {
    let nobody = || User::from_name(UNPRIVILEGED).ok().flatten();
    Uid::effective().is_root().then(|| nobody().expect("root may not run PostgreSQL: add a user named nobody"))
}

/// The folder of the server's programs: on `PATH`, else the downloaded one, else the newest of Debian.
fn programs() -> PathBuf {
    let on_path = child::find_on_path("initdb").and_then(|initdb| initdb.canonicalize().ok());
    let on_path = on_path.and_then(|initdb| initdb.parent().map(Path::to_path_buf));
    let brought = child::workspace().join(".tools/postgres/bin");
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut installed: Vec<PathBuf> = installed.map(|entry| entry.path()).collect();
    installed.sort_by_key(|folder| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    let installed = installed.into_iter().rev().map(|folder| folder.join("bin"));
    on_path
        .into_iter()
        .chain([brought])
        .chain(installed)
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .expect("no initdb on PATH or in /usr/lib/postgresql: run tools/bring-postgres")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn databases_are_private() {
        let (one, two) = (database().await, database().await);
        assert_ne!(one, two);
        let mut connection = PgConnection::connect(&one).await.unwrap();
        connection.execute("CREATE TABLE t (x INT)").await.unwrap();
        let mut other = PgConnection::connect(&two).await.unwrap();
        assert!(other.execute("SELECT * FROM t").await.is_err());
    }

    #[tokio::test]
    async fn separate_cluster_ends_when_it_is_dropped() {
        let cluster = Postgres::start().await;
        let (url, folder) = (cluster.database().await, cluster.folder.path().to_owned());
        drop(cluster);
        assert!(PgConnection::connect(&url).await.is_err());
        assert!(!folder.exists());
    }

    #[tokio::test]
    async fn killed_cluster_restarts_with_its_data() {
        let cluster = Postgres::start().await;
        let url = cluster.database().await;
        let mut connection = PgConnection::connect(&url).await.unwrap();
        connection.execute("CREATE TABLE t (x INT)").await.unwrap();
        connection.execute("INSERT INTO t VALUES (2), (1)").await.unwrap();
        cluster.kill();
        assert!(PgConnection::connect(&url).await.is_err());
        cluster.restart().await;
        assert_eq!(rows(&url).await["t"], ["(1)", "(2)"]);
    }
}
