//! Connections as they come in, over TLS if there is a certificate.
//!
//! Handshakes are made beside each other, so that one who takes his time keeps nobody else waiting. Whoever speaks
//! without TLS where TLS is spoken is told so in the protocol that he seems to speak.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    future::BoxFuture,
    stream::{self, FuturesUnordered},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;

/// How long a handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How many handshakes are made at once; further connections wait with the operating system.
const MOST_HANDSHAKES: usize = 256;
/// The pause after the operating system gives no connection, because there are too many.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// What a TLS connection begins with: a record of a handshake (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;
/// What a connection of HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE_BEGINS: &[u8; 3] = b"PRI";
/// How much is read of what somebody sends who is turned away, in bytes.
const MOST_DISCARDED: u64 = 64 * 1024;
/// What he is told.
const SPEAKS_TLS: &str = "this port speaks TLS; use https://";

/// A connection.
#[derive(Debug)]
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A listener, with or without TLS.
pub(crate) struct Incoming {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    handshakes: FuturesUnordered<BoxFuture<'static, Option<(Connection, SocketAddr)>>>,
}

impl Incoming {
    pub(crate) fn new(listener: TcpListener, acceptor: Option<TlsAcceptor>) -> Self {
        Self { listener, acceptor, handshakes: FuturesUnordered::new() }
    }

    /// The next connection. Without `nodelay` an answer of gRPC would wait up to 40 ms for the other side to acknowledge
    /// its headers. Safe to cancel.
    async fn next(&mut self) -> (Connection, SocketAddr) {
        loop {
            let has_room = self.handshakes.len() < MOST_HANDSHAKES;
            tokio::select! {
                accepted = self.listener.accept(), if has_room => match (accepted, &self.acceptor) {
                    (Ok((stream, from)), None) => {
                        let _ = stream.set_nodelay(true);
                        return (Connection::Plain(stream), from);
                    }
                    (Ok((stream, from)), Some(acceptor)) => {
                        let _ = stream.set_nodelay(true);
                        self.handshakes.push(shake_hands(stream, from, acceptor.clone()).boxed());
                    }
                    // Gone before it was taken: nobody's trouble but its own.
                    (Err(error), _) if is_of_one_connection(&error) => {}
                    (Err(error), _) => {
                        tracing::warn!(%error, "a connection could not be taken");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(done) = self.handshakes.next(), if !self.handshakes.is_empty() => {
                    if let Some(connection) = done {
                        return connection;
                    }
                }
            }
        }
    }

    /// The connections, for tonic.
    pub(crate) fn connections(self) -> impl Stream<Item = io::Result<Connection>> {
        stream::unfold(self, |mut incoming| async move {
            let (connection, _) = incoming.next().await;
            Some((Ok(connection), incoming))
        })
    }
}

impl axum::serve::Listener for Incoming {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn shake_hands(stream: TcpStream, from: SocketAddr, acceptor: TlsAcceptor) -> Option<(Connection, SocketAddr)> {
    let made = async {
        let mut first = [0; 3];
        let length = stream.peek(&mut first).await?;
        if length > 0 && first[0] != HANDSHAKE_RECORD {
            return turn_away(stream, &first == PREFACE_BEGINS).await.map(|()| None);
        }
        acceptor.accept(stream).await.map(Some)
    };
    match tokio::time::timeout(HANDSHAKE_DEADLINE, made).await {
        Ok(Ok(Some(stream))) => Some((Connection::Tls(Box::new(stream)), from)),
        Ok(Ok(None)) => {
            tracing::debug!(%from, "a connection without TLS was turned away");
            None
        }
        Ok(Err(error)) => {
            tracing::debug!(%from, %error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%from, "a TLS handshake took too long");
            None
        }
    }
}

/// Says that TLS is spoken here. `http_2`: to somebody who begins with the preface of HTTP/2.
async fn turn_away(mut stream: TcpStream, http_2: bool) -> io::Result<()> {
    if http_2 {
        go_away(&mut stream).await?;
    } else {
        let length = SPEAKS_TLS.len() + 1;
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n\
             {SPEAKS_TLS}\n"
        );
        stream.write_all(answer.as_bytes()).await?;
    }
    stream.shutdown().await?;
    // What was sent and not read would reset the connection, and the answer with it.
    tokio::io::copy(&mut stream.take(MOST_DISCARDED), &mut tokio::io::sink()).await.map(drop)
}

/// The same in HTTP/2 (RFC 9113): GOAWAY with the error `INADEQUATE_SECURITY` and a text for people. It waits for the
/// first request; nobody would hear an answer that comes before it.
async fn go_away(stream: &mut TcpStream) -> io::Result<()> {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    stream.write_all(&SETTINGS).await?;
    stream.read_exact(&mut [0; PREFACE]).await?;
    let mut read = 0;
    while read < MOST_DISCARDED {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u64::from(u32::from_be_bytes([0, head[0], head[1], head[2]]));
        read += length;
        tokio::io::copy(&mut stream.take(length), &mut tokio::io::sink()).await?;
        if head[3] == HEADERS {
            break;
        }
    }
    let length = 8 + u8::try_from(SPEAKS_TLS.len()).unwrap_or(0);
    let head = [[0, 0, length, 7, 0, 0, 0, 0, 0].as_slice(), &[0, 0, 0, 0, 0, 0, 0, 0x0c]].concat();
    stream.write_all(&[&head, SPEAKS_TLS.as_bytes()].concat()).await
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into),
        }
    }
}

impl AsyncWrite for Connection {
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
