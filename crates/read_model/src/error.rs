//! Failures of the database, and their text for callers.

use std::{borrow::Cow, error::Error};

/// Failures between a service and its database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, or its tables cannot be created.
    #[error(
        "cannot use the database {url}; --database-url has to be sqlite:FILE?mode=rwc or postgres://USER@HOST/DATABASE{hint}"
    )]
    Connect {
        /// The URL without the password.
        url: String,
        /// What to do about the cause, if that is known.
        hint: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A row has a value that no version of Leadline writes.
    #[error("the read model holds {value:?} as {column}; leadline rebuild creates the read model again")]
    Value { column: &'static str, value: String },
}

/// The codes of a full disk: SQLITE_FULL of SQLite, disk_full of PostgreSQL.
const DISK_FULL_CODES: [&str; 2] = ["13", "53100"];

impl StoreError {
    /// The database's own code for the failure; `None` if it gave none.
    pub(crate) fn code(&self) -> Option<String> {
        match self {
            Self::Database(error) => code(error).map(Cow::into_owned),
            Self::Connect { .. } | Self::Value { .. } => None,
        }
    }

    /// The failure in words for every caller: without paths and without the database's own text.
    pub fn public(&self) -> &'static str {
        match self {
            Self::Database(error) if is_disk_full(error) => "disk full: the read model's database cannot store rows",
            Self::Value { .. } => "the read model holds a value that this version does not know; rebuild it",
            Self::Connect { .. } | Self::Database(_) => "the database of the read model does not work",
        }
    }
}

fn is_disk_full(error: &sqlx::Error) -> bool {
    code(error).is_some_and(|code| DISK_FULL_CODES.contains(&&*code))
}

fn code(error: &sqlx::Error) -> Option<Cow<'_, str>> {
    error.as_database_error().and_then(|error| error.code())
}
