//! A connection with its deadlines: for the first byte of a request, for its head, for the next request, and for a peer
//! that stops reading. The deadline of request bodies is in [`calls`](super::calls).

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::transport::server::Connected;

use super::{Admitted, Peer, limits::ConnectionLimits};

/// The length of the HTTP/2 connection preface (RFC 9113, 3.4). The header deadline covers it; PING watches what
/// follows.
const PREFACE: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    admitted: Admitted,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    reading: Reading,
    /// The time by which the peer has to read something; `None` while it reads.
    stalled: Option<Pin<Box<Sleep>>>,
    body_timeout: Duration,
}

/// When the next bytes have to arrive.
#[derive(Debug)]
struct Reading {
    protocol: Protocol,
    header_timeout: Duration,
    idle_timeout: Duration,
    deadline: Pin<Box<Sleep>>,
    phase: Phase,
    /// How many calls had ended at the last check.
    ended_calls: u64,
    bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The head has to be complete by the deadline.
    Head,
    /// The next request has to begin by the deadline.
    Idle,
}

impl Socket {
    pub(crate) fn new(stream: Stream, admitted: Admitted, protocol: Protocol, limits: &ConnectionLimits) -> Self {
        Self {
            stream,
            closed: Box::pin(admitted.peer().close_token().clone().cancelled_owned()),
            reading: Reading {
                protocol,
                header_timeout: limits.header_timeout,
                idle_timeout: limits.idle_timeout,
                deadline: Box::pin(tokio::time::sleep(limits.header_timeout)),
                phase: Phase::Head,
                ended_calls: 0,
                bytes: 0,
            },
            stalled: None,
            body_timeout: limits.body_timeout,
            admitted,
        }
    }

    pub(crate) fn peer(&self) -> &Peer {
        self.admitted.peer()
    }

    /// The result of a write; an error if the peer has read nothing for too long.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Stream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let written = write(Pin::new(&mut self.stream), context);
        if written.is_ready() {
            self.stalled = None;
            self.admitted.peer().moved();
            return written;
        }
        let timeout = self.body_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Reading {
    fn read(&mut self, bytes: usize, peer: &Peer) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.protocol == Protocol::Http1 && peer.is_idle() && self.begins_request(peer) {
            self.phase = Phase::Head;
            self.deadline.as_mut().reset(Instant::now() + self.header_timeout);
        }
    }

    /// Whether the bytes that arrive now begin another request.
    fn begins_request(&mut self, peer: &Peer) -> bool {
        let ended = peer.ended_calls();
        let begins = self.phase == Phase::Idle || ended != self.ended_calls;
        self.ended_calls = ended;
        begins
    }

    fn is_late(&mut self, peer: &Peer, context: &mut Context<'_>) -> bool {
        let has_deadline = match self.protocol {
            Protocol::Http1 => peer.poll_idle(context),
            Protocol::Http2 => self.bytes < PREFACE,
        };
        if !has_deadline {
            return false;
        }
        // A call has ended since the last check, and the next one has not begun.
        if self.protocol == Protocol::Http1 && self.phase == Phase::Head && self.begins_request(peer) {
            self.phase = Phase::Idle;
            self.deadline.as_mut().reset(Instant::now() + self.idle_timeout);
        }
        self.deadline.as_mut().poll(context).is_ready()
    }
}

impl Connected for Socket {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer().clone()
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closed.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        let peer = this.admitted.peer();
        if read.is_ready() {
            let bytes = into.filled().len() - before;
            if bytes > 0 {
                peer.moved();
                this.reading.read(bytes, peer);
            }
            return read;
        }
        if this.reading.is_late(peer, context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().written(context, |stream, context| stream.poll_write(context, from))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match &mut this.stream {
            // A plain stream has no buffer, so its flush does not show whether the peer reads.
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(_) => this.written(context, AsyncWrite::poll_flush),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().written(context, AsyncWrite::poll_shutdown)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().written(context, |stream, context| stream.poll_write_vectored(context, from))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, from),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, from),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, from),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, from),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }
}
