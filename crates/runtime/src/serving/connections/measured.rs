//! The durations of calls, as the semantic conventions name them: `http.server.request.duration` and
//! `rpc.server.call.duration`. A call ends with its answer, or when its caller gives it up.

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
};
use http::{HeaderMap, Response};
use tonic::Code;

use super::{
    methods::Methods,
    server_span,
    words::{FAILURES, GRPC_STATUS, OTHER, known, scheme, word},
};
use crate::{
    metrics::{self, Histograms, KeyValue, REQUEST_SECONDS},
    trace::TraceContext,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct HttpKey {
    method: &'static str,
    scheme: &'static str,
    /// `None` if no route matched.
    route: Option<Arc<str>>,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RpcKey {
    /// `None` if there is no such method.
    method: Option<Arc<str>>,
    code: &'static str,
}

static HTTP: LazyLock<Histograms<HttpKey>> = LazyLock::new(|| {
    let description = "Duration of HTTP requests to this process";
    Histograms::new("http.server.request.duration", REQUEST_SECONDS, description, |key: &HttpKey| {
        let mut attributes = vec![
            KeyValue::new("http.request.method", key.method),
            KeyValue::new("url.scheme", key.scheme),
            KeyValue::new("http.response.status_code", i64::from(key.status)),
        ];
        attributes.extend(key.route.clone().map(|route| KeyValue::new("http.route", route)));
        if key.status >= 500 {
            attributes.push(KeyValue::new("error.type", key.status.to_string()));
        }
        attributes
    })
});

static RPC: LazyLock<Histograms<RpcKey>> = LazyLock::new(|| {
    let description = "Duration of gRPC calls to this process";
    Histograms::new("rpc.server.call.duration", REQUEST_SECONDS, description, |key: &RpcKey| {
        let mut attributes = vec![
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", key.method.clone().unwrap_or_else(|| OTHER.into())),
            KeyValue::new("rpc.status_code", key.code),
        ];
        if FAILURES.contains(&key.code) {
            attributes.push(KeyValue::new("error.type", key.code));
        }
        attributes
    })
});

/// A call whose duration is recorded when this is dropped.
#[derive(Debug)]
pub(crate) struct Measured {
    begun: Instant,
    trace: TraceContext,
    what: What,
}

#[derive(Debug)]
enum What {
    Http(HttpKey),
    Rpc(RpcKey),
}

/// The route that answered, in the extensions of the answer.
#[derive(Clone)]
struct Route(Arc<str>);

/// Adds the route to the answer, from which [`Measured::head`] takes it.
pub(crate) async fn note_route(request: Request, next: Next) -> axum::response::Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| Route(path.as_str().into()));
    if let Some(Route(route)) = &route {
        server_span::routed(route, request.method(), request.uri().path());
    }
    let mut answer = next.run(request).await;
    if let Some(route) = route {
        answer.extensions_mut().insert(route);
    }
    answer
}

impl Measured {
    /// An HTTP request begins; `None` if metrics are off.
    pub(crate) fn http<B>(request: &http::Request<B>, is_tls: bool, trace: &TraceContext) -> Option<Self> {
        let (method, scheme) = (known(request.method()), scheme(is_tls));
        let what = || What::Http(HttpKey { method, scheme, route: None, status: 0 });
        metrics::are_on().then(|| Self::begin(what(), trace))
    }

    /// A gRPC call begins; `None` if metrics are off.
    pub(crate) fn rpc<B>(request: &http::Request<B>, methods: &Methods, trace: &TraceContext) -> Option<Self> {
        let method = || methods.name(request.uri().path()).cloned();
        // A call ends without a status if its caller gives it up.
        let what = || What::Rpc(RpcKey { method: method(), code: "CANCELLED" });
        metrics::are_on().then(|| Self::begin(what(), trace))
    }

    fn begin(what: What, trace: &TraceContext) -> Self {
        Self { begun: Instant::now(), trace: trace.clone(), what }
    }

    /// Takes the status and the route from the head of the answer.
    pub(crate) fn head<B>(&mut self, answer: &Response<B>) {
        match &mut self.what {
            What::Http(key) => {
                key.status = answer.status().as_u16();
                key.route = answer.extensions().get::<Route>().map(|route| Arc::clone(&route.0));
            }
            What::Rpc(_) => self.trailers(answer.headers()),
        }
    }

    /// Takes the status of a gRPC call from these headers, if they have it.
    pub(crate) fn trailers(&mut self, headers: &HeaderMap) {
        if let (What::Rpc(key), Some(status)) = (&mut self.what, headers.get(GRPC_STATUS)) {
            key.code = word(Code::from_bytes(status.as_bytes()));
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        match &self.what {
            // Its caller gave it up before the answer began.
            What::Http(HttpKey { status: 0, .. }) => {}
            What::Http(key) => HTTP.record(key, took, Some(&self.trace)),
            What::Rpc(key) => RPC.record(key, took, Some(&self.trace)),
        }
    }
}
