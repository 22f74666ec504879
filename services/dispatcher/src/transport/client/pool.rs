//! Keeps open connections by their origin, and leases them to requests.
//!
//! A connection is used again while it is younger than the maximum age, was not idle for too long and did not fail. An
//! HTTP/2 connection serves as many requests at once as its receiver takes. Further requests get another connection, so
//! that no request waits for a stream while its timeout runs. While the protocol of a receiver is unknown, one request
//! opens a connection and the others wait, because they may share it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::delivery::HttpVersion;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    connect::{Call, Connected},
    http1::Http1,
    http2::{Http2, Http2Stream},
    origin::Origin,
};
use crate::transport::failure::Failure;

/// How long an idle connection is kept for the next request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// The interval of checks for idle connections to close.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long a connection is used. After that time a changed address of its host is noticed.
    pub(super) max_age: Duration,
    /// The maximum number of idle HTTP/1.1 connections, for all origins.
    pub(super) max_idle: usize,
}

#[derive(Debug)]
pub(super) struct Pool {
    origins: Mutex<HashMap<Origin, Arc<Entry>>>,
    idle: AtomicUsize,
    limits: Limits,
}

/// The connections to one origin.
#[derive(Debug, Default)]
struct Entry {
    state: Mutex<State>,
    /// Notified when a connection attempt has ended, or a stream is free.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The most recently used connection is the last.
    #[allow(clippy::vec_box)] // A lease is passed on by value, so it has the box anyway.
    idle: Vec<Box<Http1>>,
    shared: Vec<Arc<Http2>>,
    speaks: Speaks,
    /// The number of requests that the latest HTTP/2 connection takes at a time.
    streams: usize,
    dialing: usize,
    /// The number of requests without a connection.
    wanting: usize,
}

/// The protocol of a receiver, if it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Speaks {
    #[default]
    Unknown,
    Http1,
    Http2,
    /// The receiver chose HTTP/2 in the handshake, and then required HTTP/1.1.
    Http1Alone,
}

/// A connection for one request.
#[derive(Debug)]
pub(super) enum Lease {
    Http1(Http1Lease),
    Http2(Http2Lease),
}

impl Lease {
    pub(super) const fn is_reused(&self) -> bool {
        match self {
            Self::Http1(lease) => lease.reused,
            Self::Http2(lease) => lease.stream.reused,
        }
    }
}

impl Lease {
    /// The peer and protocol of the connection. HTTP/1.0 is known only from the answer.
    pub(super) fn is_to(&self) -> (Option<SocketAddr>, HttpVersion) {
        match self {
            Self::Http1(lease) => (lease.connection.peer, HttpVersion::Http11),
            Self::Http2(lease) => (lease.stream.peer(), HttpVersion::Http2),
        }
    }
}

/// An HTTP/1.1 connection. Dropping the lease closes it.
#[derive(Debug)]
pub(super) struct Http1Lease {
    pub(super) connection: Box<Http1>,
    reused: bool,
    entry: Arc<Entry>,
}

/// A stream of an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Http2Lease {
    // Declared first: the stream is free before waiting requests are notified.
    pub(super) stream: Http2Stream,
    _notify: NotifyOnDrop,
}

/// Notifies the requests that wait for a connection when it is dropped.
#[derive(Debug)]
struct NotifyOnDrop(Arc<Entry>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.changed.notify_waiters();
    }
}

/// Counts a request without a connection until it is dropped.
struct Wanting<'a>(&'a Entry);

impl Drop for Wanting<'_> {
    fn drop(&mut self) {
        self.0.state().wanting -= 1;
    }
}

/// Counts a connection attempt until it is dropped.
struct Dialing<'a>(&'a Entry);

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        self.0.state().dialing -= 1;
        self.0.changed.notify_waiters();
    }
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a request may open a connection. Otherwise it waits for the connections that are being opened.
    fn may_dial(&self) -> bool {
        match self.speaks {
            Speaks::Http1 | Speaks::Http1Alone => true,
            Speaks::Unknown => self.dialing == 0,
            Speaks::Http2 => self.dialing.saturating_mul(self.streams) < self.wanting,
        }
    }
}

impl Pool {
    pub(super) fn new(limits: Limits) -> Self {
        Self { origins: Mutex::default(), idle: AtomicUsize::new(0), limits }
    }

    /// An open or new connection for a request. With `since`, only one that was opened after that time.
    pub(super) async fn lease(&self, call: Call<'_>, since: Option<Instant>) -> Result<Lease, Failure> {
        let entry = self.entry(call.origin);
        if let Some(lease) = self.open_one(&entry, &mut entry.state(), since) {
            return Ok(lease);
        }
        entry.state().wanting += 1;
        let _wanting = Wanting(&entry);
        loop {
            let mut changed = pin!(entry.changed.notified());
            let (dialing, http1_alone) = {
                let mut state = entry.state();
                if let Some(lease) = self.open_one(&entry, &mut state, since) {
                    return Ok(lease);
                }
                changed.as_mut().enable();
                let may = state.may_dial();
                state.dialing += usize::from(may);
                (may.then(|| Dialing(&entry)), state.speaks == Speaks::Http1Alone)
            };
            match dialing {
                // Boxed, because this future is large and seldom needed.
                Some(_dialing) => return Ok(add(&entry, Box::pin(call.dial(http1_alone)).await?)),
                None => changed.await,
            }
        }
    }

