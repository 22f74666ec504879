//! The checkpoints: how far the read model has come in each stream.

use journal::StreamName;
use sqlx::{Any, Transaction};

use crate::{
    error::StoreError,
    sql::{self, Statement},
    store::Store,
};

/// Every table whose rows follow from facts.
#[rustfmt::skip]
pub(crate) const TABLES: [&str; 20] = [
    "lead_events", "leads", "lead_values", "deliveries", "attempts", "lead_log", "audit_log", "jobs", "job_refusals",
    "copies", "erasures", "endings", "searches", "anonymised_leads", "job_outcomes", "problems", "problem_leads",
    "acknowledgements", "destination_health", "delivery_counts",
];

/// SQLite keeps 256 MiB of pages in memory, and copies its write-ahead log into the database when the log has 65,536
/// pages (256 MiB).
const OF_SQLITE_IN_BULK: &str = "PRAGMA cache_size = -262144; PRAGMA wal_autocheckpoint = 65536";

impl Store {
    /// The last sequence of a stream in the read model; 0 before the first fact.
    pub async fn checkpoint(&self, stream: StreamName) -> Result<u64, StoreError> {
        let mut select = Statement::new("SELECT sequence FROM checkpoints WHERE stream = ");
        select.push("?", [stream.as_str().into()]);
        let row = self.fetch_one(select).await?;
        let sequence = sql::int(&row, "sequence")?;
        u64::try_from(sequence).map_err(|_| sql::wrong("sequence", sequence))
    }

    /// Begins a transaction that moves a checkpoint. `None` if the checkpoint is not at `from`: another process
    /// projects as well, or the read model was wiped.
    pub async fn advance(
        &self,
        stream: StreamName,
        from: u64,
        to: u64,
    ) -> Result<Option<Transaction<'static, Any>>, StoreError> {
        let mut transaction = self.begin().await?;
        let (from, to) = (from.cast_signed(), to.cast_signed());
        let mut update = Statement::new("UPDATE checkpoints SET sequence = ");
        update.push("? WHERE stream = ? AND sequence = ?", [to.into(), stream.as_str().into(), from.into()]);
        let moved = update.query().execute(&mut *transaction).await?;
        Ok((moved.rows_affected() == 1).then_some(transaction))
    }

    /// Makes bulk writes cheap: SQLite gets more memory.
    pub async fn expect_much(&self) -> Result<(), StoreError> {
        if self.is_sqlite() {
            sqlx::raw_sql(OF_SQLITE_IN_BULK).execute(&self.writer).await?;
        }
        Ok(())
    }

    /// Deletes all rows that follow from facts. Every projector starts from the beginning.
    pub async fn wipe(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        Statement::new("UPDATE checkpoints SET sequence = 0").query().execute(&mut *transaction).await?;
        for table in TABLES {
            Statement::new(format!("DELETE FROM {table}")).query().execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
