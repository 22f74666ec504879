//! The read model in SQL: SQLite or PostgreSQL, one set of statements.
//!
//! [`sql`] is what both databases need said the same way; each table has a file of its own, and [`pages`] is how deliveries
//! are listed. Rows and checkpoint are
//! written in one transaction that begins with the checkpoint, so that a fact counts once, whoever else projects.

pub(crate) mod anonymised;
pub(crate) mod attempts;
pub(crate) mod audit;
mod bulk;
pub(crate) mod checkpoint;
pub(crate) mod deliveries;
mod indexes;
pub(crate) mod jobs;
pub(crate) mod leads;
pub(crate) mod log;
pub(crate) mod pages;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod repeats;
mod retries;
mod sql;
#[cfg(test)]
mod upgrades;

use std::{error::Error, path::Path, time::Duration};

use sqlx::{
    AnyPool, Connection as _,
    any::{AnyPoolOptions, install_default_drivers},
    migrate::Migrator,
    sqlite::SqliteConnectOptions,
};

use crate::awaited::Awaited;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How many connections to the database one process uses; on SQLite one more, which writes.
const CONNECTIONS: u32 = 8;
/// SQLite writes one transaction at a time, so one connection does it: another one would begin with an empty page cache.
const WRITERS: u32 = 1;
/// How long a query waits for a connection.
const ACQUIRE_DEADLINE: Duration = Duration::from_secs(5);

/// Readers do not wait for the writer. A lost write is made again from the events. What is deleted or replaced is
/// overwritten where it lay. What undoes a statement that fails half way is kept in memory.
const OF_SQLITE: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; \
    PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY";
/// The writer keeps 16 MiB of pages in memory, and copies its log into the database when that has 8,192 pages (32 MiB): a
/// page that was written many times until then is copied once.
const OF_SQLITE_WRITER: &str = "PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 8192";
/// A process that hangs in the middle of writing does not keep others from it for long.
const OF_POSTGRES: &str = "SET idle_in_transaction_session_timeout = 5000";

/// The read model.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// What it is to show soon.
    pub(crate) awaited: Awaited,
    pool: AnyPool,
    /// Whoever begins a transaction takes a connection of this one.
    writer: AnyPool,
    is_sqlite: bool,
}

/// What can go wrong between a service and its database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be connected to, or its tables cannot be made.
    #[error(
        "cannot use the database {url}; --database-url has to be sqlite:FILE?mode=rwc or postgres://USER@HOST/DATABASE"
    )]
    Connect {
        /// Where it should be, without the password.
        url: String,
        /// What it says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A row has a value that no version of Leadline writes.
    #[error("the read model holds {value:?} as {column}; leadline rebuild makes it anew from the events")]
    Value {
        /// The column.
        column: &'static str,
        /// What it holds.
        value: String,
    },
}

/// What databases call a full disk: SQLite's SQLITE_FULL, PostgreSQL's disk_full.
const DISK_FULL_CODES: [&str; 2] = ["13", "53100"];

impl StoreError {
    /// In words that everybody may read: without paths and without what the database says.
    pub(crate) fn public(&self) -> &'static str {
        match self {
            Self::Database(error) if is_disk_full(error) => "disk full: the database of the read model cannot store",
            Self::Value { .. } => "the read model holds a value that this version does not know; rebuild it",
            Self::Connect { .. } | Self::Database(_) => "the database of the read model does not work",
        }
    }
}

fn is_disk_full(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| DISK_FULL_CODES.contains(&&*code))
}

