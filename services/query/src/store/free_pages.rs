//! Pages of an SQLite file that are free: they are used for new rows, and given back if they are many.
//!
//! A file of an older version cannot give pages back until it is compacted, which copies it whole. That is a pause, so
//! nobody does it unasked.

use sqlx::AssertSqlSafe;

use super::{
    Store, StoreError,
    sql::{self, Statement},
};

/// One page in so many may be free: what is deleted in a day is needed again on the next, and to give it back would move
/// other pages to its place.
const KEPT_FREE: i64 = 10;
/// `auto_vacuum` of a file that gives pages back when it is told to.
const INCREMENTAL: i64 = 2;

/// The copy is made in a file, because it may be larger than the memory. Whoever projects meanwhile may hold the database.
const COMPACT: &str =
    "PRAGMA temp_store = FILE; PRAGMA busy_timeout = 600000; PRAGMA auto_vacuum = INCREMENTAL; VACUUM";

/// What can be done about free pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FreePages {
    /// There are few, or the database is not SQLite.
    Few,
    /// So many were given back, and there are more.
    GivenBack(u32),
    /// There are many, and the file has to be compacted before it can give them back.
    Stuck,
}

impl Store {
    /// Gives back at most `most` pages.
    pub(crate) async fn give_back(&self, most: u32) -> Result<FreePages, StoreError> {
        if !self.is_sqlite() {
            return Ok(FreePages::Few);
        }
        let select = "SELECT page_count, freelist_count, auto_vacuum \
            FROM pragma_page_count, pragma_freelist_count, pragma_auto_vacuum";
        let row = self.fetch_one(Statement::new(select)).await?;
        let excess = sql::int(&row, "freelist_count")? - sql::int(&row, "page_count")? / KEPT_FREE;
        let pages = u32::try_from(excess.min(most.into())).unwrap_or_default();
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

    /// Copies an SQLite file without its free pages, and has it give pages back by itself from now on; whether the database
    /// is SQLite.
    pub(crate) async fn compact(&self) -> Result<bool, StoreError> {
        if self.is_sqlite() {
            sqlx::raw_sql(COMPACT).execute(&self.writer).await?;
            self.scrub().await?;
        }
        Ok(self.is_sqlite())
    }
}
