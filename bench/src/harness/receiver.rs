//! A cheap receiver: it counts requests, records the latency of each event, and answers.

use std::{
    collections::HashSet,
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// How long a hanging receiver takes to answer.
const HANG: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answers {
    /// 200, at once.
    Well,
    /// No answer for longer than any timeout.
    Never,
    /// 500, at once.
    Error,
}

#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    count: Arc<AtomicU64>,
    received: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<Answers>>,
}

/// A received event: its publish time, and its latency, in microseconds.
#[derive(Debug, Clone, Copy)]
struct Received {
    sent: u64,
    took: u64,
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Receiver {
    pub(crate) async fn start(answers: Answers) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let receiver = Self {
            address: listener.local_addr()?,
            count: Arc::default(),
            received: Arc::default(),
            answers: Arc::new(Mutex::new(answers)),
        };
        let shared = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    let service = service_fn(move |request| respond(shared.clone(), request));
                    let mut server = http1::Builder::new();
                    let _ = server.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(receiver)
    }

    /// Changes the answers from now on.
    pub(crate) fn answer(&self, answers: Answers) {
        *self.answers.lock().unwrap_or_else(PoisonError::into_inner) = answers;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Requests so far.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Resets the receiver. Returns the latencies until now, in microseconds.
    pub(crate) fn take(&self) -> Vec<u64> {
        self.count.store(0, Ordering::Relaxed);
        let received = std::mem::take(&mut *self.received.lock().unwrap_or_else(PoisonError::into_inner));
        received.into_iter().map(|received| received.took).collect()
    }

    /// The number of events, published at these times, that have not arrived.
    pub(crate) fn missing(&self, sent: &HashSet<u64>) -> usize {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let came: HashSet<_> = received.iter().map(|received| received.sent).collect();
        sent.difference(&came).count()
    }

    /// Waits for `count` requests. Returns the number of requests that came in time.
    pub(crate) async fn wait_for(&self, count: u64, within: Duration) -> u64 {
        let give_up = tokio::time::Instant::now() + within;
        while self.count() < count && tokio::time::Instant::now() < give_up {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        self.count()
    }
}

async fn respond(receiver: Receiver, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    receiver.count.fetch_add(1, Ordering::Relaxed);
    if let Some(sent) = sent_at(&body) {
        let mut received = receiver.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.push(Received { sent, took: now_us().saturating_sub(sent) });
    }
    let mut response = Response::new(Empty::new());
    let answers = *receiver.answers.lock().unwrap_or_else(PoisonError::into_inner);
    match answers {
        Answers::Well => {}
        Answers::Never => tokio::time::sleep(HANG).await,
        Answers::Error => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    Ok(response)
}

/// The publish time of an event: every body begins with `{"sent":<microseconds>,`.
fn sent_at(body: &[u8]) -> Option<u64> {
    let digits: Vec<u8> = body.strip_prefix(b"{\"sent\":")?.iter().copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}
