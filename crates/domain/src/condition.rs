//! Which lead events a destination wants, by their payload.
//!
//! A condition is a JSON object: `{"payload.country": {"in": ["DE", "AT"]}, "payload.budget": {"gte": 5000}}`. All of
//! its entries must hold. A name is the path of a field, or `and`, `or` or `not`; a value is the required value of the
//! field, or an object of operators, which must all hold. Parts of a path are the names of fields or the indices of a
//! list, from 0; a dot within a name is written `\.`.
//!
//! | operator | holds if the field exists and |
//! |---|---|
//! | `eq`, or a value alone | is this text, number, truth value or `null` |
//! | `ne` | is any other value, of any type |
//! | `in`, `nin` | is one, or none, of these |
//! | `gt`, `gte`, `lt`, `lte` | is a number above or below this number, or a text after or before this text |
//! | `starts_with` | is a text that begins with this text |
//! | `contains` | is a text that contains this text, or a list that contains this value |
//! | `exists` | `true`: has any value, even `null`; `false` holds if the field is missing |
//!
//! A field that is missing, or of another type than the operator takes, makes a term false. `not` inverts its
//! condition, even if a missing field made it false. Numbers are compared exactly, as decimals; texts by their
//! characters, with case. If an object has a name twice, the last value counts.
//!
//! Size, depth and number of terms of a condition are bounded, so that an evaluation costs at most one look-up in the
//! payload for each term.

mod parse;

use std::{cmp::Ordering, fmt, sync::Arc};

pub use parse::ConditionError;

use crate::{decimal, json::Json, path};

/// Which lead events a destination wants, by their payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Condition {
    text: Arc<str>,
    root: Node,
}

/// A part of a condition. Errors and explanations show its place.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    All(Vec<Node>),
    Any { place: String, nodes: Vec<Node> },
    Not { place: String, node: Box<Node> },
    Term(Term),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    place: String,
    path: Vec<String>,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    Eq(Json),
    Ne(Json),
    In(Vec<Json>),
    Nin(Vec<Json>),
    Gt(Json),
    Gte(Json),
    Lt(Json),
    Lte(Json),
    Exists(bool),
    StartsWith(String),
    Contains(Json),
}

/// The first term of a condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// The place in the condition, such as `payload.budget.gte` or `or[1].payload.country.in`.
    pub place: String,
    /// What the term found.
    pub found: Found,
}

/// What a term found at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// There is no such field.
    Missing,
    /// A value of this type, for which the term does not hold.
    Value(&'static str),
    /// None of the alternatives of an `or` holds.
    NoAlternative,
    /// The condition inside a `not` holds.
    Negated,
    /// The payload is not JSON, or was erased.
    NoPayload,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the field is missing"),
            Self::Value(kind) => write!(f, "the field is {kind} for which this does not hold"),
            Self::NoAlternative => f.write_str("none of the alternatives holds"),
            Self::Negated => f.write_str("the negated condition holds"),
            Self::NoPayload => f.write_str("there is no readable payload"),
        }
    }
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
    pub const MAX_BYTES: usize = 8 * 1024;
    /// The maximum number of terms. Each value in the list of an `in` or `nin` counts as a term.
    pub const MAX_TERMS: usize = 100;
    /// The maximum depth of nested `and`, `or` and `not`.
    pub const MAX_DEPTH: usize = 8;
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

impl Node {
    fn first_unmet(&self, payload: &Json) -> Option<(&str, Found)> {
        match self {
            Self::All(nodes) => nodes.iter().find_map(|node| node.first_unmet(payload)),
            Self::Any { place, nodes } => {
                let holds = nodes.iter().any(|node| node.first_unmet(payload).is_none());
                (!holds).then_some((place, Found::NoAlternative))
            }
            Self::Not { place, node } => node.first_unmet(payload).is_none().then_some((place, Found::Negated)),
            Self::Term(term) => {
                let value = path::find(payload, &term.path);
                let found = value.map_or(Found::Missing, |value| Found::Value(value.kind()));
                (!term.operator.holds(value)).then_some((&term.place, found))
            }
        }
    }
}

impl Operator {
    fn holds(&self, value: Option<&Json>) -> bool {
        if let Self::Exists(wanted) = self {
            return value.is_some() == *wanted;
        }
        let Some(value) = value else { return false };
        match self {
            Self::Exists(_) => false,
            Self::Eq(other) => is_equal(value, other),
            Self::Ne(other) => !is_equal(value, other),
            Self::In(others) => others.iter().any(|other| is_equal(value, other)),
            Self::Nin(others) => !others.iter().any(|other| is_equal(value, other)),
            Self::Gt(other) => compare(value, other).is_some_and(Ordering::is_gt),
            Self::Gte(other) => compare(value, other).is_some_and(Ordering::is_ge),
            Self::Lt(other) => compare(value, other).is_some_and(Ordering::is_lt),
            Self::Lte(other) => compare(value, other).is_some_and(Ordering::is_le),
            Self::StartsWith(beginning) => matches!(value, Json::Text(text) if text.starts_with(beginning.as_str())),
            Self::Contains(part) => match (value, part) {
                (Json::Text(text), Json::Text(part)) => text.contains(part.as_str()),
                (Json::Array(items), part) => items.iter().any(|item| is_equal(item, part)),
                _ => false,
            },
        }
    }
}

/// Whether two values are equal. Values of conditions are neither lists nor objects.
fn is_equal(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Null, Json::Null) => true,
        (Json::Bool(a), Json::Bool(b)) => a == b,
        (Json::Text(a), Json::Text(b)) => a == b,
        (Json::Number(a), Json::Number(b)) => decimal::compare(a, b).is_eq(),
        _ => false,
    }
}

/// The order of two values, if they have one.
fn compare(a: &Json, b: &Json) -> Option<Ordering> {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => Some(decimal::compare(a, b)),
        (Json::Text(a), Json::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}
