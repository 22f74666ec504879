//! The span of a call: from the head of its request to the end of its answer, by the semantic conventions for HTTP and
//! RPC. Refused calls have a span, too.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Version, header, uri::Authority};
use tonic::Code;
use tracing::{Span, error_span, info_span};

use super::{
    Peer,
    methods::Methods,
    words::{FAILURES, GRPC_STATUS, OTHER, known, scheme, word},
};
use crate::{
    serving::request_id::RequestId,
    trace::{self, BAGGAGE, TRACEPARENT, TRACESTATE, TraceContext, attribute},
};

/// The longest user agent that is kept, in bytes.
const MAX_USER_AGENT: usize = 200;
/// The longest path that is kept, in bytes.
const MAX_PATH: usize = 200;
/// The longest name of a host, in bytes.
const MAX_HOST: usize = 253;
/// Replaces the query of a URL, which may hold values of a lead.
const REDACTED: &str = "REDACTED";

/// The span of a call over HTTP, and its context. Without an exporter the span names the request id in logs, and the
/// context is the caller's.
pub(super) fn over_http<B>(
    request: &mut Request<B>,
    id: &RequestId,
    peer: &Peer,
    is_tls: bool,
) -> (Span, TraceContext) {
    let caller = TraceContext::of_request(request.headers());
    if !trace::exporting() {
        return (error_span!("call", leadline.request.id = id.as_str()), caller.unwrap_or_default());
    }
    // At the level of errors, so that every line of a log that is written has the request id.
    let make = || error_span!("call", otel.kind = "server", leadline.request.id = id.as_str());
    let (span, own) = TraceContext::enter(caller.as_ref(), make);
    let method = known(request.method());
    trace::rename(&span, named(method));
    attribute(&span, "http.request.method", method);
    if method == OTHER {
        attribute(&span, "http.request.method_original", short(request.method().as_str(), MAX_PATH));
    }
    // Before a route is found, the path may be any text, or hold a signed link.
    attribute(&span, "url.path", beginning(request.uri().path()));
    if request.uri().query().is_some() {
        attribute(&span, "url.query", REDACTED);
    }
    attribute(&span, "url.scheme", scheme(is_tls));
    attribute(&span, "network.protocol.version", version(request.version()));
    attribute(&span, "client.address", peer.address().to_string());
    describe(&span, request, peer);
    pass_on(request.headers_mut(), &own);
    (span, own)
}

/// Names the span of a call over HTTP after the route that was found. A path with parameters may hold a signed link, so
/// only its template is kept.
pub(super) fn routed(route: &str, method: &Method, path: &str) {
    if !trace::exporting() {
        return;
    }
    let span = Span::current();
    trace::rename(&span, format!("{} {route}", named(known(method))));
    attribute(&span, "http.route", route.to_owned());
    let path = if route.contains('{') { route } else { path };
    attribute(&span, "url.path", short(path, MAX_PATH));
}

/// Records the answer to a call over HTTP.
pub(super) fn answered_over_http(span: &Span, status: StatusCode) {
    attribute(span, "http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        attribute(span, "error.type", status.as_str().to_owned());
        trace::fails(span, "");
    }
}

/// The span of a call over gRPC, and its context. Without an exporter there is no span, and the context is the
/// caller's.
pub(super) fn over_grpc<B>(request: &mut Request<B>, methods: &Methods, peer: Option<&Peer>) -> (Span, TraceContext) {
    let caller = TraceContext::of_request(request.headers());
    if !trace::exporting() {
        return (Span::none(), caller.unwrap_or_default());
    }
    let path = request.uri().path();
    let method = methods.name(path).map_or(OTHER, |name| name).to_owned();
    let make = || info_span!("call", otel.kind = "server", otel.name = method);
    let (span, own) = TraceContext::enter(caller.as_ref(), make);
    attribute(&span, "rpc.system.name", "grpc");
    if method == OTHER {
        attribute(&span, "rpc.method_original", short(request.uri().path().trim_start_matches('/'), MAX_PATH));
    }
    attribute(&span, "rpc.method", method);
    if let Some(peer) = peer {
        describe(&span, request, peer);
    }
    pass_on(request.headers_mut(), &own);
    (span, own)
}

/// The status that a gRPC answer ends with: in its trailers, or in its headers if it has no message.
pub(super) fn status_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()))
}

/// Records how a call over gRPC ended.
pub(super) fn answered_over_grpc(span: &Span, code: Code) {
    let name = word(code);
    attribute(span, "rpc.status_code", name);
    if FAILURES.contains(&name) {
        attribute(span, "error.type", name);
        trace::fails(span, "");
    }
}

/// Replaces the span of the caller in the headers by that of the call, for the other parts of the process.
fn pass_on(headers: &mut HeaderMap, own: &TraceContext) {
    let mut set = |name: &'static str, value: Option<String>| {
        let name = HeaderName::from_static(name);
        match value.and_then(|value| HeaderValue::try_from(value).ok()) {
            Some(value) => drop(headers.insert(name, value)),
            None => drop(headers.remove(name)),
        }
    };
    set(TRACEPARENT, own.traceparent());
    set(TRACESTATE, own.tracestate());
    set(BAGGAGE, own.baggage().map(str::to_owned));
}

fn describe<B>(span: &Span, request: &Request<B>, peer: &Peer) {
    attribute(span, "network.peer.address", peer.address().to_string());
    let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    // The host that the caller called: the authority of HTTP/2, or the header `host` of HTTP/1.1.
    let called = request.uri().authority().cloned().or_else(|| text(header::HOST)?.parse::<Authority>().ok());
    if let Some(called) = called {
        attribute(span, "server.address", short(called.host(), MAX_HOST));
        trace::attributes(span, called.port_u16().map(|port| ("server.port", i64::from(port).into())));
    }
    if let Some(agent) = text(header::USER_AGENT) {
        attribute(span, "user_agent.original", short(agent, MAX_USER_AGENT));
    }
}

/// The word for a method in the name of a span.
fn named(method: &'static str) -> &'static str {
    if method == OTHER { "HTTP" } else { method }
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}

/// The first segment of a path.
fn beginning(path: &str) -> String {
    let end = path[1.min(path.len())..].find('/').map_or(path.len(), |end| end + 1);
    short(&path[..end], MAX_PATH)
}

fn short(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}