impl Store {
    /// Connects, and brings the tables up to date.
    pub(crate) async fn connect(url: &str) -> Result<Self, StoreError> {
        install_default_drivers();
        let failed = |source| StoreError::Connect { url: without_password(url), source };
        let is_sqlite = url.starts_with("sqlite:");
        let connected = async {
            let (pool, writer) = if is_sqlite {
                close_files(url)?;
                let writer = pool(url, WRITERS, &[OF_SQLITE, OF_SQLITE_WRITER]).await?;
                (pool(url, CONNECTIONS, &[OF_SQLITE]).await?, writer)
            } else {
                let pool = pool(url, CONNECTIONS, &[OF_POSTGRES]).await?;
                (pool.clone(), pool)
            };
            let store = Self { awaited: Awaited::default(), pool, writer, is_sqlite };
            // Before the migrations, which expect them.
            store.make_indexes().await?;
            MIGRATIONS.run(&store.writer).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(store)
        };
        connected.await.map_err(failed)
    }
}

async fn pool(url: &str, connections: u32, settings: &'static [&'static str]) -> Result<AnyPool, sqlx::Error> {
    let options = AnyPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_DEADLINE);
    // A database that rolls a transaction back by itself, as SQLite does when its disk is full, leaves the driver counting
    // that transaction. The next one would be a savepoint in it, and what it writes would never be committed.
    let options = options.before_acquire(|connection, _| {
        let is_free = !connection.is_in_transaction();
        Box::pin(async move { Ok(is_free) })
    });
    let options = options.after_connect(move |connection, _| {
        Box::pin(async move {
            for setting in settings {
                sqlx::raw_sql(*setting).execute(&mut *connection).await?;
            }
            Ok(())
        })
    });
    options.connect(url).await
}

/// Closes the files of a database of an older version to group and others.
fn close_files(url: &str) -> Result<(), sqlx::Error> {
    let options: SqliteConnectOptions = url.parse()?;
    for suffix in ["", "-wal", "-shm"] {
        let mut file = options.get_filename().as_os_str().to_owned();
        file.push(suffix);
        runtime::private::tighten(Path::new(&file));
    }
    Ok(())
}

fn without_password(url: &str) -> String {
    // What comes after '?' are settings, and the password may be one of them.
    let url = url.split('?').next().unwrap_or_default();
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let user = url[scheme + 3..at].split(':').next().unwrap_or_default();
            format!("{}://{user}{}", &url[..scheme], &url[at..])
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use journal::StreamName;
    use testkit::SmallDisk;

    use super::*;

    #[tokio::test]
    async fn a_transaction_that_a_full_disk_ended_does_not_swallow_later_ones() {
        let disk = match SmallDisk::mount(8 * 1024 * 1024) {
            Ok(disk) => disk,
            Err(why) => return eprintln!("WARNING: NO SMALL DISK CAN BE MOUNTED: {why}"),
        };
        let url = format!("sqlite:{}?mode=rwc", disk.path().join("read_model.db").display());
        let store = Store::connect(&url).await.unwrap();
        let filler = disk.path().join("filler");
        SmallDisk::fill(&filler);
        let mut at = 0;
        let failed = loop {
            match advance(&store, at).await {
                Ok(()) => at += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(failed.public(), "disk full: the database of the read model cannot store");
        // A checkpoint that is elsewhere: the transaction is given up.
        assert!(store.advance(StreamName::Leads, at + 9, at + 10).await.unwrap().is_none());
        File::create(&filler).unwrap();
        advance(&store, at).await.unwrap();
        // A reader sees only what was committed.
        assert_eq!(store.checkpoint(StreamName::Leads).await.unwrap(), at + 1);
    }

    async fn advance(store: &Store, at: u64) -> Result<(), StoreError> {
        let moved = store.advance(StreamName::Leads, at, at + 1).await?;
        moved.expect("the checkpoint is where this test left it").commit().await?;
        Ok(())
    }

    #[test]
    fn an_error_shows_no_password() {
        assert_eq!(without_password("postgres://me:secret@db/leads"), "postgres://me@db/leads");
        assert_eq!(without_password("postgres://me@db/leads?password=secret"), "postgres://me@db/leads");
        assert_eq!(without_password("sqlite:/data/leads.db?mode=rwc"), "sqlite:/data/leads.db");
    }
}
