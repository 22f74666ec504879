//! What a receiver and its connections share: the reactions to requests, and the requests.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::watch;

/// The reaction of a receiver to a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Answers with this status and a short body.
    Status(u16),
    /// Answers with this status, headers and body.
    With(u16, Vec<(&'static str, String)>, Bytes),
    /// Answers with this status and the body of the request.
    Echo(u16),
    /// Waits, and then reacts with the other answer.
    After(Duration, Box<Answer>),
    /// Holds the request until [`Receiver::open_gate`](super::Receiver::open_gate), then answers with this status.
    Gate(u16),
    /// Never answers.
    Hang,
    /// Reads the request, then resets the connection (RST).
    Reset,
    /// Answers with 200 and a body that never ends.
    Endless,
    /// Answers with bytes that are not HTTP.
    Garbage,
    /// Answers with one header after another, slowly and without end.
    DripHeaders,
    /// Answers with 200 and the beginning of a body, then resets the connection (RST).
    ResetInBody,
}

/// A received request.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// The path with the query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// The time at which it was complete.
    pub at: Instant,
}

/// Decides the reaction to a request.
pub(super) type Decide = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

impl Seen {
    /// A header as text; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

pub(super) struct State {
    pub(super) answer: Answer,
    pub(super) decide: Option<Decide>,
    pub(super) next: VecDeque<Answer>,
    pub(super) seen: Vec<Seen>,
    pub(super) in_flight: usize,
    pub(super) max_in_flight: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("seen", &self.seen.len()).field("in_flight", &self.in_flight).finish()
    }
}

/// The state that a receiver and its connections share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) gate: watch::Sender<bool>,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a request, which waits from now on, and returns the reaction to it.
    pub(super) fn take(&self, seen: Seen) -> Answer {
        let mut state = self.state();
        let decided = state.decide.as_ref().map(|decide| decide(&seen));
        state.seen.push(seen);
        state.in_flight += 1;
        state.max_in_flight = state.max_in_flight.max(state.in_flight);
        state.next.pop_front().or(decided).unwrap_or_else(|| state.answer.clone())
    }
}
