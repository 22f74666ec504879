//! The outcome of a request. Only this module gives a transport failure its kind and cuts an answer to an excerpt.

use std::{
    error::Error,
    io,
    time::{Duration, SystemTime},
};

use domain::{AttemptOutcome, ErrorKind};
use http::{HeaderMap, header::RETRY_AFTER};
use jiff::{Timestamp, fmt::rfc2822};
use runtime::ErrorChain as _;

use crate::transport::failure::{Failure, causes, code_of_files};

/// The longest excerpt of an answer, in bytes.
const MAX_EXCERPT: usize = 2_048;
/// The longest message about a failure, in bytes.
pub(crate) const MAX_MESSAGE: usize = 500;
/// The longest pause that `Retry-After` may ask for. Daily quotas ask for up to a day.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// Nothing was sent, for a reason that does not concern the receiver.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotSent {
    #[error(
        "this process may open no more files and connections; raise its limit (ulimit -n, LimitNOFILE= of systemd) or the \
         machine's (fs.file-max)"
    )]
    OutOfFiles(#[source] io::Error),
    #[error("{0}")]
    Egress(String),
}

/// The outcome of a request without an answer, with one of the documented error kinds.
///
/// # Errors
/// When the failure does not concern the receiver.
pub(crate) fn of_failure(failure: &Failure, timeout: Duration) -> Result<AttemptOutcome, NotSent> {
    if let Some(code) = code_of_files(failure) {
        return Err(NotSent::OutOfFiles(code.into()));
    }
    let Some(kind) = kind(failure) else { return Err(NotSent::Egress(failure.chain())) };
    let message = match failure {
        Failure::Timeout(step) => format!("no {step} within {timeout:?}"),
        Failure::Proxy(_) | Failure::Tls(_) => cut(failure.chain(), MAX_MESSAGE),
        _ => cut(innermost(failure), MAX_MESSAGE),
    };
    Ok(AttemptOutcome::NoResponse { kind, message })
}

/// `None` if the installation is at fault, so that no attempt is recorded.
fn kind(failure: &Failure) -> Option<ErrorKind> {
    Some(match failure {
        Failure::Lookup(error) => error.kind(),
        Failure::Proxy(failure) => return failure.kind(),
        Failure::Tls(_) => ErrorKind::Tls,
        Failure::Timeout(_) => ErrorKind::Timeout,
        Failure::Connect(_) | Failure::Handshake(_) => by_cause(failure).unwrap_or(ErrorKind::Connect),
        Failure::Url(_) | Failure::Http1(_) | Failure::Http2(_) => by_cause(failure).unwrap_or(ErrorKind::Protocol),
    })
}

fn by_cause(failure: &Failure) -> Option<ErrorKind> {
    // With TLS 1.3 a receiver refuses a client certificate after the handshake, when HTTP is already in use.
    if causes(failure).any(|cause| cause.is::<rustls::Error>()) {
        return Some(ErrorKind::Tls);
    }
    let of_system = || causes(failure).filter_map(|cause| cause.downcast_ref::<io::Error>()).find_map(of_io);
    causes(failure).find_map(kind_by_type).or_else(of_system)
}

/// The kind that follows from the type of an error.
fn kind_by_type(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    if let Some(http2) = error.downcast_ref::<h2::Error>() {
        return (http2.is_remote() && (http2.is_go_away() || http2.is_reset())).then_some(ErrorKind::Reset);
    }
    let hyper = error.downcast_ref::<hyper::Error>()?;
    if hyper.is_parse() {
        return Some(ErrorKind::Protocol);
    }
    (hyper.is_incomplete_message() || hyper.is_closed() || hyper.is_canceled()).then_some(ErrorKind::Reset)
}

