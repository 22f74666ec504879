//! Receivers that speak HTTP/2 and count streams, connections and requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use h2::{Reason, server};
use http::{Response, StatusCode};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::task::AbortOnDropHandle;

use crate::{port, tls::Certificate};

/// How a receiver treats its connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct Http2Habit {
    /// The maximum number of concurrent requests on a connection; `None` if there is no limit.
    pub streams: Option<u32>,
    /// The delay of each answer.
    pub pause: Duration,
    /// The number of requests after which a connection refuses every further one (REFUSED_STREAM).
    pub refuses_after: Option<usize>,
    /// The number of requests after which a connection sends GOAWAY and answers no further one.
    pub leaves_after: Option<usize>,
    /// Whether it negotiates HTTP/2 and then requires HTTP/1.1 (HTTP_1_1_REQUIRED), which it speaks, too.
    pub wants_http1: bool,
}

/// A receiver that speaks HTTP/2 as `localhost`. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Http2Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    connections: AtomicUsize,
    /// The event id of each request that was answered.
    answered: Mutex<Vec<String>>,
}

impl Shared {
    fn note(&self, headers: &http::HeaderMap) {
        // Requests from tests of the HTTP client have no event id.
        let id = headers.get("leadline-event-id").or(headers.get("webhook-id"));
        let id = id.and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
        self.answered.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }
}

impl Http2Receiver {
    /// Starts a receiver on any free port.
    pub async fn start(habit: Http2Habit, certificate: &Certificate) -> Self {
        let listener = port::listen(0).await;
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::<Shared>::default();
        let (tls, accepting) = (certificate.acceptor_for(&[b"h2", b"http/1.1"]), Arc::clone(&shared));
        let accepting = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(serve(stream, tls.clone(), habit, Arc::clone(&accepting)));
                while connections.try_join_next().is_some() {}
            }
        }));
        Self { address, shared, _accepting: accepting }
    }

    /// The URL for requests.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/hook", self.address.port())
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of its connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The event id of each answered request, the oldest first; the `webhook-id` if a request has no event id.
    pub fn answered(&self) -> Vec<String> {
        self.shared.answered.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(stream: TcpStream, tls: TlsAcceptor, habit: Http2Habit, shared: Arc<Shared>) {
    let Ok(stream) = tls.accept(stream).await else { return };
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return serve_http1(stream, shared).await;
    }
    let mut builder = server::Builder::new();
    if let Some(streams) = habit.streams {
        builder.max_concurrent_streams(streams);
    }
    let Ok(mut connection) = builder.handshake::<_, bytes::Bytes>(stream).await else { return };
    let (mut answering, mut count) = (JoinSet::new(), 0);
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        count += 1;
        if habit.wants_http1 {
            respond.send_reset(Reason::HTTP_1_1_REQUIRED);
        } else if habit.refuses_after.is_some_and(|after| count > after) {
            respond.send_reset(Reason::REFUSED_STREAM);
        } else if habit.leaves_after.is_some_and(|after| count > after) {
            // GOAWAY names the last answered stream: this one was not processed.
            connection.abrupt_shutdown(Reason::NO_ERROR);
        } else {
            answering.spawn(answer(request, respond, habit.pause, Arc::clone(&shared)));
        }
        while answering.try_join_next().is_some() {}
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: server::SendResponse<bytes::Bytes>,
    pause: Duration,
    shared: Arc<Shared>,
) {
    let (parts, mut body) = request.into_parts();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
    }
    tokio::time::sleep(pause).await;
    shared.note(&parts.headers);
    let response = Response::builder().status(StatusCode::OK).body(()).expect("the answer of a test is valid");
    if let Ok(mut sending) = respond.send_response(response, false) {
        let _ = sending.send_data("ok".into(), true);
    }
}

async fn serve_http1(stream: TlsStream<TcpStream>, shared: Arc<Shared>) {
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        shared.note(request.headers());
        async { Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Full::new(bytes::Bytes::from("ok")))) }
    });
    let stream = hyper_util::rt::TokioIo::new(stream);
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await;
}
