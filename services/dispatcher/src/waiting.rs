//! Work that waits in memory for its lane.
//!
//! A lane that moves along gets through much within [`PATIENCE`], and parking that would cost more than sending it. One
//! that stands still gets little room, and all lanes together no more than the broker hands out at once.
//!
//! While much waits, no further events are routed: as events in the broker they cost nothing, and what is parked costs as
//! much as what is sent. What a lane that stands still cannot take is parked, and counts until the broker has it.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use journal::Traffic;
use tokio::{sync::Notify, time::Instant};

use crate::lane::Job;

/// How long work waits for its lane before it is parked; well below the time in which it has to be acknowledged.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// How much waits for a lane that stands still.
const FEW: usize = 256;
/// How much waits for a lane that moves.
const MANY: usize = 4_096;
/// How much waits for all lanes before none gets more than a few.
const MOST_IN_ALL: usize = 8_192;

/// How much waits for all lanes before no further events of bursts are routed, and before none are. It is done well within
/// [`PATIENCE`] unless a lane stands still.
const MUCH: usize = 1_024;
const VERY_MUCH: usize = 2_048;

/// How much waits for all lanes of this process, or is being set aside for them.
#[derive(Debug, Default)]
pub(crate) struct InAll {
    count: AtomicUsize,
    fell: Notify,
}

impl InAll {
    /// Waits until there is room for what comes of another event.
    pub(crate) async fn has_room_for(&self, traffic: Traffic) {
        let most = match traffic {
            Traffic::Steady => VERY_MUCH,
            Traffic::Burst => MUCH,
        };
        while self.count() >= most {
            let fell = self.fell.notified();
            if self.count() >= most {
                fell.await;
            }
        }
    }

    /// Counts a job that does not wait for its lane, because it is set aside, until this is dropped.
    pub(crate) fn counting(self: &Arc<Self>) -> impl Drop + Send + use<> {
        self.add();
        Counted(Arc::clone(self))
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn remove(&self, count: usize) {
        let before = self.count.fetch_sub(count, Ordering::Relaxed);
        if [MUCH, VERY_MUCH].into_iter().any(|mark| before >= mark && before - count < mark) {
            self.fell.notify_waiters();
        }
    }
}

struct Counted(Arc<InAll>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.remove(1);
    }
}

/// What waits for one lane, the oldest first.
#[derive(Debug)]
pub(crate) struct Waiting {
    jobs: VecDeque<(Instant, Job)>,
    in_all: Arc<InAll>,
    moved: Instant,
}

impl Waiting {
    /// Nothing yet.
    pub(crate) fn new(in_all: Arc<InAll>) -> Self {
        Self { jobs: VecDeque::new(), in_all, moved: Instant::now() }
    }

    /// Whether more may wait.
    pub(crate) fn has_room(&self) -> bool {
        let moves = self.moved.elapsed() < PATIENCE && self.in_all.count() < MOST_IN_ALL;
        self.jobs.len() < if moves { MANY } else { FEW }
    }

    /// The lane got something done.
    pub(crate) fn moved(&mut self) {
        self.moved = Instant::now();
    }

    pub(crate) fn push(&mut self, job: Job) {
        self.jobs.push_back((Instant::now(), job));
        self.in_all.add();
    }

    pub(crate) fn pop(&mut self) -> Option<Job> {
        let (_, job) = self.jobs.pop_front()?;
        self.in_all.remove(1);
        Some(job)
    }

    /// The oldest, if its patience is at an end.
    pub(crate) fn pop_impatient(&mut self) -> Option<Job> {
        self.jobs.front().is_some_and(|(since, _)| since.elapsed() >= PATIENCE).then(|| self.pop()).flatten()
    }

    /// When the patience of the oldest is at an end.
    pub(crate) fn patient_until(&self) -> Option<Instant> {
        self.jobs.front().map(|(since, _)| *since + PATIENCE)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.in_all.remove(self.jobs.len());
    }
}
