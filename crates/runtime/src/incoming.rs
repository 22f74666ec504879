//! Connections as they come in, over TLS if there is a certificate.
//!
//! Accepting never stops: each handshake is a task of its own with a short deadline, and the oldest one ends when there
//! are too many. A client that speaks plain text to a TLS port, or connects when there are too many connections, is told
//! so in the protocol of the port.

mod turned_away;

use std::{collections::VecDeque, io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{Stream as Incomings, stream};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;
use turned_away::{Reason, turn_away};

use crate::connections::{
    Admitted, ConnectionLimits, Connections,
    socket::{Protocol, Socket, Stream},
};

use crate::ErrorChain as _;

/// The most handshakes at once. Each takes some 20 KiB; an honest one is over in milliseconds.
const MAX_HANDSHAKES: usize = 512;
/// The most connections that are told at once why they are refused; further ones are just closed.
const MAX_REFUSALS: usize = 64;
/// How long it may take to tell them.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause after the operating system gives no connection although one was closed to make room.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The same if there was none to close.
const LONG_ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);
/// What a TLS connection begins with: a record of a handshake (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// A listener, with or without TLS.
pub(crate) struct Incoming {
    listener: TcpListener,
    doorway: Arc<Doorway>,
    connections: Arc<Connections>,
    /// The handshakes that are being made, oldest first.
    handshakes: VecDeque<AbortHandle>,
    made: (mpsc::Sender<Socket>, mpsc::Receiver<Socket>),
    refusals: Arc<Semaphore>,
}

/// What all connections of a listener have in common.
struct Doorway {
    acceptor: Option<TlsAcceptor>,
    protocol: Protocol,
    limits: ConnectionLimits,
}

impl Incoming {
    pub(crate) fn new(
        listener: TcpListener,
        acceptor: Option<TlsAcceptor>,
        protocol: Protocol,
        limits: &ConnectionLimits,
        connections: &Arc<Connections>,
    ) -> Self {
        Self {
            listener,
            doorway: Arc::new(Doorway { acceptor, protocol, limits: limits.clone() }),
            connections: Arc::clone(connections),
            handshakes: VecDeque::new(),
            made: mpsc::channel(MAX_HANDSHAKES),
            refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
        }
    }

    /// The next connection. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Socket {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        if let Some(socket) = self.take(stream, from) {
                            return socket;
                        }
                    }
                    // It was gone before it was taken.
                    Err(error) if is_of_one_connection(&error) => {}
                    Err(error) => {
                        let made_room = self.connections.make_room();
                        tracing::warn!(error = error.chain(), made_room, "cannot accept connection; retrying");
                        let delay = if made_room { ACCEPT_RETRY_DELAY } else { LONG_ACCEPT_RETRY_DELAY };
                        tokio::time::sleep(delay).await;
                    }
                },
                Some(socket) = self.made.1.recv() => return socket,
            }
        }
    }

    /// The connections, for tonic.
    pub(crate) fn connections(self) -> impl Incomings<Item = io::Result<Socket>> {
        stream::unfold(self, |mut incoming| async move { Some((Ok(incoming.next().await), incoming)) })
    }

    /// Admits a connection; with TLS it comes out of `made` once its handshake is.
    fn take(&mut self, stream: TcpStream, from: SocketAddr) -> Option<Socket> {
        let doorway = &self.doorway;
        // Without this an answer of gRPC waits up to 40 ms for the other side to acknowledge its headers.
        let _ = stream.set_nodelay(true);
        keep_alive(&stream, doorway.limits.keepalive_interval);
        let admitted = match self.connections.admit(from.ip()) {
            Ok(admitted) => admitted,
            Err(exceeded) => {
                self.refuse(stream, Reason::TooMany(exceeded));
                return None;
            }
        };
        let Some(acceptor) = doorway.acceptor.clone() else {
            return Some(Socket::new(Stream::Plain(stream), admitted, doorway.protocol, &doorway.limits));
        };
        self.handshakes.retain(|handshake| !handshake.is_finished());
        if self.handshakes.len() >= MAX_HANDSHAKES
            && let Some(oldest) = self.handshakes.pop_front()
        {
            oldest.abort();
        }
        let (doorway, made) = (Arc::clone(doorway), self.made.0.clone());
        let handshake = tokio::spawn(async move {
            if let Some(socket) = shake_hands(stream, from, admitted, acceptor, &doorway).await {
                // The listener is gone when the process is to end.
                let _ = made.send(socket).await;
            }
        });
        self.handshakes.push_back(handshake.abort_handle());
        None
    }

    fn refuse(&self, stream: TcpStream, reason: Reason) {
        // Under TLS a refusal would take a handshake.
        if self.doorway.acceptor.is_some() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        let protocol = self.doorway.protocol;
        tokio::spawn(async move {
            let _ = tokio::time::timeout(REFUSAL_TIMEOUT, turn_away(stream, protocol, reason)).await;
            drop(permit);
        });
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.handshakes.iter().for_each(AbortHandle::abort);
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Has the operating system notice that the other side's machine is gone.
fn keep_alive(stream: &TcpStream, interval: Duration) {
    // It counts in seconds.
    let interval = interval.max(Duration::from_secs(1));
    let keepalive = TcpKeepalive::new().with_time(interval).with_interval(interval);
    if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&keepalive) {
        tracing::debug!(error = error.chain(), "cannot set TCP keep-alive");
    }
}

async fn shake_hands(
    stream: TcpStream,
    from: SocketAddr,
    admitted: Admitted,
    acceptor: TlsAcceptor,
    doorway: &Doorway,
) -> Option<Socket> {
    let made = async {
        let mut first = [0];
        let length = stream.peek(&mut first).await?;
        if length > 0 && first[0] != HANDSHAKE_RECORD {
            return turn_away(stream, doorway.protocol, Reason::SpeaksTls).await.map(|()| None);
        }
        acceptor.accept(stream).await.map(Some)
    };
    let closed = admitted.peer().close_token().clone();
    let made = tokio::select! {
        made = tokio::time::timeout(doorway.limits.handshake_timeout, made) => made,
        () = closed.cancelled() => return None,
    };
    match made {
        Ok(Ok(Some(stream))) => {
            Some(Socket::new(Stream::Tls(Box::new(stream)), admitted, doorway.protocol, &doorway.limits))
        }
        Ok(Ok(None)) => {
            tracing::debug!(%from, "a connection without TLS was turned away");
            None
        }
        Ok(Err(error)) => {
            tracing::debug!(%from, error = error.chain(), "a TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%from, "a TLS handshake took too long");
            None
        }
    }
}
