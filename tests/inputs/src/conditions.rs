//! Conditions of destinations, and payloads for them.

use domain::{Condition, json, text::MAX_MESSAGE};

/// The input is a condition on the first line and a payload on the others. The condition gives one answer and is read
/// back unchanged, or is an error with a short message.
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
