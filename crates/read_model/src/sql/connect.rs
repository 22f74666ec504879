//! Connecting to the database: SQLite, PostgreSQL, or PostgreSQL behind a transaction pooler such as PgBouncer.
//!
//! Behind a transaction pooler, two statements of one connection may reach two server processes, unless they belong to
//! one transaction. So each statement runs in a transaction there, no prepared statement outlives its transaction, and
//! no session setting is made. A pooler is recognised by its behaviour, because the protocol does not name it.

use std::{collections::HashSet, error::Error, path::Path, time::Duration};

use runtime::ErrorChain as _;
use sqlx::{
    Any, AnyPool, AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection, Row as _,
    SqliteConnection, Transaction,
    any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers},
    migrate::{Migrate, Migration},
    postgres::PgConnectOptions,
    sqlite::SqliteConnectOptions,
};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::{
    error::StoreError,
    sql::{Flavour, migrations::migrations},
    store::{OF_SQLITE, OF_SQLITE_WRITER, Store},
};

/// At most this many connections to the database per process; on SQLite there is one more, which writes.
const MAX_CONNECTIONS: u32 = 8;
/// SQLite writes one transaction at a time, so one connection writes: another one would begin with an empty page cache.
const MAX_SQLITE_WRITERS: u32 = 1;
/// How long a query waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of comparisons between two connections. A single comparison misses a pooler if another client uses the
/// server between the two statements. Several comparisons rarely all miss it.
const POOLER_CHECKS: usize = 10;
/// The interval of log messages about a migration that still runs.
const PROGRESS_INTERVAL: Duration = if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(10) };
/// Only one process at a time migrates a database. The number is arbitrary, and must not change.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(5496372806); SET LOCAL client_min_messages = warning";
/// The table of applied migrations.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";
/// A process that hangs in a transaction must not block other writers for long.
const IDLE_IN_TRANSACTION: &str = "idle_in_transaction_session_timeout = 5000";

impl Store {
    /// Connects, and migrates the tables.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        install_default_drivers();
        let failed = |source: Box<dyn Error + Send + Sync>| {
            let hint = hint(&source.chain());
            StoreError::Connect { url: without_password(url), hint, source }
        };
        open(url).await.map_err(failed)
    }

    /// Begins a transaction that may write.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let mut transaction = self.writer.begin().await?;
        if self.flavour == Flavour::PooledPostgres {
            // sqlx numbers prepared statements from 1 on each connection to the pooler. Another connection may have
            // left statements with these numbers in the server process.
            let fresh = format!("SET LOCAL {IDLE_IN_TRANSACTION}; DEALLOCATE ALL");
            transaction.execute(sqlx::raw_sql(AssertSqlSafe(fresh))).await?;
        }
        Ok(transaction)
    }
}

async fn open(url: &str) -> Result<Store, Box<dyn Error + Send + Sync>> {
    let flavour = flavour(url).await?;
    let (pool, writer) = match flavour {
        Flavour::Sqlite => {
            close_files(url)?;
            prepare_new_file(url).await?;
            let writer = pool(url, MAX_SQLITE_WRITERS, [OF_SQLITE, OF_SQLITE_WRITER].map(str::to_owned).into()).await?;
            (pool(url, MAX_CONNECTIONS, vec![OF_SQLITE.to_owned()]).await?, writer)
        }
        Flavour::Postgres => {
            let pool = pool(url, MAX_CONNECTIONS, vec![format!("SET {IDLE_IN_TRANSACTION}")]).await?;
            (pool.clone(), pool)
        }
        Flavour::PooledPostgres => {
            tracing::info!("the database is behind a transaction pooler; prepared statements are not kept");
            let pool = pool(&without_statement_cache(url), MAX_CONNECTIONS, vec![]).await?;
            (pool.clone(), pool)
        }
    };
    let store = Store::new(pool, writer, flavour);
    // Migrations expect every index, so deferred indexes are created first.
    store.make_indexes().await?;
    migrate(&store).await?;
    store.observe();
    Ok(store)
}

pub(crate) async fn pool(url: &str, connections: u32, settings: Vec<String>) -> Result<AnyPool, sqlx::Error> {
    let options = AnyPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE_TIMEOUT);
    // If the database rolls a transaction back by itself, as SQLite does when its disk is full, the driver still counts
    // that transaction. The next one would be a savepoint in it, and its writes would never be committed.
    let options = options.before_acquire(|connection, _| {
        let is_free = !connection.is_in_transaction();
        Box::pin(async move { Ok(is_free) })
    });
    let options = options.after_connect(move |connection, _| {
        let settings = settings.clone();
        Box::pin(async move {
            for setting in settings {
                sqlx::raw_sql(AssertSqlSafe(setting)).execute(&mut *connection).await?;
            }
            Ok(())
        })
    });
    // The log of statements is off. Otherwise the driver asks the filters of `tracing` for each statement whether it
    // may log a line. If it then logs none, the filters apply their answer to the thread's next span, which is lost.
    let connection: AnyConnectOptions = url.parse()?;
    options.connect_with(connection.disable_statement_logging()).await
}

/// Removes the permissions of group and others from files that an older version created.
fn close_files(url: &str) -> Result<(), sqlx::Error> {
    let options: SqliteConnectOptions = url.parse()?;
    for suffix in ["", "-wal", "-shm"] {
        let mut file = options.get_filename().as_os_str().to_owned();
        file.push(suffix);
        runtime::private::tighten(Path::new(&file));
    }
    Ok(())
}

