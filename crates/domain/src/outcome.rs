//! What an attempt can end in.

use std::{fmt, time::Duration};

use crate::lead::HOPS;

/// The status that is stored when no HTTP answer came.
pub const NO_RESPONSE_STATUS: u16 = 999;

/// 508 Loop Detected (RFC 5842, 7.2): what ingest answers with after too many hops.
const STATUS_LOOP: u16 = 508;

/// Why there was no usable HTTP answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The host name does not resolve.
    Dns,
    /// No connection: refused, unreachable.
    Connect,
    /// The certificate is invalid, or the TLS handshake failed.
    Tls,
    /// No answer within the destination's timeout.
    Timeout,
    /// The connection ended before the answer did.
    Reset,
    /// The address is one that Leadline may not call.
    Blocked,
    /// What came back is not HTTP.
    Protocol,
    /// The request could not be made from the destination's settings.
    Render,
    /// The destination's proxy gave no connection.
    Proxy,
    /// The token server gave no access token.
    OAuth,
}

impl ErrorKind {
    /// Every kind.
    #[rustfmt::skip]
    pub const ALL: [Self; 10] = [
        Self::Dns, Self::Connect, Self::Tls, Self::Timeout, Self::Reset, Self::Blocked, Self::Protocol, Self::Render,
        Self::Proxy, Self::OAuth,
    ];

    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Blocked => "blocked",
            Self::Protocol => "protocol",
            Self::Render => "render",
            Self::Proxy => "proxy",
            Self::OAuth => "oauth",
        }
    }

    /// The kind that a stored word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What came of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// An HTTP answer came.
    Response {
        /// Its status, 100 to 599 or whatever the receiver made up.
        status: u16,
        /// The beginning of its body, as text.
        excerpt: String,
        /// What `Retry-After` asks for, already bounded.
        retry_after: Option<Duration>,
    },
    /// None came.
    NoResponse {
        /// Why.
        kind: ErrorKind,
        /// The same in words, for people.
        message: String,
    },
}

impl AttemptOutcome {
    /// Success is 2xx and nothing else; a redirect is a failure.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Response { status: 200..=299, .. })
    }

    /// The HTTP status, or 999 when none came.
    pub const fn status_code(&self) -> u16 {
        match self {
            Self::Response { status, .. } => *status,
            Self::NoResponse { .. } => NO_RESPONSE_STATUS,
        }
    }

    /// Whether Leadline itself refused the request because it goes round and round. 508 alone does not say that: hosting
    /// systems answer with 508 when they are short of resources, which passes.
    pub fn is_loop(&self) -> bool {
        matches!(self, Self::Response { status: STATUS_LOOP, excerpt, .. } if excerpt.contains(HOPS))
    }

    /// Why no answer came, if none did.
    pub const fn error_kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Response { .. } => None,
            Self::NoResponse { kind, .. } => Some(*kind),
        }
    }

    /// What `Retry-After` asks for, whatever the status is.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Response { retry_after, .. } => *retry_after,
            Self::NoResponse { .. } => None,
        }
    }

    /// How long the receiver asks to be left alone: `Retry-After` on 429 or 503.
    pub const fn asks_to_pause(&self) -> Option<Duration> {
        match self {
            Self::Response { status: 429 | 503, retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What is shown as the webhook's response: the excerpt, or the error in words.
    pub fn webhook_response(&self) -> &str {
        match self {
            Self::Response { excerpt, .. } => excerpt,
            Self::NoResponse { message, .. } => message,
        }
    }
}
