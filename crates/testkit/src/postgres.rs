//! A private PostgreSQL cluster, one for each test process, and as many databases in it as tests want.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use nix::unistd::{Uid, User, chown};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use crate::{child, free_port, wait};

/// How long a cluster may take to be made and to start.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// Who runs the server when the tests are run by root, which PostgreSQL refuses to be.
const UNPRIVILEGED: &str = "nobody";

/// How the folders of clusters are called; the id of the process follows.
const PREFIX: &str = "leadline-postgres-";

/// A running cluster.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    user: String,
    _child: Child,
    _folder: TempDir,
}

/// The URL of a new, empty database.
///
/// # Panics
/// When there are no server programs, or they do not work; the message says what to do.
pub async fn database() -> String {
    static CLUSTER: OnceCell<Postgres> = OnceCell::const_new();
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let cluster = CLUSTER.get_or_init(Postgres::start).await;
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&cluster.url("postgres")).await.expect("the cluster answers");
    let create = format!("CREATE DATABASE {name}");
    connection.execute(sqlx::AssertSqlSafe(create)).await.expect("a database can be made");
    cluster.url(&name)
}

impl Postgres {
    async fn start() -> Self {
        let programs = programs();
        remove_what_others_left();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let folder = tempfile::Builder::new().prefix(&prefix).tempdir().expect("a folder for a cluster");
        let data = folder.path().join("data");
        let log = folder.path().join("log");
        let user = if Uid::effective().is_root() { UNPRIVILEGED.to_owned() } else { "leadline".to_owned() };
        if Uid::effective().is_root() {
            let nobody = User::from_name(UNPRIVILEGED).ok().flatten().expect("the user nobody exists");
            chown(folder.path(), Some(nobody.uid), Some(nobody.gid)).expect("the folder can be given away");
        }
        let mut initdb = unprivileged(&programs.join("initdb"));
        initdb.arg("--pgdata").arg(&data).args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]);
        let made = initdb.arg(format!("--username={user}")).output().expect("initdb can be run");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));

        let port = free_port();
        let mut server = unprivileged(&programs.join("postgres"));
        server.arg("-D").arg(&data).arg("-p").arg(port.to_string()).args(["-h", "127.0.0.1", "-k", ""]);
        server.args(["-c", "fsync=off", "-c", "max_connections=200"]).stdin(Stdio::null());
        let out = fs::File::create(&log).expect("the log can be written");
        server.stdout(out.try_clone().expect("the log can be shared")).stderr(out);
        let child = child::start(server).expect("postgres can be started");
        let cluster = Self { port, user, _child: child, _folder: folder };
        let url = cluster.url("postgres");
        let answers = wait::attempt(START_DEADLINE, async || PgConnection::connect(&url).await.map(drop)).await;
        if let Err(seen) = answers {
            panic!("postgres did not come up: {seen}; its log:\n{}", fs::read_to_string(&log).unwrap_or_default());
        }
        cluster
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{database}", self.user, self.port)
    }
}

/// A cluster lives in a static, which nobody drops: its folder outlives its process. The next one removes it.
fn remove_what_others_left() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Another test process may be doing the same at this moment.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A command that dies with the tests, run by somebody who is not root.
fn unprivileged(program: &Path) -> Command {
    let mut command = child::bound_to_us("setpriv");
    if Uid::effective().is_root() {
        command.args(["--reuid", UNPRIVILEGED, "--regid", "nogroup", "--clear-groups"]);
        // Changing the user takes the signal back that setpriv(1) asked for, so it is asked for once more.
        command.args(["setpriv", "--pdeathsig", "KILL"]);
    }
    command.arg(program).current_dir("/");
    command
}

fn programs() -> PathBuf {
    if let Some(initdb) = child::find_on_path("initdb") {
        return initdb.parent().map(Path::to_path_buf).unwrap_or_default();
    }
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
    folders.retain(|folder| folder.join("initdb").is_file());
    folders.sort();
    folders.pop().expect("no initdb on PATH or in /usr/lib/postgresql: run tools/bring-postgres")
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
}
