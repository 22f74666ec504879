//! Accepting connections, over TLS if there is a certificate.
//!
//! Accepting never stops: each handshake is a separate task with a short deadline, and the oldest one is aborted if
//! there are too many. A client that speaks plain text to a TLS port gets the reason in the protocol of the port. So
//! does a client that connects beyond a limit, but only to a port without TLS.

mod refusal;

use std::{collections::VecDeque, io, net::SocketAddr, sync::Arc, time::Duration};

use futures::{Stream as Incomings, stream};
use refusal::{Reason, refuse};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    chain::ErrorChain as _,
    serving::connections::{
        Admitted, ConnectionLimits, Connections,
        socket::{Protocol, Socket, Stream},
    },
};

/// Maximum number of concurrent handshakes. Each takes about 20 KiB of memory; an honest one ends within milliseconds.
const MAX_HANDSHAKES: usize = 512;
/// Maximum number of refused connections to which the reason is sent at the same time; further ones are closed without
/// it.
const MAX_REFUSALS: usize = 64;
/// How long sending the reason may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// The delay after accepting failed and an idle connection was closed to make room.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);
/// The delay after accepting failed and no connection could be closed.
const LONG_ACCEPT_RETRY_DELAY: Duration = Duration::from_secs(1);
/// The first byte of a TLS connection: a handshake record (RFC 8446, 5.1).
const HANDSHAKE_RECORD: u8 = 0x16;

/// A listener, with or without TLS.
pub(crate) struct Incoming {
    listener: TcpListener,
    settings: Arc<ListenerSettings>,
    connections: Arc<Connections>,
    /// The handshakes in flight, oldest first.
    handshakes: VecDeque<AbortHandle>,
    made: (mpsc::Sender<Socket>, mpsc::Receiver<Socket>),
    refusals: Arc<Semaphore>,
}

/// The settings that all connections of a listener share.
struct ListenerSettings {
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
            settings: Arc::new(ListenerSettings { acceptor, protocol, limits: limits.clone() }),
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
                    // The client closed its connection before it was accepted.
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

    /// The connections as a stream, for tonic.
    pub(crate) fn connections(self) -> impl Incomings<Item = io::Result<Socket>> {
        stream::unfold(self, |mut incoming| async move { Some((Ok(incoming.next().await), incoming)) })
    }

    /// Admits a connection. Over TLS it arrives through `made` after its handshake.
    fn take(&mut self, stream: TcpStream, from: SocketAddr) -> Option<Socket> {
        let settings = &self.settings;
        // Without this a gRPC answer waits up to 40 ms for the peer to acknowledge its headers.
        let _ = stream.set_nodelay(true);
        keep_alive(&stream, settings.limits.keepalive_interval);
        let admitted = match self.connections.admit(from.ip()) {
            Ok(admitted) => admitted,
            Err(exceeded) => {
                self.refuse(stream, Reason::TooMany(exceeded));
                return None;
            }
        };
        let Some(acceptor) = settings.acceptor.clone() else {
            return Some(Socket::new(Stream::Plain(stream), admitted, settings.protocol, &settings.limits));
        };
        self.handshakes.retain(|handshake| !handshake.is_finished());
        if self.handshakes.len() >= MAX_HANDSHAKES
            && let Some(oldest) = self.handshakes.pop_front()
        {
            oldest.abort();
        }
        let (settings, made) = (Arc::clone(settings), self.made.0.clone());
        let handshake = tokio::spawn(async move {
            if let Some(socket) = shake_hands(stream, from, admitted, acceptor, &settings).await {
                // Sending fails during the drain, because the listener is dropped.
                let _ = made.send(socket).await;
            }
        });
        self.handshakes.push_back(handshake.abort_handle());
        None
    }

    fn refuse(&self, stream: TcpStream, reason: Reason) {
        // Over TLS a refusal would need a handshake.
        if self.settings.acceptor.is_some() {
            return;
        }
        let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() else { return };
        let protocol = self.settings.protocol;
        tokio::spawn(async move {
            let _ = tokio::time::timeout(REFUSAL_TIMEOUT, refuse(stream, protocol, reason)).await;
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

/// Enables TCP keep-alive, so that the operating system notices if the peer's machine no longer answers.
fn keep_alive(stream: &TcpStream, interval: Duration) {
    // The operating system counts in seconds.
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
    settings: &ListenerSettings,
) -> Option<Socket> {
    let made = async {
        let mut first = [0];
        let length = stream.peek(&mut first).await?;
        if length > 0 && first[0] != HANDSHAKE_RECORD {
            return refuse(stream, settings.protocol, Reason::SpeaksTls).await.map(|()| None);
        }
        acceptor.accept(stream).await.map(Some)
    };
    let closed = admitted.peer().close_token().clone();
    let made = tokio::select! {
        made = tokio::time::timeout(settings.limits.handshake_timeout, made) => made,
        () = closed.cancelled() => return None,
    };
    match made {
        Ok(Ok(Some(stream))) => {
            Some(Socket::new(Stream::Tls(Box::new(stream)), admitted, settings.protocol, &settings.limits))
        }
        Ok(Ok(None)) => {
            tracing::debug!(%from, "refused a connection without TLS");
            None
        }
        Ok(Err(error)) => {
            tracing::debug!(%from, error = error.chain(), "TLS handshake failed");
            None
        }
        Err(_) => {
            tracing::debug!(%from, "TLS handshake timed out");
            None
        }
    }
}
