//! Open connections of callers, over HTTP and gRPC together, and their limits.
//!
//! [`Connections`] admits each accepted connection and closes the oldest idle one if a limit is reached, so that
//! accepting never stops. A [`Socket`](socket::Socket) is a connection with its deadlines; [`calls`] are the requests
//! on it. A connection is idle while no complete request head waits for an answer: a half-sent head is not work in
//! flight.

pub(crate) mod calls;
mod limits;
pub(crate) mod measured;
pub(crate) mod methods;
pub(crate) mod server_span;
pub(crate) mod socket;
mod words;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Context,
    time::{Duration, Instant},
};

use futures::task::AtomicWaker;
pub use limits::ConnectionLimits;
use tokio_util::sync::CancellationToken;

use crate::{drain::Drain, serving::shares::Exceeded};

/// How long a connection without a call may send nothing once the drain has begun.
const DRAIN_SILENCE: Duration = Duration::from_secs(1);
/// How often the drain checks for such connections.
const DRAIN_INTERVAL: Duration = Duration::from_millis(100);
/// The minimum time between log lines about limits: an attacker must not fill the log.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The open connections of a process.
#[derive(Debug)]
pub(crate) struct Connections {
    max: usize,
    max_each: usize,
    started: Instant,
    next_id: AtomicU64,
    open: Mutex<Open>,
    logged: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Open {
    all: HashMap<u64, Peer>,
    each: HashMap<Origin, usize>,
}

/// The unit of limits per address: an IPv4 address, or the IPv6 /64 network of a single site. It is in the extensions
/// of every request to the HTTP listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    /// The unit of an address.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                const NETWORK: u128 = u128::MAX << 64;
                Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)))
            }
            IpAddr::V4(address) => Self(IpAddr::V4(address)),
        }
    }
}

/// The peer of a connection, and its activity. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Peer(Arc<Activity>);

#[derive(Debug)]
struct Activity {
    id: u64,
    origin: Origin,
    address: IpAddr,
    started: Instant,
    close: CancellationToken,
    /// Calls without a complete answer.
    calls: AtomicUsize,
    ended_calls: AtomicU64,
    /// When bytes were last sent or received, in milliseconds since the process started to listen.
    moved: AtomicU64,
    /// The task of the socket, which waits for the last call to end.
    reader: AtomicWaker,
}

impl Peer {
    /// The number of the connection, unique in this process.
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    pub(crate) fn origin(&self) -> Origin {
        self.0.origin
    }

    pub(crate) fn address(&self) -> IpAddr {
        self.0.address
    }

    fn moved(&self) {
        let now = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.moved.store(now, Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        self.0.started.elapsed().saturating_sub(Duration::from_millis(self.0.moved.load(Ordering::Relaxed)))
    }

    fn is_idle(&self) -> bool {
        self.0.calls.load(Ordering::Acquire) == 0
    }

    /// Whether the connection is idle. If not, its task is woken once it is.
    fn poll_idle(&self, context: &Context<'_>) -> bool {
        // Registered first: a call that ends in between is seen here.
        self.0.reader.register(context.waker());
        self.is_idle()
    }

    fn ended_calls(&self) -> u64 {
        self.0.ended_calls.load(Ordering::Relaxed)
    }

    pub(crate) fn close_token(&self) -> &CancellationToken {
        &self.0.close
    }
}

/// Counts a connection until it is dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    connections: Arc<Connections>,
    peer: Peer,
}

impl Admitted {
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.connections.open().remove(self.peer.id());
    }
}

impl Open {
    fn remove(&mut self, id: u64) -> Option<Peer> {
        let peer = self.all.remove(&id)?;
        if let Some(count) = self.each.get_mut(&peer.0.origin) {
            *count -= 1;
            if *count == 0 {
                self.each.remove(&peer.0.origin);
            }
        }
        Some(peer)
    }

    /// Closes an idle connection; `false` if none is idle. Connections that have completed no call are closed first,
    /// and among them the oldest, because an honest new client is the youngest of them.
    fn close_idle(&mut self, of: Option<Origin>) -> bool {
        let idle = self.all.values().filter(|peer| peer.is_idle() && of.is_none_or(|origin| peer.0.origin == origin));
        let Some(id) = idle.min_by_key(|peer| (peer.ended_calls() > 0, peer.id())).map(Peer::id) else { return false };
        let closed = self.remove(id);
        closed.inspect(|peer| peer.0.close.cancel()).is_some()
    }
}

impl Connections {
    /// `files` is the number of connections for which the process has file descriptors.
    pub(crate) fn new(limits: &ConnectionLimits, files: usize) -> Arc<Self> {
        let max = limits.max_connections.min(files).max(1);
        let max_each = limits.max_connections_per_address.unwrap_or_else(|| max.div_ceil(2)).clamp(1, max);
        Arc::new(Self {
            max,
            max_each,
            started: Instant::now(),
            next_id: AtomicU64::new(0),
            open: Mutex::default(),
            logged: Mutex::default(),
        })
    }

