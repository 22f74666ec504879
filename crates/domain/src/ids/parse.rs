//! The parser of ids.

use std::sync::Arc;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {problem}")]
pub struct IdError {
    /// The expected kind of id, e.g. `account id`.
    pub kind: &'static str,
    /// The problem, worded to follow the kind.
    pub problem: String,
}

pub(super) fn parse_token(kind: &'static str, text: &str, max_bytes: usize, also: &str) -> Result<Arc<str>, IdError> {
    let refuse = |problem: String| Err(IdError { kind, problem });
    if text.is_empty() {
        return refuse("is empty".into());
    }
    if text.len() > max_bytes {
        return refuse(format!("is {} bytes long, and {max_bytes} is the limit", text.len()));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-' || also.contains(*c))) {
        Some(c) => refuse(format!("contains {c:?}; letters, digits, '_', '-'{} are allowed", listed(also))),
        None => Ok(text.into()),
    }
}

fn listed(also: &str) -> String {
    also.chars().map(|c| format!(", '{c}'")).collect()
}
