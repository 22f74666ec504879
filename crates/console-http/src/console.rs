//! The state that the handlers of the console share.

use access::{Authenticator, Sessions};
use journal::Journal;

use crate::{attempts::Attempts, oidc::options::Oidc, trace_url::TraceUrl};

pub(crate) struct Console {
    pub(crate) authenticator: Authenticator,
    pub(crate) sessions: Sessions,
    pub(crate) journal: Journal,
    pub(crate) attempts: Attempts,
    pub(crate) is_framed: bool,
    pub(crate) trace_url: Option<TraceUrl>,
    /// `None` if people log in with API keys and links only.
    pub(crate) oidc: Option<Oidc>,
}
