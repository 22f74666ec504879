//! Why a request got no answer.

use std::{error::Error, io};

use nix::errno::Errno;

use crate::transport::{
    client::{proxy::ProxyFailure, tls::TlsError},
    resolver::LookupError,
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    #[error(transparent)]
    Proxy(Box<ProxyFailure>),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot agree on TLS")]
    Handshake(#[source] io::Error),
    #[error("no {0} in time")]
    Timeout(Step),
    #[error("the URL cannot be sent")]
    Url(#[from] http::Error),
    #[error("cannot exchange HTTP/1.1")]
    Http1(#[from] hyper::Error),
    #[error("cannot exchange HTTP/2")]
    Http2(#[from] h2::Error),
}

/// The step at which a request timed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Resolving,
    Connecting,
    Handshake,
    Answer,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Resolving => "address of the host name",
            Self::Connecting => "connection",
            Self::Handshake => "TLS handshake",
            Self::Answer => "answer",
        })
    }
}

/// An error and its causes, the outermost first. The error inside an [`io::Error`] is one of them, although
/// [`Error::source`] skips it.
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let wrapped = wrapped.map(|wrapped| wrapped as &(dyn Error + 'static));
        let of_http2 = error.downcast_ref::<h2::Error>().and_then(h2::Error::get_io);
        wrapped.or(of_http2.map(|io| io as &(dyn Error + 'static))).or_else(|| error.source())
    })
}

/// Whether this process has reached its limit of open files.
pub(crate) fn is_out_of_files(error: &(dyn Error + 'static)) -> bool {
    code_of_files(error).is_some()
}

/// The code of an error that means that this process or the machine may open no more files.
pub(crate) fn code_of_files(error: &(dyn Error + 'static)) -> Option<Errno> {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).find_map(|error| {
        let code = Errno::from_raw(error.raw_os_error()?);
        matches!(code, Errno::EMFILE | Errno::ENFILE).then_some(code)
    })
}

impl From<ProxyFailure> for Failure {
    fn from(failure: ProxyFailure) -> Self {
        Self::Proxy(Box::new(failure))
    }
}

impl Failure {
    /// The failure of a URL whose scheme is neither http nor https.
    pub(crate) fn no_url_of_http() -> Self {
        Self::Connect(io::Error::new(io::ErrorKind::InvalidInput, "the scheme of the URL is neither http nor https"))
    }

    /// Whether the connection itself ended, perhaps for a reason that does not concern this request.
    pub(crate) fn is_end_of_connection(&self) -> bool {
        match self {
            Self::Http1(error) => {
                let ended = error.is_incomplete_message() || error.is_closed() || error.is_canceled();
                ended || causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(is_end)
            }
            Self::Http2(error) => error.get_io().is_some_and(is_end) || (error.is_go_away() && error.is_remote()),
            _ => false,
        }
    }

    /// Whether the receiver guarantees that it did not process the request (RFC 9113, 8.7).
    pub(crate) fn is_refusal_to_begin(&self) -> bool {
        match self {
            Self::Http2(error) if error.is_remote() => match error.reason() {
                Some(h2::Reason::REFUSED_STREAM | h2::Reason::HTTP_1_1_REQUIRED) => true,
                // If the receiver may have processed the stream, h2 continues to wait for the answer.
                Some(h2::Reason::NO_ERROR) => error.is_go_away(),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the receiver only reset this request, and the connection can take others.
    pub(crate) fn is_of_one_stream(&self) -> bool {
        match self {
            Self::Http2(error) => error.is_remote() && error.is_reset() && !self.is_refusal_to_begin(),
            _ => false,
        }
    }

    /// Whether the receiver requires HTTP/1.1 for this request (RFC 9113, 7).
    pub(crate) fn wants_http1(&self) -> bool {
        matches!(self, Self::Http2(error) if error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED))
    }
}

fn is_end(error: &io::Error) -> bool {
    use io::ErrorKind as Io;
    matches!(
        error.kind(),
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof | Io::NotConnected
    )
}
