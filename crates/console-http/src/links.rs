//! Links that log people in to the console. A link works once, and expires soon.

use std::time::Duration;

use access::{Grant, Sessions};
use domain::access::{Bounds, Holder};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// How long a link can be used.
pub const LINK_LIFETIME: Duration = Duration::from_secs(10 * 60);
/// How long a session lasts.
pub const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// A link to the console.
#[derive(Debug)]
pub struct Link {
    pub url: String,
    pub expires_at: Timestamp,
}

/// Makes a link for a session with these bounds.
pub fn link(sessions: &Sessions, of: Holder, bounds: Bounds) -> Link {
    let expires_at = after(LINK_LIFETIME).min(bounds.until);
    let token = sessions.token(&Grant { id: new_id(), of, bounds, good_until: expires_at });
    // Browsers never send the part after the "#" to a server, so it is in no log.
    Link { url: sessions.site.at(&format!("console/login#token={token}")), expires_at }
}

/// The time after this duration, in whole seconds, because links hold whole seconds.
pub fn after(duration: Duration) -> Timestamp {
    let end = SignedDuration::try_from(duration).ok().and_then(|duration| Timestamp::now().checked_add(duration).ok());
    let end = end.unwrap_or(Timestamp::MAX);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

/// The id of a session or a link: random, because it is the content of the CSRF header as well.
pub(crate) fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}
