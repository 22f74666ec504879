//! Log-in at an identity provider (OpenID Connect Core 1.0): the authorization code flow with PKCE (RFC 7636).
//!
//! * [`options`] are the settings: the provider, Leadline's client there, and the rights of groups
//! * [`log_in`] sends a browser to the provider, and handles its return
//! * [`provider`] calls the provider, for its configuration, its keys, and the ID token that belongs to a code
//! * [`id_token`] checks an ID token
//!
//! The provider sends the browser back from another site, so the request has no cookie that is `SameSite=Strict`.
//! Another cookie holds the state of a log-in in flight; it is `Lax`, signed, and valid for ten minutes. The answer
//! begins no session: it redirects to the console with a link that is used once. The console begins the session with
//! it, as with any link, and by then the browser is at the same site.
//!
//! Guarantees: a browser finishes only a log-in that it began, and only once. A person gets a session only if a rule
//! names one of their groups. No code, token or secret is in a log.

mod id_token;
mod log_in;
mod options;
mod provider;

use std::time::Duration;

use domain::access::GroupRule;
pub(crate) use log_in::{begin, finish, offered};
pub use options::{NoOidc, Options};

use provider::Provider;

/// The identity provider, and the rights of the groups of its people.
pub(crate) struct Oidc {
    provider: Provider,
    /// The name on the button of the log-in.
    name: String,
    rules: Vec<GroupRule>,
    groups_claim: String,
    session_lifetime: Duration,
}

/// Why a log-in is refused. Each reason has a word, by which the console finds the text for the person; the log has the
/// cause.
#[derive(Debug, thiserror::Error)]
enum NoEntry {
    #[error("the identity provider does not answer as it should: {0}")]
    Provider(String),
    #[error("the identity provider refused the log-in: {0}")]
    Denied(String),
    #[error("the browser has not begun this log-in, or began it more than ten minutes ago")]
    State,
    #[error("this log-in was finished before, or its code is no longer valid")]
    Used,
    #[error("the ID token is not valid: {0}")]
    Token(String),
    #[error("no rule of --oidc-groups names one of the person's groups")]
    Group,
    #[error("too many log-ins from this address failed")]
    TooMany,
    #[error("cannot check now whether the log-in was finished before")]
    Journal(#[source] journal::JournalError),
}

impl NoEntry {
    const fn word(&self) -> &'static str {
        match self {
            Self::Provider(_) => "provider",
            Self::Denied(_) => "denied",
            Self::State => "state",
            Self::Used => "used",
            Self::Token(_) => "token",
            Self::Group => "group",
            Self::TooMany => "often",
            Self::Journal(_) => "later",
        }
    }
}
