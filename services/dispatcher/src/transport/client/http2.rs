//! One HTTP/2 connection, which serves many requests at a time. It uses h2 and not hyper's client, because only h2
//! reports how many streams the receiver takes before the first request is sent.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping, PingPong, RecvStream,
    client::{Builder, Connection, SendRequest},
};
use http::Response;
use runtime::ErrorChain as _;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::stream::{Stream, peer_of};
use crate::transport::answer::MAX_BODY_READ;

/// The interval of pings on a connection with requests in flight. Load balancers forget a silent connection after 60 s
/// or more.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// How long an answer to a ping may take. After this time the connection takes no further request.
const PING_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Http2 {
    sender: SendRequest<Bytes>,
    load: Arc<Load>,
    driver: AbortOnDropHandle<()>,
    peer: Option<SocketAddr>,
    pub(super) opened_at: Instant,
    idle_since: Mutex<Instant>,
}

/// The requests of a connection.
#[derive(Debug, Default)]
struct Load {
    streams: AtomicUsize,
    served_any: AtomicBool,
    /// Set after a ping was not answered, or a request failed in a way that may concern the whole connection. Requests
    /// in flight may end, and no new one begins.
    condemned: AtomicBool,
}

impl Http2 {
    /// Begins HTTP/2 on a stream and waits for the settings of the receiver.
    pub(super) async fn over(stream: Stream) -> Result<Self, h2::Error> {
        let peer = peer_of(&stream);
        // No stream may be opened before the receiver has sent its limit.
        let handshake = Builder::new().enable_push(false).initial_max_send_streams(0).handshake(stream);
        let (sender, mut connection) = handshake.await?;
        std::future::poll_fn(|cx| match std::pin::Pin::new(&mut connection).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(h2::Reason::NO_ERROR.into())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if connection.max_concurrent_send_streams() > 0 => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await?;
        let load = Arc::<Load>::default();
        let driver = AbortOnDropHandle::new(tokio::spawn(drive(connection, Arc::clone(&load))));
        let now = Instant::now();
        Ok(Self { sender, load, driver, peer, opened_at: now, idle_since: Mutex::new(now) })
    }

    /// The number of requests that the receiver takes at a time.
    pub(super) fn limit(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Whether the connection takes further requests.
    pub(super) fn is_usable(&self) -> bool {
        !self.driver.is_finished() && !self.load.condemned.load(Ordering::Relaxed)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.load.streams.load(Ordering::Relaxed) == 0
    }

    pub(super) fn idle_since(&self) -> Instant {
        *self.idle_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A free stream; `None` if all are in use. Only the pool calls this, under its lock.
    pub(super) fn stream(self: &Arc<Self>) -> Option<Http2Stream> {
        (self.load.streams.load(Ordering::Relaxed) < self.limit()).then(|| self.first_stream())
    }

    /// The stream of the request that the connection was opened for.
    pub(super) fn first_stream(self: &Arc<Self>) -> Http2Stream {
        self.load.streams.fetch_add(1, Ordering::Relaxed);
        let reused = self.load.served_any.swap(true, Ordering::Relaxed);
        Http2Stream { connection: Arc::clone(self), reused }
    }
}

/// The right to one stream of a connection.
#[derive(Debug)]
pub(super) struct Http2Stream {
    connection: Arc<Http2>,
    /// Whether the connection had a request before.
    pub(super) reused: bool,
}

impl Http2Stream {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(
        &self,
        request: http::Request<()>,
        body: Bytes,
    ) -> Result<Response<RecvStream>, h2::Error> {
        let mut sender = self.connection.sender.clone().ready().await?;
        let (response, mut sending) = sender.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            sending.send_data(body, true)?;
        }
        response.await
    }

    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.connection.peer
    }

    /// From now on the connection takes no further request.
    pub(super) fn condemn(&self) {
        self.connection.load.condemned.store(true, Ordering::Relaxed);
    }
}

impl Drop for Http2Stream {
    fn drop(&mut self) {
        *self.connection.idle_since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.connection.load.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Appends the beginning of an answer's body. Cancel-safe.
pub(super) async fn read(response: Response<RecvStream>, beginning: &mut Vec<u8>) {
    let mut body = response.into_body();
    while beginning.len() < MAX_BODY_READ
        && let Some(Ok(data)) = body.data().await
    {
        beginning.extend_from_slice(&data[..data.len().min(MAX_BODY_READ - beginning.len())]);
        let _ = body.flow_control().release_capacity(data.len());
    }
}

/// Drives the connection until it ends.
async fn drive(mut connection: Connection<Stream, Bytes>, load: Arc<Load>) {
    let pings = connection.ping_pong();
    let watching = async {
        if let Some(pings) = pings {
            await_silence(pings, &load).await;
            load.condemned.store(true, Ordering::Relaxed);
        }
        // Requests in flight have their own timeouts: the receiver may be busy and still answer.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = connection => if let Err(error) = ended {
            tracing::debug!(error = error.chain(), "HTTP/2 connection ended");
        },
        () = watching => {}
    }
}

/// Returns when a ping was not answered.
async fn await_silence(mut pings: PingPong, load: &Load) {
    loop {
        sleep(PING_INTERVAL).await;
        if load.streams.load(Ordering::Relaxed) > 0
            && !matches!(timeout(PING_TIMEOUT, pings.ping(Ping::opaque())).await, Ok(Ok(_)))
        {
            return;
        }
    }
}
