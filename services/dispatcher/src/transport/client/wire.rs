//! The record that a request keeps about its connection: the peer, the HTTP version, and how long each step took.

use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::delivery::{HttpVersion, Times};
use tokio::time::Instant;

/// The record, filled in while a request is made. A cancelled step adds nothing to it.
#[derive(Debug, Default)]
pub(crate) struct Wire(Mutex<Seen>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) version: Option<HttpVersion>,
    pub(crate) times: Times,
}

impl Wire {
    pub(crate) fn seen(&self) -> Seen {
        *self.lock()
    }

    pub(super) fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.lock());
    }

    /// Awaits a step and notes how long it took.
    pub(super) async fn time<T>(
        &self,
        step: impl FnOnce(&mut Times) -> &mut Option<Duration>,
        work: impl Future<Output = T>,
    ) -> T {
        let began = Instant::now();
        let done = work.await;
        *step(&mut self.lock().times) = Some(began.elapsed());
        done
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
