//! What an attempt sent and received. People read it. No decision depends on it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;

/// An [`Exchange`] in the encoding of stored facts. Only people read exchanges, so processes that read facts do not
/// decode them. Decoding an exchange costs more than decoding the rest of its fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedExchange(pub Bytes);

/// The request of an attempt as it was sent, and what the outcome does not contain of the answer. It has no secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The headers of the request, in the order in which they were set.
    pub request_headers: Vec<HeaderLine>,
    pub request_size: u64,
    /// The SHA-256 of the request's body.
    pub request_hash: [u8; 32],
    /// The headers of the answer that are kept.
    pub response_headers: Vec<HeaderLine>,
    /// The beginning of the answer's body, if it is longer than the excerpt of the outcome; empty otherwise.
    pub response_body: String,
    /// The address of the receiver, or of the first proxy on the way to it.
    pub peer: Option<SocketAddr>,
    /// `None` if no connection was made.
    pub version: Option<HttpVersion>,
    pub times: Times,
}

/// A header and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderLine {
    /// In lower case.
    pub name: String,
    pub value: String,
}

/// How long each step took, not counting the steps before it; `None` if the step did not happen or did not end. A
/// reused connection has no steps before the first byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// The look-up of the host's addresses.
    pub dns: Option<Duration>,
    /// The opening of the connection, through the proxies if there are any.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// The time from the request to the head of its answer.
    pub first_byte: Option<Duration>,
}

/// The protocol of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpVersion {
    Http10,
    Http11,
    Http2,
}

impl HttpVersion {
    pub const ALL: [Self; 3] = [Self::Http10, Self::Http11, Self::Http2];

    /// The name that users see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }

    /// Ten times the number of the version, as facts store it.
    pub const fn number(self) -> u32 {
        match self {
            Self::Http10 => 10,
            Self::Http11 => 11,
            Self::Http2 => 20,
        }
    }

    /// The version with this number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }
}

impl Exchange {
    /// The value of a header of the request.
    pub fn request_header(&self, name: &str) -> Option<&str> {
        self.request_headers.iter().find(|line| line.name == name).map(|line| line.value.as_str())
    }

    /// The id of the trace that the request belonged to, from its `traceparent`.
    pub fn trace_id(&self) -> Option<&str> {
        self.request_header("traceparent")?.split('-').nth(1)
    }
}
