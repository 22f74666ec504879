//! The parser of conditions. It reports the exact place of the first mistake.

use std::fmt;

use super::node::{Node, Operator, Term};
use crate::{
    json::{self, Json},
    path,
    text::quoted,
};

// Other modules use these bounds as constants of `Condition`.
pub(super) const MAX_BYTES: usize = 8 * 1024;
pub(super) const MAX_TERMS: usize = 100;
pub(super) const MAX_DEPTH: usize = 8;

const OPERATORS: &str = "eq, ne, in, nin, gt, gte, lt, lte, exists, starts_with, contains and not";

/// Why a text is not a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionError {
    /// The place of the mistake, such as `or[1].payload.budget.gte`; empty if the whole condition is wrong.
    pub place: String,
    pub problem: String,
}

impl std::error::Error for ConditionError {}

impl fmt::Display for ConditionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.problem)
    }
}

type Read<T> = Result<T, ConditionError>;

fn wrong<T>(place: &str, problem: impl Into<String>) -> Read<T> {
    Err(ConditionError { place: place.to_owned(), problem: problem.into() })
}

pub(super) fn root(text: &str) -> Read<Node> {
    if text.len() > MAX_BYTES {
        return wrong("", format!("has {} bytes, and {} is the limit", text.len(), MAX_BYTES));
    }
    let read = json::parse(text.as_bytes());
    let Json::Object(fields) = read.or_else(|error| wrong("", format!("is not JSON: {error}")))? else {
        return wrong("", "has to be a JSON object such as {\"payload.country\": \"DE\"}");
    };
    let mut reader = Reader { terms: 0 };
    reader.all(&fields, "", 0)
}

struct Reader {
    terms: usize,
}

impl Reader {
    /// The entries of an object, which must all hold.
    fn all(&mut self, fields: &[(String, Json)], within: &str, depth: usize) -> Read<Node> {
        if depth > MAX_DEPTH {
            return wrong(within, format!("is nested more than {MAX_DEPTH} levels deep"));
        }
        if fields.is_empty() {
            return wrong(within, "has no term; leave the condition empty if every event is wanted");
        }
        let nodes = fields.iter().map(|(name, value)| self.entry(name, value, within, depth));
        nodes.collect::<Read<_>>().map(Node::All)
    }

    fn entry(&mut self, name: &str, value: &Json, within: &str, depth: usize) -> Read<Node> {
        let place = joined(within, name);
        match name {
            "and" => self.each(value, &place, depth).map(Node::All),
            "or" => self.each(value, &place, depth).map(|nodes| Node::Any { place, nodes }),
            "not" => {
                let node = self.object(value, &place, depth)?;
                Ok(Node::Not { place, node: Box::new(node) })
            }
            _ => {
                let path = path::parts(name)
                    .or_else(|problem| wrong(&place, problem.within("; other names are and, or and not")))?;
                self.terms_of(&path, value, &place, depth)
            }
        }
    }

    /// The conditions of `and` and `or`.
    fn each(&mut self, value: &Json, place: &str, depth: usize) -> Read<Vec<Node>> {
        match value {
            Json::Array(items) if !items.is_empty() => {
                let node = |(index, item)| self.object(item, &format!("{place}[{index}]"), depth);
                items.iter().enumerate().map(node).collect()
            }
            other => wrong(place, format!("takes a list of one or more conditions, not {}", other.kind())),
        }
    }

    fn object(&mut self, value: &Json, place: &str, depth: usize) -> Read<Node> {
        match value {
            Json::Object(fields) => self.all(fields, place, depth + 1),
            other => wrong(place, format!("takes a condition, which is an object, not {}", other.kind())),
        }
    }

    /// The terms of a field: a value, or operators that must all hold.
    fn terms_of(&mut self, path: &[String], value: &Json, place: &str, depth: usize) -> Read<Node> {
        let Json::Object(operators) = value else {
            if matches!(value, Json::Array(_)) {
                return wrong(place, "is a list; write {\"in\": […]} for one of several values");
            }
            return self.term(path, Operator::Eq(value.clone()), place);
        };
        if depth > MAX_DEPTH {
            return wrong(place, format!("is nested more than {MAX_DEPTH} levels deep"));
        }
        if operators.is_empty() {
            return wrong(place, format!("names no operator; the operators are {OPERATORS}"));
        }
        let term = |(name, operand): &(String, Json)| {
            let place = joined(place, name);
            if name == "not" {
                let node = self.terms_of(path, operand, &place, depth + 1)?;
                return Ok(Node::Not { place, node: Box::new(node) });
            }
            let operator = operator(name, operand).or_else(|problem| wrong(&place, problem))?;
            self.term(path, operator, &place)
        };
        operators.iter().map(term).collect::<Read<_>>().map(Node::All)
    }

    fn term(&mut self, path: &[String], operator: Operator, place: &str) -> Read<Node> {
        self.terms += match &operator {
            Operator::In(values) | Operator::Nin(values) => values.len().max(1),
            _ => 1,
        };
        if self.terms > MAX_TERMS {
            let problem = format!("is one term too many: {MAX_TERMS} is the limit, and each value of a list counts");
            return wrong(place, problem);
        }
        Ok(Node::Term(Term { place: place.to_owned(), path: path.to_vec(), operator }))
    }
}

fn joined(within: &str, name: &str) -> String {
    if within.is_empty() { display_name(name) } else { format!("{within}.{}", display_name(name)) }
}

/// A name as places show it. A short and plain name is not quoted.
fn display_name(name: &str) -> String {
    let is_plain = name.len() <= 80 && !name.chars().any(|c| c.is_control() || c == '"');
    if is_plain { name.to_owned() } else { quoted(name).to_string() }
}

fn operator(name: &str, operand: &Json) -> Result<Operator, String> {
    Ok(match name {
        "eq" => Operator::Eq(scalar(operand)?),
        "ne" => Operator::Ne(scalar(operand)?),
        "in" => Operator::In(scalars(operand)?),
        "nin" => Operator::Nin(scalars(operand)?),
        "gt" => Operator::Gt(bound(operand)?),
        "gte" => Operator::Gte(bound(operand)?),
        "lt" => Operator::Lt(bound(operand)?),
        "lte" => Operator::Lte(bound(operand)?),
        "contains" => Operator::Contains(scalar(operand)?),
        "exists" => match operand {
            Json::Bool(wanted) => Operator::Exists(*wanted),
            other => return Err(format!("takes true or false, not {}", other.kind())),
        },
        "starts_with" => match operand {
            Json::Text(text) => Operator::StartsWith(text.clone()),
            other => return Err(format!("takes a text, not {}", other.kind())),
        },
        _ => return Err(format!("is not an operator; the operators are {OPERATORS}")),
    })
}

fn scalar(operand: &Json) -> Result<Json, String> {
    match operand {
        Json::Array(_) | Json::Object(_) => {
            Err(format!("takes a text, a number, true, false or null, not {}", operand.kind()))
        }
        scalar => Ok(scalar.clone()),
    }
}

fn scalars(operand: &Json) -> Result<Vec<Json>, String> {
    match operand {
        Json::Array(items) if !items.is_empty() => items.iter().map(scalar).collect(),
        Json::Array(_) => Err("takes a list of one or more values, and this one is empty".to_owned()),
        other => Err(format!("takes a list of values, not {}", other.kind())),
    }
}

fn bound(operand: &Json) -> Result<Json, String> {
    match operand {
        Json::Number(_) | Json::Text(_) => Ok(operand.clone()),
        other => Err(format!("takes a number or a text, not {}", other.kind())),
    }
}
