//! The exchange of an attempt as people see it: bounded, and without secrets.

use domain::{
    AttemptOutcome,
    delivery::{Exchange, HeaderLine},
};
use http::{HeaderName, HeaderValue};

use crate::transport::{
    answer::Answer,
    client::wire::Seen,
    outcome::{excerpt, text_of},
    redaction::{REDACTED, Redaction},
    request::Request,
};

/// At most this many headers of a request are kept; Leadline sets sixteen, and a destination may add some.
const MAX_HEADERS: usize = 64;
/// At most this many headers of an answer are kept.
const MAX_ANSWER_HEADERS: usize = 24;
/// At most this many bytes of a header's value are kept.
const MAX_VALUE: usize = 512;
/// At most this many bytes of an answer's body are kept.
const MAX_BODY: usize = 16 * 1024;
/// The headers of an answer that are kept: content, server, redirects and retries, and the ids by which the receiver
/// finds the request in its own log. Cookies are not kept.
const KEPT: [HeaderName; 11] = [
    http::header::CONTENT_TYPE,
    http::header::CONTENT_LENGTH,
    http::header::CONTENT_ENCODING,
    http::header::DATE,
    http::header::SERVER,
    http::header::VIA,
    http::header::ALLOW,
    http::header::LOCATION,
    http::header::RETRY_AFTER,
    http::header::WWW_AUTHENTICATE,
    http::header::CACHE_CONTROL,
];
/// Further headers that are kept, by the beginning or the end of their names.
const KEPT_BY_BEGINNING: [&str; 4] = ["x-request", "ratelimit", "x-ratelimit", "x-amz"];
const KEPT_BY_END: [&str; 5] = ["request-id", "correlation-id", "trace-id", "-ray", "requestid"];

/// The outcome of an attempt, and its exchange.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) outcome: AttemptOutcome,
    /// `None` if no request was made.
    pub(crate) exchange: Option<Box<Exchange>>,
}

impl Sent {
    /// `answer` is `None` if the receiver did not answer. The headers `added` were sent with those of the request.
    pub(crate) fn of(
        request: &Request,
        added: &[(HeaderName, HeaderValue)],
        outcome: AttemptOutcome,
        answer: Option<&Answer>,
        seen: Seen,
    ) -> Self {
        let sent = request.headers.iter().chain(added.iter().map(|(name, value)| (name, value)));
        let body = answer.map(|answer| text_of(&answer.beginning, MAX_BODY)).unwrap_or_default();
        let is_whole = answer.is_none_or(|answer| excerpt(&answer.beginning) == body);
        let exchange = Exchange {
            request_headers: lines(sent, MAX_HEADERS),
            request_size: request.body.len() as u64,
            request_hash: crypto::sha256(&request.body),
            response_headers: answer.map(kept).unwrap_or_default(),
            response_body: if is_whole { String::new() } else { body },
            peer: seen.peer,
            version: seen.version,
            times: seen.times,
        };
        Self { outcome, exchange: Some(Box::new(exchange)) }
    }

    /// Removes these secrets.
    pub(crate) fn redacted(self, redaction: &Redaction) -> Self {
        let Self { outcome, mut exchange } = self;
        if let Some(exchange) = &mut exchange {
            let texts = exchange.request_headers.iter_mut().chain(&mut exchange.response_headers);
            for text in texts.map(|line| &mut line.value).chain([&mut exchange.response_body]) {
                *text = redaction.apply_to(std::mem::take(text));
            }
        }
        Self { outcome: redaction.apply(outcome), exchange }
    }
}

fn kept(answer: &Answer) -> Vec<HeaderLine> {
    lines(answer.headers().iter().filter(|(name, _)| is_kept(name)), MAX_ANSWER_HEADERS)
}

fn is_kept(name: &HeaderName) -> bool {
    let text = name.as_str();
    KEPT.contains(name)
        || KEPT_BY_BEGINNING.iter().any(|beginning| text.starts_with(beginning))
        || KEPT_BY_END.iter().any(|end| text.ends_with(end))
}

fn lines<'a>(headers: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>, max: usize) -> Vec<HeaderLine> {
    let line = |(name, value): (&HeaderName, &HeaderValue)| HeaderLine {
        name: name.as_str().to_owned(),
        value: match (value.is_sensitive(), value.to_str()) {
            (true, _) => REDACTED.to_owned(),
            (false, Ok(text)) => text[..text.floor_char_boundary(MAX_VALUE)].to_owned(),
            (false, Err(_)) => text_of(value.as_bytes(), MAX_VALUE),
        },
    };
    headers.take(max).map(line).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    #[test]
    fn cookies_are_dropped_and_request_ids_are_kept() {
        for kept in ["content-type", "x-request-id", "cf-ray", "x-amzn-requestid", "ratelimit-remaining", "retry-after"]
        {
            assert!(is_kept(&HeaderName::from_static(kept)), "{kept}");
        }
        for left_out in ["set-cookie", "x-powered-by", "authorization", "x-secret"] {
            assert!(!is_kept(&HeaderName::from_static(left_out)), "{left_out}");
        }
    }

    #[test]
    fn a_kept_exchange_is_bounded_and_has_no_secrets() {
        let mut headers = HeaderMap::new();
        let mut secret = HeaderValue::from_static("Bearer abcd1234");
        secret.set_sensitive(true);
        headers.insert(http::header::AUTHORIZATION, secret);
        for n in 0..100 {
            headers.insert(HeaderName::try_from(format!("x-{n}")).unwrap(), "x".repeat(600).parse().unwrap());
        }
        let lines = lines(headers.iter(), MAX_HEADERS);
        assert_eq!(lines.len(), MAX_HEADERS);
        assert_eq!(lines[0], HeaderLine { name: "authorization".into(), value: REDACTED.into() });
        assert!(lines[1..].iter().all(|line| line.value.len() == MAX_VALUE));
    }
}
