//! Deferred indexes: a rebuild drops the indexes that only readers need. An index that is created from all rows at once
//! costs a fraction of one that is updated row by row.
//!
//! The table `put_off_indexes` holds the definition of each dropped index. If the rebuilding process dies, the next
//! process that connects creates the indexes.

use sqlx::{AssertSqlSafe, any::AnyRow};

use crate::{
    error::StoreError,
    sql::{self, Statement, checkpoint::TABLES},
    store::{OF_SQLITE, Store},
};

/// The indexes that find the rows about an anonymised lead.
const TO_ANONYMISE: [&str; 5] =
    ["lead_events_by_lead", "deliveries_by_lead", "copies_by_lead", "lead_log_by_lead", "lead_values_by_lead"];

/// Two queries: whether the table of deferred indexes exists, and which indexes the listed tables have besides their
/// keys. The list of tables follows the second query.
const IN_SQLITE: (&str, &str) = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'put_off_indexes'",
    "SELECT name, sql AS definition FROM sqlite_master WHERE type = 'index' AND sql NOT LIKE 'CREATE UNIQUE %' \
     AND tbl_name IN ",
);
const IN_POSTGRES: (&str, &str) = (
    "SELECT 1 FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'put_off_indexes'",
    "SELECT indexname::TEXT AS name, indexdef AS definition FROM pg_indexes WHERE schemaname = current_schema() \
     AND indexdef NOT LIKE 'CREATE UNIQUE %' AND tablename IN ",
);

/// Settings for creating indexes. Sorting a million rows takes more memory than a read model should use, so SQLite
/// sorts in files, with two threads. The timeout is long, because another process may create indexes for minutes.
const OF_SQLITE_TO_SORT: &str = "PRAGMA temp_store = FILE; PRAGMA threads = 2; PRAGMA busy_timeout = 600000";

impl Store {
    /// Drops the indexes that only readers need; also those that anonymisation needs, if no lead was ever anonymised.
    pub async fn put_off_indexes(&self, none_anonymised: bool) -> Result<(), StoreError> {
        for index in self.fetch_all(self.indexes()).await? {
            let (name, definition) = (sql::text(&index, "name")?, sql::text(&index, "definition")?);
            if TO_ANONYMISE.contains(&name.as_str()) && !none_anonymised {
                continue;
            }
            // Each transaction of a projector first updates its checkpoint, so this waits until none is running.
            let mut transaction = self.begin().await?;
            let begin = Statement::new("UPDATE checkpoints SET sequence = sequence");
            begin.query().execute(&mut *transaction).await?;
            let mut note = Statement::new("INSERT INTO put_off_indexes (name, definition) VALUES (");
            note.push("?, ?) ON CONFLICT DO NOTHING", [name.as_str().into(), definition.into()]);
            note.query().execute(&mut *transaction).await?;
            Statement::new(format!("DROP INDEX IF EXISTS {name}")).query().execute(&mut *transaction).await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Creates the deferred indexes, if there are any.
    pub async fn make_indexes(&self) -> Result<(), StoreError> {
        if self.fetch_optional(Statement::new(self.of_catalog().0)).await?.is_none() {
            return Ok(());
        }
        let select = Statement::new("SELECT name, definition FROM put_off_indexes ORDER BY name");
        let indexes = self.fetch_all(select).await?;
        if self.is_sqlite() && !indexes.is_empty() {
            sqlx::raw_sql(OF_SQLITE_TO_SORT).execute(&self.writer).await?;
            let made = self.make_each(&indexes).await;
            sqlx::raw_sql(OF_SQLITE).execute(&self.writer).await?;
            made
        } else {
            self.make_each(&indexes).await
        }
    }

    async fn make_each(&self, indexes: &[AnyRow]) -> Result<(), StoreError> {
        for index in indexes {
            let (name, definition) = (sql::text(index, "name")?, sql::text(index, "definition")?);
            // If several processes connect at once, the one that deletes the row creates the index.
            let mut transaction = self.begin().await?;
            let mut delete = Statement::new("DELETE FROM put_off_indexes WHERE name = ");
            delete.push("?", [name.as_str().into()]);
            if delete.query().execute(&mut *transaction).await?.rows_affected() == 1 {
                sqlx::raw_sql(AssertSqlSafe(definition)).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
            tracing::debug!(index = name, "rebuilt deferred index");
        }
        Ok(())
    }

    /// The indexes that exist.
    pub(crate) fn indexes(&self) -> Statement {
        Statement::new(format!("{}('{}')", self.of_catalog().1, TABLES.join("', '")))
    }

    fn of_catalog(&self) -> (&'static str, &'static str) {
        if self.is_sqlite() { IN_SQLITE } else { IN_POSTGRES }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    async fn indexes(store: &Store) -> BTreeMap<String, String> {
        let rows = store.indexes().query().fetch_all(&store.pool).await.unwrap();
        rows.iter().map(|row| (sql::text(row, "name").unwrap(), sql::text(row, "definition").unwrap())).collect()
    }

    #[tokio::test]
    async fn the_next_process_that_connects_creates_deferred_indexes() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = format!("sqlite:{}?mode=rwc", folder.path().join("put_off.db").display());
        for url in [sqlite, testkit::postgres::database().await] {
            let store = Store::connect(&url).await.unwrap();
            let before = indexes(&store).await;
            store.put_off_indexes(false).await.unwrap();
            let left: BTreeSet<_> = indexes(&store).await.into_keys().collect();
            assert_eq!(left, TO_ANONYMISE.map(str::to_owned).into());
            store.put_off_indexes(true).await.unwrap();
            assert_eq!(indexes(&store).await, BTreeMap::new());
            // The rebuilding process has died; two services start at once.
            let connected = tokio::join!(Store::connect(&url), Store::connect(&url));
            connected.0.unwrap();
            assert_eq!(indexes(&connected.1.unwrap()).await, before);
        }
    }
}
