//! Paths into payloads: `payload.contact.email`. Parts are the names of fields or the indices of a list, from 0; a dot
//! within a name is written `\.`.

use std::fmt;

use crate::json::Json;

/// The first part of every path.
const ROOT: &str = "payload";
/// The maximum number of parts of a path.
pub(crate) const MAX_PARTS: usize = 32;

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathError {
    problem: String,
    /// Whether the text does not begin like a path, so that it may be meant as another name.
    elsewhere: bool,
}

impl PathError {
    /// The problem. `others` is appended if the text may be another name.
    pub(crate) fn within(self, others: &str) -> String {
        if self.elsewhere { self.problem + others } else { self.problem }
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

/// The parts of a path after its root.
pub(crate) fn parts(text: &str) -> Result<Vec<String>, PathError> {
    let wrong = |problem: String| Err(PathError { problem, elsewhere: false });
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        let part = match c {
            '.' => {
                parts.push(String::new());
                continue;
            }
            '\\' => match characters.next() {
                Some(escaped @ ('.' | '\\')) => escaped,
                _ => return wrong("has a backslash that is not before a dot or another backslash".to_owned()),
            },
            c => c,
        };
        if let Some(last) = parts.last_mut() {
            last.push(part);
        }
    }
    if parts.len() > MAX_PARTS {
        return wrong(format!("has {} parts, and {MAX_PARTS} is the limit", parts.len()));
    }
    if parts[0] != ROOT {
        let problem = format!("is not a path; paths begin with {ROOT}, such as payload.country");
        return Err(PathError { problem, elsewhere: true });
    }
    if parts.iter().any(String::is_empty) {
        return wrong("has an empty part".to_owned());
    }
    parts.remove(0);
    Ok(parts)
}

/// The value at a path. If an object has a name twice, the last value counts.
pub(crate) fn find<'a>(payload: &'a Json, path: &[String]) -> Option<&'a Json> {
    path.iter().try_fold(payload, |value, part| match value {
        Json::Object(fields) => field(fields, part),
        Json::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The field of an object with this name.
pub(crate) fn field<'a>(fields: &'a [(String, Json)], name: &str) -> Option<&'a Json> {
    fields.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value)
}