    /// Admits a connection. Closes an idle one for it if a limit is reached.
    ///
    /// # Errors
    /// If a limit is reached and no other connection is idle.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admitted, Exceeded> {
        let origin = Origin::of(address);
        let mut open = self.open();
        let own = open.each.get(&origin).copied().unwrap_or(0);
        let exceeded = if own >= self.max_each {
            Some((Exceeded::Each(self.max_each), Some(origin)))
        } else if open.all.len() >= self.max {
            Some((Exceeded::Total(self.max), None))
        } else {
            None
        };
        if let Some((exceeded, of)) = exceeded {
            let made_room = open.close_idle(of);
            self.log(exceeded, address, made_room);
            if !made_room {
                return Err(exceeded);
            }
        }
        let peer = Peer(Arc::new(Activity {
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
            origin,
            address,
            started: self.started,
            close: CancellationToken::new(),
            calls: AtomicUsize::new(0),
            ended_calls: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            reader: AtomicWaker::new(),
        }));
        peer.moved();
        *open.each.entry(origin).or_insert(0) += 1;
        open.all.insert(peer.id(), peer.clone());
        drop(open);
        Ok(Admitted { connections: Arc::clone(self), peer })
    }

    /// Closes an idle connection because the process has no file descriptor left; `false` if none is idle.
    pub(crate) fn make_room(&self) -> bool {
        self.open().close_idle(None)
    }

    /// Once the drain has begun, closes connections that are idle and silent, until none is open.
    pub(crate) async fn close_silent(&self, drain: &Drain) {
        drain.stopping().await;
        loop {
            let open: Vec<Peer> = self.open().all.values().cloned().collect();
            if open.is_empty() {
                return;
            }
            for peer in open.iter().filter(|peer| peer.is_idle() && peer.silent_for() >= DRAIN_SILENCE) {
                peer.0.close.cancel();
            }
            tokio::time::sleep(DRAIN_INTERVAL).await;
        }
    }

    fn log(&self, exceeded: Exceeded, address: IpAddr, made_room: bool) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_some_and(|at| at.elapsed() < LOG_INTERVAL) {
            return;
        }
        *logged = Some(Instant::now());
        let limit = limit_of(exceeded);
        if made_room {
            tracing::warn!(%address, "{limit} reached; closed the oldest idle connection for a new one");
        } else {
            tracing::warn!(%address, "{limit} reached and no connection is idle; refused a new one");
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The limit and its setting, as the beginning of a sentence.
pub(crate) fn limit_of(exceeded: Exceeded) -> String {
    match exceeded {
        Exceeded::Each(max) => {
            format!("the limit of {max} connections from one address (--max-connections-per-address) is")
        }
        Exceeded::Total(max) => {
            format!("the limit of {max} connections (--max-connections, or a quarter of the open files) is")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: [IpAddr; 2] =
        [IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2))];

    fn connections(max: usize, max_each: usize) -> Arc<Connections> {
        let limits = ConnectionLimits {
            max_connections: max,
            max_connections_per_address: Some(max_each),
            ..ConnectionLimits::default()
        };
        Connections::new(&limits, usize::MAX)
    }

    fn is_closed(admitted: &Admitted) -> bool {
        admitted.peer.close_token().is_cancelled()
    }

    #[test]
    fn the_oldest_idle_connection_makes_room_for_a_new_one() {
        let all = connections(4, 3);
        let served = all.admit(HERE[0]).unwrap();
        drop(calls::Call::begin(served.peer()));
        let busy = all.admit(HERE[0]).unwrap();
        let call = calls::Call::begin(busy.peer());
        let half_open = all.admit(HERE[0]).unwrap();
        let fourth = all.admit(HERE[0]).unwrap();
        assert_eq!([&served, &busy, &half_open, &fourth].map(is_closed), [false, false, true, false]);
        let fifth = all.admit(HERE[1]).unwrap();
        let sixth = all.admit(HERE[1]).unwrap();
        assert_eq!([&served, &busy, &fourth, &fifth, &sixth].map(is_closed), [false, false, true, false, false]);
        assert_eq!(all.open().all.len(), 4);
        drop(call);
    }

    #[test]
    fn a_connection_is_refused_if_none_is_idle() {
        let all = connections(2, 1);
        let first = all.admit(HERE[0]).unwrap();
        let call = calls::Call::begin(first.peer());
        assert_eq!(all.admit(HERE[0]).unwrap_err(), Exceeded::Each(1));
        let second = all.admit(HERE[1]).unwrap();
        let other_call = calls::Call::begin(second.peer());
        assert_eq!(all.admit("2001:db8::1".parse().unwrap()).unwrap_err(), Exceeded::Total(2));
        drop((first, call));
        let third = all.admit("2001:db8::1".parse().unwrap()).unwrap();
        let third_call = calls::Call::begin(third.peer());
        assert_eq!(all.admit("2001:db8::2".parse().unwrap()).unwrap_err(), Exceeded::Each(1), "the same /64");
        drop((second, other_call, third, third_call));
        assert!(all.open().all.is_empty() && all.open().each.is_empty());
    }

    #[test]
    fn files_bound_the_connections_and_one_address_has_half_of_them() {
        let all = Connections::new(&ConnectionLimits::default(), 100);
        assert_eq!((all.max, all.max_each), (100, 50));
    }
}
