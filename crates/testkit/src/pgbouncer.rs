//! PgBouncer in transaction mode in front of a private PostgreSQL.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::unistd::chown;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use crate::{
    child,
    port::free_port,
    postgres::{Postgres, nobody, unprivileged},
    wait,
};

/// How long PgBouncer may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// The number of server connections that clients share.
const POOL_SIZE: u32 = 3;

/// A running pooler. It ends when it is dropped, or when the test process ends.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    child: Mutex<Child>,
    // Removed with the pooler.
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts a pooler in front of `server`.
    ///
    /// # Panics
    /// If the program is missing or does not start; the message says what to do.
    pub async fn start(server: &Postgres) -> Self {
        let program = child::find_on_path("pgbouncer").or_else(|| Some(PathBuf::from("/usr/sbin/pgbouncer")));
        let program = program.filter(|file| file.is_file()).expect("no pgbouncer: run tools/bring-pgbouncer");
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder for the pooler"));
        let (log, config) = (folder.path().join("log"), folder.path().join("pgbouncer.ini"));
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = {POOL_SIZE}\nunix_socket_dir =\n\
             ignore_startup_parameters = extra_float_digits\nlogfile = {}\n",
            server.port(),
            server.user(),
            log.display()
        );
        fs::write(&config, text).expect("the configuration can be written");
        if let Some(nobody) = nobody() {
            chown(folder.path(), Some(nobody.uid), Some(nobody.gid)).expect("the folder can be given away");
        }
        let mut command = unprivileged(&program);
        command.arg("-q").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Mutex::new(child::start(command).expect("pgbouncer can be started"));
        let pooler = Self { port, child, _folder: folder };
        let url = pooler.url("postgres");
        let answers = wait::attempt(START_TIMEOUT, async || PgConnection::connect(&url).await.is_ok()).await;
        assert!(answers.is_ok(), "pgbouncer did not come up: {}", fs::read_to_string(log).unwrap_or_default());
        pooler
    }

    /// The URL of a database behind the pooler.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://leadline@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        child::kill(&mut self.child.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
