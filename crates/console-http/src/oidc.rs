//! Log-in at an identity provider (OpenID Connect Core 1.0): the authorization code flow with PKCE (RFC 7636).
//!
//! * [`options`] are the settings: the provider, Leadline's client there, and the rights of groups
//! * [`log_in`] sends a browser to the provider, and handles its return
//! * [`provider`] calls the provider, for its configuration, its keys, and the ID token that belongs to a code
//! * [`id_token`] checks an ID token
//!
//! The provider sends the browser back from another site, so the request has no cookie that is `SameSite=Strict`.
//! Another cookie holds the state of a log-in in flight; it is `Lax`, signed, and valid for ten minutes. The answer to
//! this request begins no session: it redirects to the console with a link that is used once. The console begins the
//! session with it, as with any link, and by then the browser is at the same site.
//!
//! Guarantees: a browser finishes only a log-in that it began, and only once. A person gets a session only if a rule
//! names one of their groups. No code, token or secret is in a log.

mod id_token;
mod log_in;
mod no_entry;
pub(crate) mod options;
mod provider;

pub(crate) use log_in::{begin, finish, offered};
pub use options::{NoOidc, Options};
