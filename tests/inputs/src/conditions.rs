//! Conditions of destinations, and the payloads that they look at.

use domain::{Condition, json, text::MAX_MESSAGE};

/// A condition on the first line, a payload on the others. It is a condition that gives one answer and is read again as
/// it was, or a mistake that a short message tells.
pub fn conditions(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (condition, payload) = text.split_once('\n').unwrap_or((text, "null"));
    let condition = match Condition::parse(condition) {
        Ok(condition) => condition,
        Err(error) => {
            assert!(!error.problem.is_empty() && error.problem.len() <= MAX_MESSAGE, "{error}");
            return;
        }
    };
    assert_eq!(Condition::parse(condition.as_str()).as_ref(), Ok(&condition));
    if let Ok(payload) = json::parse(payload.as_bytes()) {
        assert_eq!(condition.holds(&payload), condition.check(&payload).is_ok());
    }
}
