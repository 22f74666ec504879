//! A connection to the read model: SQLite or PostgreSQL, one set of statements.
//!
//! A transaction that writes rows first moves the checkpoint. So a fact counts once, even if several processes project.

use std::{sync::Arc, time::Duration};

use sqlx::{AnyPool, any::AnyRow};

use crate::{
    error::StoreError,
    flush_hint::FlushHints,
    measured,
    sql::{Flavour, Statement},
    traced,
};

/// WAL: readers do not wait for the writer. NORMAL: a transaction that is lost in a power failure is projected again.
/// `secure_delete`: deleted and replaced bytes are overwritten in place. MEMORY: temporary journals of statements are
/// kept in memory.
pub(crate) const OF_SQLITE: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000; \
    PRAGMA secure_delete = ON; PRAGMA temp_store = MEMORY";
/// The writer keeps 16 MiB of pages in memory. It copies its write-ahead log into the database when the log has 8,192
/// pages (32 MiB), so that a page that was written many times is copied once.
pub(crate) const OF_SQLITE_WRITER: &str = "PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 8192";

/// The name of the operation that writes facts into the read model.
const PROJECT: &str = "project";

#[derive(Debug, Clone)]
pub struct Store {
    /// The streams whose facts callers wait for.
    pub flush_hints: FlushHints,
    pub(crate) pool: AnyPool,
    /// Transactions that write take a connection of this pool.
    pub(crate) writer: AnyPool,
    pub(crate) flavour: Flavour,
    /// The pools of readers and of the writer, for metrics. Metrics hold weak references, so that connections close
    /// with the last clone of the store.
    observed: Arc<[AnyPool; 2]>,
}

impl Store {
    pub(crate) fn new(pool: AnyPool, writer: AnyPool, flavour: Flavour) -> Self {
        let observed = Arc::new([pool.clone(), writer.clone()]);
        Self { flush_hints: FlushHints::default(), pool, writer, flavour, observed }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.flavour == Flavour::Sqlite
    }

    /// The rows of a statement.
    pub(crate) async fn fetch_all(&self, statement: Statement) -> Result<Vec<AnyRow>, StoreError> {
        let span = traced::reading(&self.pool, self.flavour, &statement);
        measured::read(self.flavour, traced::run(span, self.rows(statement))).await
    }

    async fn rows(&self, statement: Statement) -> Result<Vec<AnyRow>, StoreError> {
        if self.flavour != Flavour::PooledPostgres {
            return Ok(statement.query().fetch_all(&self.pool).await?);
        }
        // Preparing and executing are two messages, and only a transaction sends both to the same server.
        let mut transaction = self.pool.begin().await?;
        let rows = statement.query().fetch_all(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// The first row of a statement; `None` if it has none.
    pub(crate) async fn fetch_optional(&self, statement: Statement) -> Result<Option<AnyRow>, StoreError> {
        if self.flavour != Flavour::PooledPostgres {
            let span = traced::reading(&self.pool, self.flavour, &statement);
            let reading = async { Ok(statement.query().fetch_optional(&self.pool).await?) };
            return measured::read(self.flavour, traced::run(span, reading)).await;
        }
        Ok(self.fetch_all(statement).await?.into_iter().next())
    }

    /// The row of a statement that always has one.
    pub(crate) async fn fetch_one(&self, statement: Statement) -> Result<AnyRow, StoreError> {
        Ok(self.fetch_optional(statement).await?.ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Runs a statement that writes.
    pub(crate) async fn execute(&self, statement: Statement) -> Result<(), StoreError> {
        if self.flavour != Flavour::PooledPostgres {
            statement.query().execute(&self.writer).await?;
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        statement.query().execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}

impl Store {
    /// Runs a transaction that writes facts into the read model, in a span of the current trace.
    pub async fn projecting<T>(&self, writing: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        traced::run(traced::transaction(&self.pool, self.flavour, PROJECT), writing).await
    }

    /// Records the duration of a transaction that wrote facts into the read model.
    pub fn projected_in(&self, took: Duration) {
        measured::record(self.flavour, PROJECT, took, false);
    }

    /// Observes the connections of both pools.
    pub(crate) fn observe(&self) {
        for (index, name) in ["readers", "writer"].into_iter().enumerate() {
            measured::observe_pool(name, index, &self.observed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use journal::StreamName;
    use testkit::SmallDisk;

    use super::*;

    #[tokio::test]
    async fn a_full_disk_ends_one_transaction_and_no_later_one() {
        let disk = SmallDisk::mount(8 * 1024 * 1024);
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
        assert_eq!(failed.public(), "disk full: the read model's database cannot store rows");
        // The checkpoint is not at `from`, so the transaction is rolled back.
        assert!(store.advance(StreamName::Leads, at + 9, at + 10).await.unwrap().is_none());
        File::create(&filler).unwrap();
        advance(&store, at).await.unwrap();
        // A reader sees committed rows only.
        assert_eq!(store.checkpoint(StreamName::Leads).await.unwrap(), at + 1);
    }

    async fn advance(store: &Store, at: u64) -> Result<(), StoreError> {
        let moved = store.advance(StreamName::Leads, at, at + 1).await?;
        moved.expect("the checkpoint is where this test left it").commit().await?;
        Ok(())
    }
}
