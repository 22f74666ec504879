//! Why a step of an anonymisation failed.

use journal::{JournalError, leader::LeaderError};
use read_model::StoreError;
use runtime::ErrorChain as _;

#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAnonymised {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LeaderError for NotAnonymised {
    fn as_journal_error(&self) -> Option<&JournalError> {
        match self {
            Self::Journal(error) => Some(error),
            Self::Store(_) => None,
        }
    }
}

impl NotAnonymised {
    /// Logs the failure, unless the journal has logged it.
    pub(crate) fn warn(&self, what: &'static str) {
        match self {
            Self::Journal(error) if error.is_logged() => {}
            Self::Journal(error) => tracing::warn!(error = error.chain(), "{what}"),
            Self::Store(error) => tracing::warn!(error = error.chain(), "{what}"),
        }
    }
}
