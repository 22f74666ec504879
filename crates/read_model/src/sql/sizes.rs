//! The sizes of the tables.

use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::{
    error::StoreError,
    sql::{self, Statement, checkpoint::TABLES},
    store::Store,
};

/// The tables whose age is reported as that of the oldest delivery.
const OF_DELIVERIES: [&str; 5] = ["deliveries", "attempts", "leads", "lead_events", "lead_log"];
/// The bytes of a table or an index, and the number of rows in its leaf pages. The query reads every page.
const PAGES: &str = "SELECT COALESCE(SUM(pgsize), 0) AS bytes, \
    COALESCE(SUM(CASE WHEN pagetype = 'leaf' THEN ncell ELSE 0 END), 0) AS \"rows\" FROM dbstat WHERE name = ";
/// The sizes in the catalogue; rows are estimated by the statistics that autovacuum uses.
const IN_CATALOGUE: &str = "SELECT c.relname::TEXT AS name, pg_total_relation_size(c.oid) AS bytes, \
    CASE WHEN s.n_live_tup > 0 THEN s.n_live_tup ELSE GREATEST(c.reltuples, 0)::BIGINT END AS \"rows\" \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid \
    WHERE n.nspname = current_schema() AND c.relkind = 'r' AND c.relname IN ";

/// The rows of a table of at most this many bytes are counted, because PostgreSQL updates the estimates of small tables
/// late.
const COUNTED_BYTES: u64 = 8 * 1024 * 1024;

/// A table with its indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSize {
    pub name: &'static str,
    /// Estimated on PostgreSQL, unless the table is small.
    pub rows: u64,
    pub bytes: u64,
    /// The time of the oldest row; `None` if that is not known.
    pub oldest: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatabaseSize {
    pub bytes: u64,
    /// Bytes that are free for new rows; 0 on PostgreSQL, where this is not known.
    pub free: u64,
}

impl Store {
    /// The size of each table, in the order of [`TABLES`]. On SQLite this reads the whole file.
    pub async fn table_sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        let oldest_delivery =
            self.oldest("SELECT MIN(requested_at) AS at FROM deliveries WHERE requested_at > 0").await?;
        let oldest_change = self.oldest("SELECT at FROM audit_log ORDER BY sequence LIMIT 1").await?;
        let catalogue = if self.is_sqlite() { vec![] } else { self.catalogue().await? };
        let mut sizes = vec![];
        for name in TABLES {
            let (rows, bytes) = if self.is_sqlite() {
                self.sqlite_size(name).await?
            } else {
                let found = catalogue.iter().find(|(table, ..)| table == name);
                match found.map(|(_, rows, bytes)| (*rows, *bytes)).unwrap_or_default() {
                    (_, bytes) if bytes <= COUNTED_BYTES => (self.count(name).await?, bytes),
                    estimated => estimated,
                }
            };
            let oldest = match name {
                name if OF_DELIVERIES.contains(&name) => oldest_delivery,
                "audit_log" => oldest_change,
                _ => None,
            };
            sizes.push(TableSize { name, rows, bytes, oldest });
        }
        Ok(sizes)
    }

    /// The size of the database with everything in it.
    pub async fn database_size(&self) -> Result<DatabaseSize, StoreError> {
        let select = if self.is_sqlite() {
            "SELECT page_count * page_size AS bytes, freelist_count * page_size AS free \
             FROM pragma_page_count, pragma_page_size, pragma_freelist_count"
        } else {
            "SELECT pg_database_size(current_database()) AS bytes, 0::BIGINT AS free"
        };
        let row = self.fetch_one(Statement::new(select)).await?;
        Ok(DatabaseSize { bytes: number(&row, "bytes")?, free: number(&row, "free")? })
    }

    /// Each table and index has its own statement, because SQLite cannot shorten its write-ahead log during a long
    /// read.
    async fn sqlite_size(&self, table: &str) -> Result<(u64, u64), StoreError> {
        let mut select = Statement::new("SELECT name, type FROM sqlite_master WHERE tbl_name = ");
        select.push("?", [table.into()]);
        let (mut rows, mut bytes) = (0, 0);
        for part in self.fetch_all(select).await? {
            let mut select = Statement::new(PAGES);
            select.push("?", [sql::text(&part, "name")?.into()]);
            let size = self.fetch_one(select).await?;
            bytes += number(&size, "bytes")?;
            if sql::text(&part, "type")? == "table" {
                rows = number(&size, "rows")?;
            }
        }
        Ok((rows, bytes))
    }

    async fn count(&self, table: &str) -> Result<u64, StoreError> {
        let row = self.fetch_one(Statement::new(format!("SELECT COUNT(*) AS \"rows\" FROM {table}"))).await?;
        number(&row, "rows")
    }

    async fn catalogue(&self) -> Result<Vec<(String, u64, u64)>, StoreError> {
        let select = Statement::new(format!("{IN_CATALOGUE}('{}')", TABLES.join("', '")));
        let read = |row: &AnyRow| Ok((sql::text(row, "name")?, number(row, "rows")?, number(row, "bytes")?));
        self.fetch_all(select).await?.iter().map(read).collect()
    }

    async fn oldest(&self, select: &str) -> Result<Option<Timestamp>, StoreError> {
        let row = self.fetch_optional(Statement::new(select)).await?;
        Ok(match row.as_ref().map(|row| sql::int_or_none(row, "at")).transpose()?.flatten() {
            Some(_) => row.as_ref().map(|row| sql::time(row, "at")).transpose()?,
            None => None,
        })
    }
}

fn number(row: &AnyRow, column: &'static str) -> Result<u64, StoreError> {
    sql::int(row, column).map(|number| u64::try_from(number).unwrap_or_default())
}
