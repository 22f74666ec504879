//! The reason that a caller gives for a retry.

use api::status::invalid;
use tonic::Status;

/// The largest length of a reason, in characters: it stands in one line of a log.
const MAX_REASON: usize = 200;

/// Checks the reason of a retry, which may be empty.
pub(crate) fn reason(text: &str) -> Result<String, Status> {
    if text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
        return Err(invalid("reason", format!("is not one line of at most {MAX_REASON} characters")));
    }
    Ok(text.to_owned())
}
