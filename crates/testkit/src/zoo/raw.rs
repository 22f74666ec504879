//! Receivers that write HTTP/1.1 byte by byte, so that they can break rules that every library keeps.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;

use crate::{port, tls::Certificate};

/// The maximum size of the head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// The pause before a reset, which would otherwise overtake the written bytes.
const ARRIVAL: Duration = Duration::from_millis(50);

/// An answer that every client accepts.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// How a receiver treats its connections.
#[derive(Debug, Clone)]
pub enum Habit {
    /// Answers each request with these bytes and keeps the connection.
    Says(&'static [u8]),
    /// Answers with these bytes and closes the connection.
    SaysAndCloses(&'static [u8]),
    /// Answers with these bytes, then writes nothing and keeps the connection.
    SaysAndHangs(&'static [u8]),
    /// Answers with these bytes as soon as it has read the head of a request, then resets the connection.
    SaysBeforeTheBody(&'static [u8]),
    /// Answers the first request of each connection, and closes it (FIN) when the second arrives.
    ClosesAtTheSecond,
    /// The same, with a reset (RST).
    ResetsAtTheSecond,
    /// Closes a connection (FIN) when its first request arrives.
    ClosesAtTheFirst,
    /// Answers the first request of each connection, and closes it after the first byte of the second answer.
    BreaksOffAtTheSecond,
    /// Begins the TLS handshake after this time; `None` if it never begins.
    Slow(Option<Duration>),
}

/// A received request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSeen {
    /// The number of its connection, from 1.
    pub connection: usize,
    /// Its event id, or else its `webhook-id`; empty if there is none.
    pub id: String,
    /// Its head, unchanged.
    pub head: String,
}

/// A receiver with a peculiarity. It ends, with its connections, when it is dropped.
#[derive(Debug)]
pub struct RawReceiver {
    address: SocketAddr,
    https: bool,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    habit: Habit,
    connections: AtomicUsize,
    seen: Mutex<Vec<RawSeen>>,
}

impl RawReceiver {
    /// Starts a receiver on any free port of 127.0.0.1.
    pub async fn start(habit: Habit) -> Self {
        Self::listen(port::listen(0).await, habit, None)
    }

    /// Starts a receiver that speaks TLS as `localhost`, with HTTP/1.1 only.
    pub async fn start_tls(habit: Habit, certificate: &Certificate) -> Self {
        Self::listen(port::listen(0).await, habit, Some(certificate))
    }

    /// Starts a receiver at another address of this machine.
    ///
    /// # Panics
    /// If the address is taken.
    pub async fn start_at(address: SocketAddr, habit: Habit, certificate: Option<&Certificate>) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address is free");
        Self::listen(listener, habit, certificate)
    }

    fn listen(listener: TcpListener, habit: Habit, certificate: Option<&Certificate>) -> Self {
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared { habit, connections: AtomicUsize::new(0), seen: Mutex::default() });
        let tls = certificate.map(Certificate::acceptor);
        let accepting = Arc::clone(&shared);
        let accepting = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, tls) = (Arc::clone(&accepting), tls.clone());
                let number = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
                connections.spawn(async move {
                    if let Habit::Slow(pause) = shared.habit {
                        match pause {
                            Some(pause) => tokio::time::sleep(pause).await,
                            None => std::future::pending().await,
                        }
                    }
                    // An error of the client's connection is not a failure of the receiver.
                    let _ = match tls {
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, |s| s.get_ref().0, number, &shared).await,
                            Err(error) => Err(error),
                        },
                        None => serve(stream, |stream| stream, number, &shared).await,
                    };
                });
                while connections.try_join_next().is_some() {}
            }
        }));
        Self { address, https: certificate.is_some(), shared, _accepting: accepting }
    }

    /// The URL for requests.
    pub fn url(&self) -> String {
        let (scheme, host) = if self.https { ("https", "localhost") } else { ("http", "127.0.0.1") };
        format!("{scheme}://{host}:{}/hook", self.address.port())
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The number of its connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Every request that it read, the oldest first.
    pub fn requests(&self) -> Vec<RawSeen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    tcp: impl Fn(&S) -> &TcpStream,
    connection: usize,
    shared: &Shared,
) -> io::Result<()> {
    for number in 1.. {
        let mut first = [0];
        stream.read_exact(&mut first).await?;
        match (&shared.habit, number) {
            (Habit::ClosesAtTheFirst, _) => return Ok(()),
            (Habit::ClosesAtTheSecond, 2) => {
                // Unread bytes would turn the close into a reset.
                read_request(&mut stream, first[0], true).await?;
                return Ok(());
            }
            (Habit::ResetsAtTheSecond, 2) => return tcp(&stream).set_zero_linger(),
            _ => {}
        }
        let whole = !matches!(shared.habit, Habit::SaysBeforeTheBody(_));
        let head = read_request(&mut stream, first[0], whole).await?;
        let id = header(&head, "leadline-event-id").or(header(&head, "webhook-id")).unwrap_or_default().to_owned();
        let seen = RawSeen { connection, id, head };
        shared.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        match &shared.habit {
            Habit::Says(bytes) => stream.write_all(bytes).await?,
            Habit::SaysAndCloses(bytes) => {
                stream.write_all(bytes).await?;
                return stream.shutdown().await;
            }
            Habit::SaysAndHangs(bytes) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
                // This waits until the client closes the connection.
                stream.read_exact(&mut first).await?;
            }
            Habit::SaysBeforeTheBody(bytes) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
                tokio::time::sleep(ARRIVAL).await;
                return tcp(&stream).set_zero_linger();
            }
            Habit::BreaksOffAtTheSecond if number == 2 => {
                stream.write_all(b"H").await?;
                return stream.shutdown().await;
            }
            _ => stream.write_all(OK).await?,
        }
        stream.flush().await?;
    }
    Ok(())
}

/// Reads the rest of a request that begins with these bytes, and returns its head.
async fn read_request(stream: &mut (impl AsyncRead + Unpin), first: u8, whole: bool) -> io::Result<String> {
    let mut head = vec![first];
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let length = header(&head, "content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if whole {
        stream.read_exact(&mut vec![0; length]).await?;
    }
    Ok(head)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
}

/// An address of this machine that does not answer connection attempts, and the sockets that hold it. `last` is the
/// last part of 127.0.0.x, so that a receiver may listen on the same port of another address.
///
/// # Panics
/// If the address is taken.
pub async fn black_hole(last: u8, port: u16) -> impl Sized {
    let address = SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port));
    let socket = TcpSocket::new_v4().expect("a socket can be made");
    socket.set_reuseaddr(true).expect("a socket has options");
    socket.bind(address).expect("the address is free");
    let listener = socket.listen(1).expect("a socket can listen");
    // These connections are not accepted: the queue is full, and the kernel drops further attempts.
    let mut queue = vec![];
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        queue.push(stream);
    }
    (listener, queue)
}
