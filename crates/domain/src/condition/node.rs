//! The parts of a condition, and whether they hold for a payload.

use std::{cmp::Ordering, fmt};

use crate::{decimal, json::Json, path};

/// A part of a condition. Errors and explanations show its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    All(Vec<Node>),
    Any { place: String, nodes: Vec<Node> },
    Not { place: String, node: Box<Node> },
    Term(Term),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) place: String,
    pub(super) path: Vec<String>,
    pub(super) operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Operator {
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

impl Node {
    pub(super) fn first_unmet(&self, payload: &Json) -> Option<(&str, Found)> {
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
