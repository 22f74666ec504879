//! Why a change of the configuration is refused.

use crate::{ids::AccountId, registry::entities::kind::EntityKind};

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
    /// Several fields are invalid, each with its problem.
    #[error("{}", list(.0))]
    Several(Vec<(&'static str, String)>),
    #[error("{} {id:?} exists already", .kind.as_str())]
    AlreadyExists { kind: EntityKind, id: String },
    #[error("{} {id:?} does not exist", .kind.as_str())]
    NotFound { kind: EntityKind, id: String },
    /// Another entity still uses this one.
    #[error("{} {id:?} is still used by {} {by:?}", .kind.as_str(), .user.as_str())]
    InUse { kind: EntityKind, id: String, user: EntityKind, by: String },
    /// The account would exceed a limit of the operator.
    #[error(
        "account {account} would have {would} {what}, and {limit} is the limit ({setting}); delete what is not needed, or \
         ask the operator for a higher limit"
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
    #[error("{max} entities of the kind {} exist, which is the limit; delete or revoke one first", .kind.as_str())]
    TooMany { kind: EntityKind, max: usize },
}

pub(super) fn invalid(field: &'static str, problem: String) -> Refusal {
    Refusal::Invalid { field, problem }
}

fn list(mistakes: &[(&'static str, String)]) -> String {
    mistakes.iter().map(|(field, problem)| format!("{field}: {problem}")).collect::<Vec<_>>().join("; ")
}

/// Collects the invalid fields of a command, so that its caller learns all of them at once.
#[derive(Debug, Default)]
pub struct Mistakes {
    fields: Vec<(&'static str, String)>,
    /// A refusal that is not about a field. It replaces all others.
    other: Option<Refusal>,
}

impl Mistakes {
    /// Returns the value, or notes why there is none.
    pub fn note<T>(&mut self, checked: Result<T, impl Into<Refusal>>) -> Option<T> {
        match checked.map_err(Into::into) {
            Ok(value) => return Some(value),
            Err(Refusal::Invalid { field, problem }) => self.fields.push((field, problem)),
            Err(Refusal::Several(fields)) => self.fields.extend(fields),
            Err(refusal) => drop(self.other.get_or_insert(refusal)),
        }
        None
    }

    /// Ends the checks; `Ok` if nothing was noted.
    ///
    /// # Errors
    /// The noted refusals.
    pub fn end(self) -> Result<(), Refusal> {
        let mut fields = self.fields;
        match (self.other, fields.len()) {
            (Some(refusal), _) => Err(refusal),
            (None, 0) => Ok(()),
            (None, 1) => {
                let (field, problem) = fields.remove(0);
                Err(Refusal::Invalid { field, problem })
            }
            (None, _) => Err(Refusal::Several(fields)),
        }
    }

    /// Like [`Self::end`]. If anything was noted, it also runs a further check and adds its result.
    ///
    /// # Errors
    /// The noted refusals.
    pub fn end_with(mut self, check: impl FnOnce() -> Result<(), Refusal>) -> Result<(), Refusal> {
        if self.other.is_some() || !self.fields.is_empty() {
            self.note(check());
        }
        self.end()
    }

    /// The noted refusals, as one.
    pub fn refusal(self) -> Refusal {
        self.end().err().unwrap_or(Refusal::Several(vec![]))
    }

    /// The outcome of several checks.
    ///
    /// # Errors
    /// The invalid fields of all of them.
    pub fn of(checks: impl IntoIterator<Item = Result<(), Refusal>>) -> Result<(), Refusal> {
        let mut mistakes = Self::default();
        for check in checks {
            mistakes.note(check);
        }
        mistakes.end()
    }
}
