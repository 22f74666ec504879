//! The options of every process that uses the read model.

use crate::{error::StoreError, history::History, sql::connect::is_sqlite, store::Store};

/// Where the read model is, and how long it shows history.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "read-model")]
pub struct Options {
    /// Database of the read model: sqlite:FILE?mode=rwc or postgres://USER:PASSWORD@HOST/DATABASE [default: an SQLite
    /// file leadline.db in the working directory; up: in the data directory]
    #[arg(long, env = "LEADLINE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    #[command(flatten)]
    pub history: History,
}

/// The database of the read model if none is set.
const DEFAULT_DATABASE: &str = "sqlite:leadline.db?mode=rwc";

impl Options {
    /// Connects to the read model, and makes its tables if they are missing.
    ///
    /// # Errors
    /// Fails if the database cannot be used.
    pub async fn connect(&self) -> Result<Store, StoreError> {
        Store::connect(self.database_url.as_deref().unwrap_or(DEFAULT_DATABASE)).await
    }
}

/// Copies an SQLite database without its free pages. Afterwards it can give free pages back to the file system. Returns
/// `false` if the database is not SQLite.
///
/// # Errors
/// Fails if the database fails, or another process uses it without a pause.
pub async fn compact(database_url: Option<&str>) -> Result<bool, StoreError> {
    let url = database_url.unwrap_or(DEFAULT_DATABASE);
    if !is_sqlite(url) {
        return Ok(false);
    }
    // `rw` does not create a missing file: a new file needs no compaction.
    Store::connect(&url.replace("mode=rwc", "mode=rw")).await?.compact().await?;
    Ok(true)
}
