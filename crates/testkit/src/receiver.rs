//! A receiver of webhooks that can be made to misbehave in every way that receivers do.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use crate::tls::Certificate;

/// What a receiver does with a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Answers with this status and a short body.
    Status(u16),
    /// Answers with this status, headers and body.
    With(u16, Vec<(&'static str, String)>, Bytes),
    /// Waits, then does the other.
    After(Duration, Box<Answer>),
    /// Holds the request until [`Receiver::open_gate`], then answers with this status.
    Gate(u16),
    /// Never answers.
    Hang,
    /// Reads the request, then resets the connection (RST).
    Reset,
    /// Answers with 200 and a body that never ends.
    Endless,
    /// Answers with bytes that are no HTTP.
    Garbage,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// When it was complete.
    pub at: Instant,
}

impl Seen {
    /// A header as text; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

#[derive(Debug)]
struct State {
    answer: Answer,
    next: VecDeque<Answer>,
    seen: Vec<Seen>,
    in_flight: usize,
    most_in_flight: usize,
}

/// A receiver on a loopback port. It is gone when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    host: &'static str,
    scheme: &'static str,
    state: Arc<Mutex<State>>,
    gate: watch::Sender<bool>,
    accepting: AbortHandle,
}

impl Receiver {
    /// Starts one on any free port, which answers with 200.
    pub async fn start() -> Self {
        Self::start_on(0).await
    }

    /// Starts one on this port.
    ///
    /// # Panics
    /// When the port is taken.
    pub async fn start_on(port: u16) -> Self {
        Self::serve(port, None).await
    }

    /// Starts one that speaks TLS as `localhost`.
    pub async fn start_tls(certificate: &Certificate) -> Self {
        Self::serve(0, Some(certificate.acceptor())).await
    }

    async fn serve(port: u16, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap_or_else(|error| panic!("port {port} cannot be listened on: {error}"));
        let address = listener.local_addr().expect("a listener has an address");
        let state = Arc::new(Mutex::new(State {
            answer: Answer::Status(200),
            next: VecDeque::new(),
            seen: vec![],
            in_flight: 0,
            most_in_flight: 0,
        }));
        let gate = watch::Sender::new(false);
        let (scheme, host) = if tls.is_some() { ("https", "localhost") } else { ("http", "127.0.0.1") };
        let accepting = tokio::spawn(accept(listener, tls, Arc::clone(&state), gate.clone())).abort_handle();
        Self { address, host, scheme, state, gate, accepting }
    }

    /// Where requests go.
    pub fn url(&self) -> String {
        format!("{}://{}:{}/hook", self.scheme, self.host, self.address.port())
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// From now on it does this.
    pub fn answer(&self, answer: Answer) {
        self.state().answer = answer;
    }

    /// It does these first, one for each request, and then what it did before.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state().next.extend(answers);
    }

    /// Every request that came, the oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// How many requests came.
    pub fn count(&self) -> usize {
        self.state().seen.len()
    }

    /// How many requests wait for their answer.
    pub fn in_flight(&self) -> usize {
        self.state().in_flight
    }

    /// The most requests that ever waited at once.
    pub fn most_in_flight(&self) -> usize {
        self.state().most_in_flight
    }

    /// Lets the requests go that [`Answer::Gate`] holds, and all that follow.
    pub fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Connections belong to the accepting task and end with it.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>, gate: watch::Sender<bool>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, state, gate) = (tls.clone(), Arc::clone(&state), gate.clone());
        connections.spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        http(stream, state, gate).await;
                    }
                }
                None => raw_or_http(stream, state, gate).await,
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// What cannot be said in HTTP is done to the bare connection.
async fn raw_or_http(mut stream: TcpStream, state: Arc<Mutex<State>>, gate: watch::Sender<bool>) {
    let raw = {
        let mut state = lock(&state);
        let next = state.next.front().unwrap_or(&state.answer).clone();
        let raw = matches!(next, Answer::Reset | Answer::Garbage);
        if raw {
            state.next.pop_front();
        }
        raw.then_some(next)
    };
    let Some(raw) = raw else { return http(stream, state, gate).await };
    let mut request = vec![0; 64 * 1024];
    let read = stream.read(&mut request).await.unwrap_or(0);
    request.truncate(read);
    lock(&state).seen.push(Seen {
        method: String::new(),
        path: String::new(),
        headers: HeaderMap::new(),
        body: request.into(),
        at: Instant::now(),
    });
    match raw {
        Answer::Garbage => {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2 what do you want\r\n\r\n").await;
        }
        // Closing with unsent time zero sends RST instead of FIN.
        _ => stream.set_zero_linger().expect("the connection can be reset"),
    }
}

async fn http(stream: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<State>>, gate: watch::Sender<bool>) {
    let service = service_fn(move |request| {
        let (state, gate) = (Arc::clone(&state), gate.subscribe());
        async move { Ok::<_, Infallible>(respond(request, &state, gate).await) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

type Body = BoxBody<Bytes, Infallible>;

async fn respond(request: Request<Incoming>, state: &Arc<Mutex<State>>, gate: watch::Receiver<bool>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let answer = {
        let mut state = lock(state);
        state.seen.push(Seen {
            method: parts.method.to_string(),
            path: parts.uri.to_string(),
            headers: parts.headers,
            body,
            at: Instant::now(),
        });
        state.in_flight += 1;
        state.most_in_flight = state.most_in_flight.max(state.in_flight);
        let answer = state.answer.clone();
        state.next.pop_front().unwrap_or(answer)
    };
    let _waiting = Waiting(Arc::clone(state));
    perform(answer, gate).await
}

/// Counts a request as waiting until it is answered or given up.
struct Waiting(Arc<Mutex<State>>);

impl Drop for Waiting {
    fn drop(&mut self) {
        lock(&self.0).in_flight -= 1;
    }
}

async fn perform(mut answer: Answer, mut gate: watch::Receiver<bool>) -> Response<Body> {
    while let Answer::After(pause, then) = answer {
        tokio::time::sleep(pause).await;
        answer = *then;
    }
    match answer {
        Answer::Status(status) => response(status, vec![], format!("status {status}\n").into()),
        Answer::With(status, headers, body) => response(status, headers, body),
        Answer::Gate(status) => {
            let _ = gate.wait_for(|open| *open).await;
            response(status, vec![], Bytes::new())
        }
        Answer::Endless => {
            let chunks = futures::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b'x'; 1024]))));
            Response::new(StreamBody::new(chunks).boxed())
        }
        // A connection that is kept alive cannot be reset from here; it is left hanging.
        Answer::Hang | Answer::Reset | Answer::Garbage | Answer::After(..) => std::future::pending().await,
    }
}

fn response(status: u16, headers: Vec<(&'static str, String)>, body: Bytes) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::new(body).boxed()).expect("the answer of a test is one that HTTP knows")
}
