//! Free pages of an SQLite file. New rows use them. If many pages are free, the surplus is given back to the file
//! system.
//!
//! A file of an older version cannot give pages back until it is compacted. Compaction copies the whole file and blocks
//! writers meanwhile, so it happens only on request.

use sqlx::AssertSqlSafe;

use crate::{
    error::StoreError,
    sql::{self, Statement},
    store::Store,
};

/// One page in this many may stay free. The rows of the next day need about as much space as pruning frees in a day,
/// and giving pages back costs work: SQLite moves other pages.
const KEPT_FREE: i64 = 10;
/// The value of `auto_vacuum` of a file that gives pages back on request.
const INCREMENTAL: i64 = 2;

/// The temporary copy is a file, because it may be larger than the memory. The long timeout is for a projector that
/// holds the database.
const COMPACT: &str =
    "PRAGMA temp_store = FILE; PRAGMA busy_timeout = 600000; PRAGMA auto_vacuum = INCREMENTAL; VACUUM";

/// The result of giving back pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreePages {
    /// Few pages are free, or the database is not SQLite.
    Few,
    /// This many pages were given back. More may be free.
    GivenBack(u32),
    /// Many pages are free, and the file has to be compacted before it can give them back.
    Stuck,
}

impl Store {
    /// Gives back at most `max` pages.
    pub async fn give_back(&self, max: u32) -> Result<FreePages, StoreError> {
        if !self.is_sqlite() {
            return Ok(FreePages::Few);
        }
        let select = "SELECT page_count, freelist_count, auto_vacuum \
            FROM pragma_page_count, pragma_freelist_count, pragma_auto_vacuum";
        let row = self.fetch_one(Statement::new(select)).await?;
        let excess = sql::int(&row, "freelist_count")? - sql::int(&row, "page_count")? / KEPT_FREE;
        let pages = u32::try_from(excess.min(max.into())).unwrap_or_default();
        if pages == 0 {
            return Ok(FreePages::Few);
        }
        if sql::int(&row, "auto_vacuum")? != INCREMENTAL {
            return Ok(FreePages::Stuck);
        }
        let vacuum = format!("PRAGMA incremental_vacuum({pages})");
        sqlx::raw_sql(AssertSqlSafe(vacuum)).execute(&self.writer).await?;
        Ok(FreePages::GivenBack(pages))
    }

    /// Copies an SQLite file without its free pages. Afterwards the file can give pages back.
    pub async fn compact(&self) -> Result<(), StoreError> {
        sqlx::raw_sql(COMPACT).execute(&self.writer).await?;
        self.scrub().await.map(drop)
    }
}