    /// Takes back a connection that can serve another request.
    pub(super) fn put_back(&self, lease: Http1Lease) {
        let mut connection = lease.connection;
        connection.idle_since = Instant::now();
        if self.idle.fetch_add(1, Ordering::Relaxed) >= self.limits.max_idle {
            self.idle.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        lease.entry.state().idle.push(connection);
    }

    /// Stops offering HTTP/2 to this receiver.
    pub(super) fn speak_http1(&self, origin: &Origin) {
        let entry = self.entry(origin);
        let mut state = entry.state();
        state.speaks = Speaks::Http1Alone;
        state.shared.clear();
    }

    /// Closes idle connections, because this process has reached its limit of open files.
    pub(super) fn close_idle(&self) {
        let entries: Vec<_> = self.origins().values().cloned().collect();
        for entry in entries {
            let closed = std::mem::take(&mut entry.state().idle);
            self.idle.fetch_sub(closed.len(), Ordering::Relaxed);
        }
    }

    /// Closes idle connections that are too old, or that their receivers have closed.
    pub(super) async fn sweep(pool: std::sync::Weak<Self>) {
        let mut ticks = interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let Some(pool) = pool.upgrade() else { return };
            pool.sweep_once(Instant::now());
        }
    }

    pub(super) fn sweep_once(&self, now: Instant) {
        let mut origins = self.origins();
        origins.retain(|_, entry| {
            let mut state = entry.state();
            let before = state.idle.len();
            state.idle.retain_mut(|connection| {
                !self.is_over(connection.opened_at, connection.idle_since, now) && connection.is_usable()
            });
            self.idle.fetch_sub(before - state.idle.len(), Ordering::Relaxed);
            state.shared.retain(|connection| {
                let over = connection.is_idle() && self.is_over(connection.opened_at, connection.idle_since(), now);
                connection.is_usable() && !over
            });
            // A task that holds the entry may still put a connection into it.
            Arc::strong_count(entry) > 1 || !state.idle.is_empty() || !state.shared.is_empty()
        });
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.origins().is_empty()
    }

    fn is_over(&self, opened_at: Instant, idle_since: Instant, now: Instant) -> bool {
        self.is_old(opened_at, now) || now.duration_since(idle_since) >= IDLE_TIMEOUT
    }

    fn is_old(&self, opened_at: Instant, now: Instant) -> bool {
        now.duration_since(opened_at) >= self.limits.max_age
    }

    fn origins(&self) -> MutexGuard<'_, HashMap<Origin, Arc<Entry>>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry(&self, origin: &Origin) -> Arc<Entry> {
        let mut origins = self.origins();
        if let Some(entry) = origins.get(origin) {
            return Arc::clone(entry);
        }
        let entry = Arc::<Entry>::default();
        if !origin.https {
            entry.state().speaks = Speaks::Http1;
        }
        origins.insert(origin.clone(), Arc::clone(&entry));
        entry
    }

    /// Takes an open connection that can be used.
    fn open_one(&self, entry: &Arc<Entry>, state: &mut State, since: Option<Instant>) -> Option<Lease> {
        let now = Instant::now();
        while since.is_none()
            && let Some(mut connection) = state.idle.pop()
        {
            self.idle.fetch_sub(1, Ordering::Relaxed);
            if !self.is_over(connection.opened_at, connection.idle_since, now) && connection.is_usable() {
                let entry = Arc::clone(entry);
                return Some(Lease::Http1(Http1Lease { connection, reused: true, entry }));
            }
        }
        state.shared.retain(|connection| connection.is_usable() && !self.is_old(connection.opened_at, now));
        let fresh = |connection: &&Arc<Http2>| since.is_none_or(|since| connection.opened_at >= since);
        let stream = state.shared.iter().filter(fresh).find_map(Http2::stream)?;
        Some(Lease::Http2(Http2Lease { stream, _notify: NotifyOnDrop(Arc::clone(entry)) }))
    }
}

/// Adds a new connection, and leases it to the request that opened it.
fn add(entry: &Arc<Entry>, connected: Connected) -> Lease {
    let mut state = entry.state();
    match connected {
        Connected::Http1(connection) => {
            if state.speaks != Speaks::Http1Alone {
                state.speaks = Speaks::Http1;
            }
            Lease::Http1(Http1Lease { connection, reused: false, entry: Arc::clone(entry) })
        }
        Connected::Http2(connection) => {
            state.speaks = Speaks::Http2;
            state.streams = connection.limit();
            let connection = Arc::new(connection);
            let stream = connection.first_stream();
            state.shared.push(connection);
            Lease::Http2(Http2Lease { stream, _notify: NotifyOnDrop(Arc::clone(entry)) })
        }
    }
}
