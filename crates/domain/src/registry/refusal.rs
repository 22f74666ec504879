//! Why a change of the configuration is refused, and what an installation allows in URLs.

use super::facts::EntityKind;
use crate::ids::AccountId;

/// Which URLs destinations may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UrlRules {
    /// Plain HTTP too, not only HTTPS.
    pub allow_plain_http: bool,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A field is wrong.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field, as the API names it.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// It is there already.
    #[error("{} {id:?} exists already", .kind.as_str())]
    AlreadyExists {
        /// What.
        kind: EntityKind,
        /// Which.
        id: String,
    },
    /// It is not there.
    #[error("{} {id:?} does not exist", .kind.as_str())]
    NotFound {
        /// What.
        kind: EntityKind,
        /// Which.
        id: String,
    },
    /// It cannot go while something else needs it.
    #[error("{} {id:?} is needed by {} {by:?}, which still uses it", .kind.as_str(), .user.as_str())]
    InUse {
        /// What.
        kind: EntityKind,
        /// Which.
        id: String,
        /// What needs it.
        user: EntityKind,
        /// Which.
        by: String,
    },
    /// The account would have more than the operator lets it have.
    #[error(
        "account {account} would have {would} {what}, and {limit} is the limit ({setting}); delete what is not needed, or \
         ask the operator for more"
    )]
    Limit {
        /// Which account.
        account: AccountId,
        /// How many it would have.
        would: usize,
        /// Of what.
        what: &'static str,
        /// How many it may have.
        limit: usize,
        /// The setting of the limit.
        setting: &'static str,
    },
    /// There are so many that there may be no more.
    #[error("limit of {most} of the kind {} reached; delete one first", .kind.as_str())]
    TooMany {
        /// What.
        kind: EntityKind,
        /// How many there may be.
        most: usize,
    },
}
