//! Cross-origin requests (CORS): which web pages may call this server from a browser.
//!
//! By default no page may. A page needs an API key anyway: it cannot use the session of the console, because neither
//! credentials nor the header of sessions are allowed here.

use std::{fmt, str::FromStr, time::Duration};

use http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember the answer to its preflight request.
const MAX_AGE: Duration = Duration::from_secs(7_200);
/// Headers that pages may send: those of Connect, of gRPC-Web and of the API.
const SENT: [HeaderName; 13] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    HeaderName::from_static("connect-protocol-version"),
    HeaderName::from_static("connect-timeout-ms"),
    HeaderName::from_static("connect-content-encoding"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("leadline-actor"),
    HeaderName::from_static("traceparent"),
];
/// Headers of answers that pages may read.
const SHOWN: [HeaderName; 5] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
    HeaderName::from_static("x-request-id"),
    header::RETRY_AFTER,
];

/// An origin whose pages may call this server, such as `https://console.example`; `*` is every origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// The text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not an origin; write it as https://console.example or http://localhost:5173, without a path, or * for all")]
pub struct NoOrigin;

impl FromStr for Origin {
    type Err = NoOrigin;

    fn from_str(text: &str) -> Result<Self, NoOrigin> {
        let value = HeaderValue::from_str(text).map_err(|_| NoOrigin)?;
        if text == "*" {
            return Ok(Self(value));
        }
        let uri: http::Uri = text.parse().map_err(|_| NoOrigin)?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri.authority().ok_or(NoOrigin)?.as_str();
        // Browsers send neither a path nor a user, and write names in lower case.
        let is_bare = text.ends_with(authority) && !authority.contains('@') && text == text.to_ascii_lowercase();
        if is_web && is_bare { Ok(Self(value)) } else { Err(NoOrigin) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

/// The layer that answers preflight requests; `None` if no page may call.
pub(crate) fn layer(origins: &[Origin]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = if origins.iter().any(|origin| origin.0 == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().map(|origin| origin.0.clone()))
    };
    let layer = CorsLayer::new().allow_origin(allowed).allow_methods([Method::GET, Method::POST]);
    Some(layer.allow_headers(SENT).expose_headers(SHOWN).max_age(MAX_AGE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_has_a_scheme_and_a_host_and_no_path() {
        for good in ["*", "https://console.example", "http://localhost:5173", "http://[::1]:80"] {
            assert_eq!(good.parse::<Origin>().unwrap().to_string(), good);
        }
        for wrong in ["", "console.example", "https://a.example/", "https://A.example", "ftp://a.example", "null"] {
            assert_eq!(wrong.parse::<Origin>(), Err(NoOrigin), "{wrong}");
        }
        assert_eq!("https://user@a.example".parse::<Origin>(), Err(NoOrigin));
    }
}
