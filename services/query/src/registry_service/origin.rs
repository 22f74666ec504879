//! Credentials belong to the host that they were given for.

use domain::registry::Destination;
use tonic::Status;
use url::Url;
use wire::status::invalid;

/// What an update sets again of the settings that identify the sender of requests. Taking it away counts, too.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given {
    pub(super) credentials: bool,
    pub(super) token: bool,
}

/// Refuses an update that would have credentials or signatures, made for one origin (RFC 6454: scheme, host and port), sent
/// to another one. A person who may change the URL need not know them.
pub(super) fn check(now: &Destination, changed: &Destination, given: Given) -> Result<(), Status> {
    let (Some(before), Some(after)) = (origin(&now.url), origin(&changed.url)) else { return Ok(()) };
    let kept = [
        (now.request.credentials.is_some() && !given.credentials, "its credentials (auth)"),
        (now.token.is_some() && !given.token, "its token (token_id)"),
    ];
    let kept: Vec<_> = kept.into_iter().filter(|(kept, _)| *kept).map(|(_, what)| what).collect();
    if before == after || kept.is_empty() {
        return Ok(());
    }
    Err(invalid(
        "url",
        format!(
            "would take the destination from {before} to {after} and {} with it; give them again in the same update, or \
             remove them (leadline destinations update: --token ID, and auth in the file of --from)",
            kept.join(" and ")
        ),
    ))
}

/// Scheme, host and port; a template can be none of these.
fn origin(url: &str) -> Option<String> {
    Url::parse(url).ok().map(|url| url.origin().ascii_serialization())
}
