//! The outcome of an attempt.

use std::{fmt, ops::RangeInclusive, time::Duration};

use crate::lead::HOPS;

/// The status that is stored and shown if there is no HTTP response.
pub const NO_RESPONSE_STATUS: u16 = 999;

/// 508 Loop Detected (RFC 5842, 7.2): the answer of ingest after too many hops.
const STATUS_LOOP: u16 = 508;

/// Why an attempt got no usable HTTP response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The host name does not resolve.
    Dns,
    /// The connection was refused, or the host is unreachable.
    Connect,
    /// The certificate is invalid, or the TLS handshake failed.
    Tls,
    /// No response within the destination's timeout.
    Timeout,
    /// The connection ended before the response was complete.
    Reset,
    /// Leadline may not call the address.
    Blocked,
    /// The response is not HTTP.
    Protocol,
    /// The destination's settings could not render a request.
    Render,
    /// The destination's proxy did not open a connection.
    Proxy,
    /// The token server gave no access token.
    OAuth,
}

impl ErrorKind {
    #[rustfmt::skip]
    pub const ALL: [Self; 10] = [
        Self::Dns, Self::Connect, Self::Tls, Self::Timeout, Self::Reset, Self::Blocked, Self::Protocol, Self::Render,
        Self::Proxy, Self::OAuth,
    ];

    /// The word that facts and the API use.
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

/// A class of HTTP statuses (RFC 9110, 15): all statuses that begin with the same digit, from 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HttpStatusClass(u8);

impl HttpStatusClass {
    pub const SUCCESS: Self = Self(2);

    /// `None` if no class has this digit.
    pub fn new(digit: u32) -> Option<Self> {
        u8::try_from(digit).ok().filter(|digit| (1..=5).contains(digit)).map(Self)
    }

    pub const fn digit(self) -> u8 {
        self.0
    }

    pub fn statuses(self) -> RangeInclusive<u16> {
        let first = u16::from(self.0) * 100;
        first..=first + 99
    }
}

/// The outcome of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The receiver sent an HTTP response.
    Response {
        /// 100 to 599, or any other number that the receiver sent.
        status: u16,
        /// The beginning of its body, as text.
        excerpt: String,
        /// The delay in `Retry-After`, already bounded.
        retry_after: Option<Duration>,
    },
    /// No HTTP response came.
    NoResponse {
        kind: ErrorKind,
        /// The reason, in words for people.
        message: String,
    },
}

impl AttemptOutcome {
    /// Whether the status is 2xx; a redirect is a failure.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Response { status: 200..=299, .. })
    }

    /// The HTTP status, or 999 if no response came.
    pub const fn status_code(&self) -> u16 {
        match self {
            Self::Response { status, .. } => *status,
            Self::NoResponse { .. } => NO_RESPONSE_STATUS,
        }
    }

    /// Whether Leadline itself refused the request because of a loop. 508 alone does not prove a loop: hosting systems
    /// also answer with 508 when they are short of resources, which is transient.
    pub fn is_loop(&self) -> bool {
        matches!(self, Self::Response { status: STATUS_LOOP, excerpt, .. } if excerpt.contains(HOPS))
    }

    /// Why no response came; `None` if a response came.
    pub const fn error_kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Response { .. } => None,
            Self::NoResponse { kind, .. } => Some(*kind),
        }
    }

    /// The delay in `Retry-After`, for any status.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Response { retry_after, .. } => *retry_after,
            Self::NoResponse { .. } => None,
        }
    }

    /// The pause that the receiver asks for: `Retry-After` on 429 or 503.
    pub const fn asks_to_pause(&self) -> Option<Duration> {
        match self {
            Self::Response { status: 429 | 503, retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The response as users see it: the excerpt, or the error in words.
    pub fn webhook_response(&self) -> &str {
        match self {
            Self::Response { excerpt, .. } => excerpt,
            Self::NoResponse { message, .. } => message,
        }
    }
}