fn of_io(error: &io::Error) -> Option<ErrorKind> {
    use io::ErrorKind as Io;
    match error.kind() {
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof => Some(ErrorKind::Reset),
        Io::TimedOut => Some(ErrorKind::Timeout),
        Io::ConnectionRefused | Io::HostUnreachable | Io::NetworkUnreachable | Io::AddrNotAvailable => {
            Some(ErrorKind::Connect)
        }
        _ => None,
    }
}

/// The message of the innermost cause. The outer ones only say that sending failed.
fn innermost(failure: &Failure) -> String {
    causes(failure).last().map(ToString::to_string).unwrap_or_default()
}

/// The beginning of a body as text.
pub(crate) fn excerpt(body: &[u8]) -> String {
    text_of(body, MAX_EXCERPT)
}

/// The beginning of bytes as text. Invalid UTF-8 is replaced, and control characters are left out.
pub(crate) fn text_of(bytes: &[u8], longest: usize) -> String {
    let beginning = &bytes[..bytes.len().min(longest)];
    let text = String::from_utf8_lossy(beginning);
    // In nearly all headers and many bodies, nothing has to be replaced or left out.
    if beginning.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.into_owned();
    }
    let text = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    cut(text, longest)
}

/// The text, cut to at most `longest` bytes.
pub(crate) fn cut(mut text: String, longest: usize) -> String {
    text.truncate(text.floor_char_boundary(longest));
    text
}

/// The pause that `Retry-After` (RFC 9110, 10.2.3) asks for, in seconds or as a date. A value above [`MAX_WAIT`], or
/// one that overflows, counts as [`MAX_WAIT`].
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(RETRY_AFTER).iter();
    values.filter_map(|value| Some(wait(value.to_str().ok()?.trim())?.min(MAX_WAIT))).max()
}

fn wait(value: &str) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    // Some rate limiters send fractions of a second, though no standard allows it.
    if let Some((whole, part)) = value.split_once('.')
        && !part.is_empty()
        && part.bytes().all(|byte| byte.is_ascii_digit())
    {
        return wait(whole).map(|whole| whole.saturating_add(Duration::from_secs(1)));
    }
    // First the three date formats of HTTP, then those of mail, which may have other time zones.
    if let Ok(date) = httpdate::parse_http_date(value) {
        return Some(date.duration_since(SystemTime::now()).unwrap_or(Duration::ZERO));
    }
    let date = rfc2822::parse(value).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_valid_and_short_text() {
        assert_eq!(excerpt(b"ok\0\x1b[31m\n"), "ok[31m\n");
        assert_eq!(excerpt(b"\xff"), "\u{fffd}");
        assert!(excerpt("ä".repeat(5_000).as_bytes()).len() <= MAX_EXCERPT);
        assert!(excerpt(&[0xff; 10_000]).len() <= MAX_EXCERPT);
    }

    fn wait_of(value: &str) -> Option<Duration> {
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]))
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        for (value, seconds) in [("7", 7), ("007", 7), ("86400", 86_400), ("0", 0), ("1.5", 2), (" 3 ", 3)] {
            assert_eq!(wait_of(value), Some(Duration::from_secs(seconds)), "{value}");
        }
        for past in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 6 Nov 1994 09:49:37 +0100",
        ] {
            assert_eq!(wait_of(past), Some(Duration::ZERO), "{past}");
        }
        for rubbish in ["soon", "-1", "", "1.", ".5", "1e3", "+5", "tomorrow, 12:00"] {
            assert_eq!(wait_of(rubbish), None, "{rubbish}");
        }
    }

    #[test]
    fn a_longer_retry_after_never_gets_a_shorter_pause() {
        let longer = ["86401", "99999999", "18446744073709551616", "99999999999999999999", "99999999999999999999.9"];
        for value in longer.into_iter().chain(["Fri, 31 Dec 2100 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"]) {
            assert_eq!(wait_of(value), Some(MAX_WAIT), "{value}");
        }
        let mut headers = HeaderMap::new();
        for value in ["60", "120", "soon"] {
            headers.append(RETRY_AFTER, value.parse().unwrap());
        }
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(120)));
    }
}
