//! Why a change of the configuration is refused, and which URLs an installation allows.

use super::facts::EntityKind;
use crate::ids::AccountId;

/// Which URLs destinations may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UrlRules {
    /// Whether plain HTTP is allowed besides HTTPS.
    pub allow_plain_http: bool,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A field is invalid.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field, as the API names it.
        field: &'static str,
        problem: String,
    },
    #[error("{} {id:?} exists already", .kind.as_str())]
    AlreadyExists { kind: EntityKind, id: String },
    #[error("{} {id:?} does not exist", .kind.as_str())]
    NotFound { kind: EntityKind, id: String },
    /// Another entity still uses this one.
    #[error("{} {id:?} is needed by {} {by:?}, which still uses it", .kind.as_str(), .user.as_str())]
    InUse { kind: EntityKind, id: String, user: EntityKind, by: String },
    /// The account would exceed a limit of the operator.
    #[error(
        "account {account} would have {would} {what}, and {limit} is the limit ({setting}); delete what is not needed, or \
         ask the operator for more"
    )]
    Limit {
        account: AccountId,
        /// The number that the account would have.
        would: usize,
        what: &'static str,
        limit: usize,
        /// The setting that holds the limit.
        setting: &'static str,
    },
    /// The limit of the kind is reached.
    #[error("limit of {most} of the kind {} reached; delete one first", .kind.as_str())]
    TooMany { kind: EntityKind, most: usize },
}
