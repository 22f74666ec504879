//! The origin of a connection, and the form of a request in HTTP/1.1 and HTTP/2.

use std::{hash::Hash, sync::Arc};

use domain::registry::Transport;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri,
    header::{ACCEPT, CONTENT_LENGTH, HOST, USER_AGENT},
};
use http_body_util::Full;
use url::{Host, Position, Url};

use crate::transport::{failure::Failure, request::Request, route::Route};

const AGENT: HeaderValue = HeaderValue::from_static(render::AGENT);
const ANYTHING: HeaderValue = HeaderValue::from_static(render::ACCEPT);

/// An origin. Requests to the same origin share connections.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    pub(super) https: bool,
    pub(super) host: Host,
    pub(super) port: u16,
    /// The certificate, authorities and proxy of a destination; `None` if the destination sets none of them.
    pub(super) transport: Option<Arc<Transport>>,
}

impl Origin {
    /// The origin of a URL; `None` if its scheme is not HTTP or HTTPS.
    pub(super) fn of(url: &Url, route: Option<&Route>) -> Option<Self> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let transport = route.map(|route| Arc::clone(&route.transport));
        Some(Self { https, host: url.host()?.to_owned(), port: url.port_or_known_default()?, transport })
    }
}

/// The request in HTTP/1.1 form: a path, and the host in a header.
pub(super) fn for_http1(request: &Request) -> Result<http::Request<Full<bytes::Bytes>>, Failure> {
    let target = &request.url[Position::BeforePath..Position::AfterQuery];
    let mut headers = headers(request);
    headers.insert(HOST, HeaderValue::from_str(authority(request)).map_err(http::Error::from)?);
    let mut sent = http::Request::new(Full::new(request.body.clone()));
    *sent.method_mut() = request.method.clone();
    *sent.uri_mut() = Uri::try_from(target).map_err(http::Error::from)?;
    *sent.headers_mut() = headers;
    Ok(sent)
}

/// The request in HTTP/2 form: a URL. The body is sent separately.
pub(super) fn for_http2(request: &Request) -> Result<http::Request<()>, Failure> {
    let mut sent = http::Request::new(());
    *sent.method_mut() = request.method.clone();
    *sent.version_mut() = http::Version::HTTP_2;
    *sent.uri_mut() = Uri::try_from(&request.url[..Position::AfterQuery]).map_err(http::Error::from)?;
    *sent.headers_mut() = headers(request);
    Ok(sent)
}

/// The headers that are sent in addition to those of the request. With HTTP/2, the pseudo-header `:authority` is listed
/// as `host`.
pub(super) fn added_headers(request: &Request) -> Vec<(HeaderName, HeaderValue)> {
    let host = HeaderValue::from_str(authority(request)).map(|host| (HOST, host));
    added(request).chain(host.ok()).collect()
}

fn authority(request: &Request) -> &str {
    render::authority(&request.url)
}

fn headers(request: &Request) -> HeaderMap {
    let mut headers = request.headers.clone();
    headers.extend(added(request));
    headers
}

fn added(request: &Request) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    // A request without a body has no content length (RFC 9110, 8.6); some servers refuse a GET that has one.
    let has_length = !request.body.is_empty() || !matches!(request.method, Method::GET | Method::DELETE);
    let length = has_length.then(|| (CONTENT_LENGTH, request.body.len().into()));
    let defaults = [(USER_AGENT, AGENT), (ACCEPT, ANYTHING)];
    length.into_iter().chain(defaults.into_iter().filter(|(name, _)| !request.headers.contains_key(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> Request {
        let headers = HeaderMap::from_iter([(USER_AGENT, "mine".parse().unwrap())]);
        Request {
            method: http::Method::PUT,
            url: url.parse().unwrap(),
            headers,
            body: "{}".into(),
            redaction: Default::default(),
            route: None,
            grant: None,
        }
    }

    #[test]
    fn http1_has_a_host_header_and_http2_a_url() {
        let request = request("https://example.com:8443/a%20b/ä?x=1&y=[2]#part");
        let (http1, http2) = (for_http1(&request).unwrap(), for_http2(&request).unwrap());
        assert_eq!(http1.uri().to_string(), "/a%20b/%C3%A4?x=1&y=[2]");
        assert_eq!(http1.headers()[HOST], "example.com:8443");
        assert_eq!(http2.uri().to_string(), "https://example.com:8443/a%20b/%C3%A4?x=1&y=[2]");
        assert!(!http2.headers().contains_key(HOST));
        for headers in [http1.headers(), http2.headers()] {
            assert_eq!(
                (&headers[CONTENT_LENGTH], &headers[USER_AGENT]),
                (&"2".parse().unwrap(), &"mine".parse().unwrap())
            );
        }
    }

    #[test]
    fn a_get_without_a_body_has_no_content_length() {
        for method in [Method::GET, Method::DELETE] {
            let request = Request { method, body: Default::default(), ..request("https://example.com/") };
            assert!(!for_http1(&request).unwrap().headers().contains_key(CONTENT_LENGTH));
            assert!(!for_http2(&request).unwrap().headers().contains_key(CONTENT_LENGTH));
        }
        let empty = Request { body: Default::default(), ..request("https://example.com/") };
        assert_eq!(for_http1(&empty).unwrap().headers()[CONTENT_LENGTH], "0");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let origin = |url: &str| Origin::of(&url.parse().unwrap(), None);
        assert_eq!(origin("https://Example.com/a"), origin("https://example.com:443/b"));
        assert_ne!(origin("https://example.com/"), origin("http://example.com:443/"));
        assert_ne!(origin("https://example.com/"), origin("https://example.com:444/"));
        assert_eq!(origin("ftp://example.com/"), None);
        let named = for_http1(&request("http://[::1]:81/")).unwrap();
        assert_eq!(named.headers()[HOST], "[::1]:81");
    }
}
