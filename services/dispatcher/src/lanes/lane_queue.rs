//! Work that waits in memory for its lane.
//!
//! A lane that makes progress gets through its queue within [`PATIENCE`]; parking that work would cost more than
//! sending it. A lane that stands still gets little room. All lanes together hold no more than the broker delivers at
//! once.
//!
//! While much work waits, no further events are routed: events in the broker cost nothing, and parking costs as much
//! as sending. Work that a stalled lane cannot take is parked, and counts until the broker has stored it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use journal::Traffic;
use tokio::time::Instant;

use crate::{
    lanes::counter::{CountGuard, Counter},
    work_item::WorkItem,
};

/// How long work waits for its lane before it is parked; well below the time in which it has to be acknowledged.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// How much waits for a lane that stands still.
const STALLED_LANE_LIMIT: usize = 256;
/// How much waits for a lane that moves.
const MOVING_LANE_LIMIT: usize = 4_096;
/// How much waits for all lanes before none gets more than a few.
const MAX_WAITING: usize = 8_192;

/// How much waits for all lanes before no further events of bursts are routed, and before none are. It is done well within
/// [`PATIENCE`] unless a lane stands still.
const BURST_ROUTING_LIMIT: usize = 1_024;
const ROUTING_LIMIT: usize = 2_048;

/// Waits until there is room for what comes of another event, if so much waits for all lanes of this process or is being
/// set aside for them.
pub(crate) async fn room_for(traffic: Traffic, in_all: &Counter) {
    let most = match traffic {
        Traffic::Steady => ROUTING_LIMIT,
        Traffic::Burst => BURST_ROUTING_LIMIT,
    };
    in_all.fewer_than(most).await;
}

/// What waits for one lane, the oldest first.
#[derive(Debug)]
pub(crate) struct LaneQueue {
    items: VecDeque<(Instant, WorkItem, CountGuard)>,
    in_all: Arc<Counter>,
    moved: Instant,
}

impl LaneQueue {
    /// Nothing yet.
    pub(crate) fn new(in_all: Arc<Counter>) -> Self {
        Self { items: VecDeque::new(), in_all, moved: Instant::now() }
    }

    /// Whether more may wait.
    pub(crate) fn has_room(&self) -> bool {
        let moves = self.moved.elapsed() < PATIENCE && self.in_all.count() < MAX_WAITING;
        self.items.len() < if moves { MOVING_LANE_LIMIT } else { STALLED_LANE_LIMIT }
    }

    /// The lane got something done.
    pub(crate) fn moved(&mut self) {
        self.moved = Instant::now();
    }

    pub(crate) fn push(&mut self, item: WorkItem) {
        self.items.push_back((Instant::now(), item, self.in_all.add()));
    }

    pub(crate) fn pop(&mut self) -> Option<WorkItem> {
        self.items.pop_front().map(|(_, item, _)| item)
    }

    /// The oldest, if its patience is at an end.
    pub(crate) fn pop_impatient(&mut self) -> Option<WorkItem> {
        self.items.front().is_some_and(|(since, ..)| since.elapsed() >= PATIENCE).then(|| self.pop()).flatten()
    }

    /// When the patience of the oldest is at an end.
    pub(crate) fn patient_until(&self) -> Option<Instant> {
        self.items.front().map(|(since, ..)| *since + PATIENCE)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
