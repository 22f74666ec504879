//! The reasons why a log-in at the identity provider is refused.

/// Why a log-in is refused. Each reason has a word, and the console has a text for each word. The log has the cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoEntry {
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
    pub(super) const fn word(&self) -> &'static str {
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