/// Sets up a new file so that it gives pages back on request. An existing file is not changed: SQLite would write the
/// setting at each start, and on a full disk the connection would fail.
async fn prepare_new_file(url: &str) -> Result<(), sqlx::Error> {
    let mut file = SqliteConnection::connect_with(&url.parse()?).await?;
    let pages: i64 = file.fetch_one(sqlx::raw_sql("SELECT page_count FROM pragma_page_count")).await?.try_get(0)?;
    if pages == 0 {
        file.execute(sqlx::raw_sql("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL")).await?;
    }
    file.close().await
}

/// Whether this is the URL of an SQLite file.
pub(crate) fn is_sqlite(url: &str) -> bool {
    url.starts_with("sqlite:")
}

/// Finds out the kind of the database.
async fn flavour(url: &str) -> Result<Flavour, sqlx::Error> {
    if is_sqlite(url) {
        return Ok(Flavour::Sqlite);
    }
    let options: PgConnectOptions = url.parse()?;
    let (mut one, mut two) = (PgConnection::connect_with(&options).await?, PgConnection::connect_with(&options).await?);
    let first = backend(&mut one).await?;
    let mut pooled = false;
    for _ in 0..POOLER_CHECKS {
        // Without a pooler, two connections have two server processes, and keep them.
        let seen = backend(&mut one).await?;
        let mut transaction = two.begin().await?;
        let other = backend(&mut transaction).await?;
        transaction.rollback().await?;
        pooled |= seen != first || other == seen;
    }
    let (_, _) = (one.close().await, two.close().await);
    Ok(if pooled { Flavour::PooledPostgres } else { Flavour::Postgres })
}

/// The server process of this connection. The query is one message, which no pooler divides.
async fn backend(connection: &mut PgConnection) -> Result<i32, sqlx::Error> {
    connection.fetch_one(sqlx::raw_sql("SELECT pg_backend_pid()")).await?.try_get(0)
}

/// With a cache, sqlx reuses the name of a prepared statement, which the next server of a pooler does not know.
fn without_statement_cache(url: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}statement-cache-capacity=0")
}

/// Applies the missing migrations, and logs each. On PostgreSQL all of them are one transaction.
async fn migrate(store: &Store) -> Result<(), Box<dyn Error + Send + Sync>> {
    if store.flavour == Flavour::Sqlite {
        let mut connection = store.writer.acquire().await?;
        return apply(&mut *connection).await;
    }
    let mut transaction = store.begin().await?;
    // The second statement of the lock silences notices: sqlx creates its table if it is missing, and PostgreSQL
    // otherwise reports at each start that the table exists.
    transaction.execute(sqlx::raw_sql(MIGRATION_LOCK)).await?;
    apply(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

async fn apply<C: Migrate + Send>(connection: &mut C) -> Result<(), Box<dyn Error + Send + Sync>> {
    let migrations = migrations();
    connection.ensure_migrations_table(MIGRATIONS_TABLE).await?;
    let applied = connection.list_applied_migrations(MIGRATIONS_TABLE).await?;
    let applied: HashSet<_> = applied.into_iter().map(|migration| migration.version).collect();
    let missing: Vec<_> = migrations.iter().filter(|migration| !applied.contains(&migration.version)).collect();
    for (index, migration) in missing.iter().enumerate() {
        if !applied.is_empty() {
            let (number, all, name) = (index + 1, missing.len(), &migration.description);
            tracing::info!(%name, "migrating the read model, step {number} of {all}");
        }
        with_progress(migration, connection.apply(MIGRATIONS_TABLE, migration)).await?;
    }
    // This checks that the applied migrations are those of this program.
    migrations.run_direct(None, connection, false).await?;
    Ok(())
}

/// Runs a migration, and logs at an interval that it still runs.
async fn with_progress<T>(migration: &Migration, step: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let mut ticks = interval_at(began + PROGRESS_INTERVAL, PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut step = std::pin::pin!(step);
    loop {
        tokio::select! {
            done = &mut step => return done,
            _ = ticks.tick() => {
                let seconds = began.elapsed().as_secs();
                tracing::info!(name = %migration.description, seconds, "still migrating the read model");
            }
        }
    }
}

/// What to do about an error, which is recognised by its text.
fn hint(error: &str) -> &'static str {
    if error.contains("unsupported startup parameter") {
        "; set ignore_startup_parameters = extra_float_digits in the configuration of PgBouncer"
    } else if error.contains("no encryption") {
        "; the server demands TLS: add ?sslmode=require, or sslmode=verify-full&sslrootcert=FILE"
    } else if error.contains("unable to open database file") {
        "; there is no such file, or this process may not open it"
    } else {
        ""
    }
}

fn without_password(url: &str) -> String {
    // The text after '?' holds settings, and the password may be one of them.
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
    use super::*;

    #[test]
    fn an_error_shows_no_password() {
        assert_eq!(without_password("postgres://me:secret@db/leads"), "postgres://me@db/leads");
        assert_eq!(without_password("postgres://me@db/leads?password=secret"), "postgres://me@db/leads");
        assert_eq!(without_password("sqlite:/data/leads.db?mode=rwc"), "sqlite:/data/leads.db");
    }
}
