//! The reason that a caller gives for a retry.

use api::request::{WrongField, line};

/// The largest length of a reason, in characters: it stands in one line of a log.
const MAX_REASON: usize = 200;

/// Checks the reason of a retry, which may be empty.
pub(crate) fn reason(text: &str) -> Result<String, WrongField> {
    line("reason", text, MAX_REASON).map(|()| text.to_owned())
}
