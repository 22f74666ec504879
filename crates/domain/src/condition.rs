//! Which lead events a destination wants, by their payload.
//!
//! A condition is a JSON object: `{"payload.country": {"in": ["DE", "AT"]}, "payload.budget": {"gte": 5000}}`. All of
//! its entries must hold. A name is the path of a field, or `and`, `or` or `not`. A value is the required value of the
//! field, or an object of operators. All of these operators must hold. Parts of a path are the names of fields or the
//! indices of a list, from 0; a dot within a name is written `\.`.
//!
//! | operator | holds if the field exists and |
//! |---|---|
//! | `eq`, or a value alone | is this text, number, truth value or `null` |
//! | `ne` | is any other value, of any type |
//! | `in`, `nin` | is one, or none, of these |
//! | `gt`, `gte`, `lt`, `lte` | is a number above or below this number, or a text after or before this text |
//! | `starts_with` | is a text that begins with this text |
//! | `contains` | is a text that contains this text, or a list that contains this value |
//! | `exists` | with `true`: has any value, even `null`; with `false` the term holds if the field is missing |
//!
//! A term is false if its field is missing, except `exists` with `false`. It is also false if its operator cannot
//! compare a value of this type; `ne` and `nin` can compare every type. `not` inverts its condition, even if a missing
//! field made the condition false. Numbers are compared exactly, as decimals; texts by their characters, with case. If
//! an object has a name twice, the last value counts.
//!
//! The size, the depth and the number of terms of a condition are bounded, because each term costs one look-up in the
//! payload.

mod node;
mod parse;

use std::{fmt, sync::Arc};

pub use node::Found;
use node::Node;
pub use parse::ConditionError;

use crate::{json::Json, path};

/// Which lead events a destination wants, by their payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Condition {
    text: Arc<str>,
    root: Node,
}

/// The first term of a condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// The place in the condition, such as `payload.budget.gte` or `or[1].payload.country.in`.
    pub place: String,
    /// What the term found.
    pub found: Found,
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.found)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Condition({})", self.text)
    }
}

impl Condition {
    /// The maximum size, in bytes.
    pub const MAX_BYTES: usize = parse::MAX_BYTES;
    /// The maximum number of terms. Each value in the list of an `in` or `nin` counts as a term.
    pub const MAX_TERMS: usize = parse::MAX_TERMS;
    /// The maximum depth of nested `and`, `or` and `not`.
    pub const MAX_DEPTH: usize = parse::MAX_DEPTH;
    /// The maximum number of parts of a path.
    pub const MAX_PARTS: usize = path::MAX_PARTS;

    /// Parses a condition.
    ///
    /// # Errors
    /// If the text is not a condition or exceeds a limit. The error names the place of the mistake.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        Ok(Self { text: text.into(), root: parse::root(text)? })
    }

    /// The text of the condition, as given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the condition holds for a payload.
    pub fn holds(&self, payload: &Json) -> bool {
        self.root.first_unmet(payload).is_none()
    }

    /// Checks that the condition holds for a payload.
    ///
    /// # Errors
    /// The first term that does not hold.
    pub fn check(&self, payload: &Json) -> Result<(), Unmet> {
        match self.root.first_unmet(payload) {
            None => Ok(()),
            Some((place, found)) => Err(Unmet { place: place.to_owned(), found }),
        }
    }
}
