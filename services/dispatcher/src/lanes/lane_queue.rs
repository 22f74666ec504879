//! Work that waits in memory for its lane.
//!
//! A lane that makes progress finishes its queue within [`PATIENCE`], and parking that work would cost more than
//! sending it. A stalled lane may queue only [`STALLED_LANE_LIMIT`] items. All queues together are bounded by the
//! number of unacknowledged messages that the broker delivers.
//!
//! While [`ROUTING_LIMIT`] items wait, no further events are routed. An event that waits in the broker costs nothing,
//! but a parked item has to be stored and read again. An item that a stalled lane cannot take is parked, and counts
//! until the broker has stored it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use journal::Traffic;
use tokio::time::Instant;

use crate::{
    lanes::counter::{CountGuard, Counter},
    work_item::WorkItem,
};

/// How long work waits in a lane queue before it is parked; well below `journal::ACK_WAIT`, within which its message
/// must be acknowledged.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
/// How many items a stalled lane may queue.
const STALLED_LANE_LIMIT: usize = 256;
/// How many items a lane that makes progress may queue.
const MOVING_LANE_LIMIT: usize = 4_096;
/// How many items all lanes may queue before each of them may queue only [`STALLED_LANE_LIMIT`].
const MAX_WAITING: usize = 8_192;

/// Limits of the items that wait in all lanes together. At the first limit no more events of bursts are routed, at the
/// second limit no more events at all. Lanes that make progress finish these items well within [`PATIENCE`].
const BURST_ROUTING_LIMIT: usize = 1_024;
const ROUTING_LIMIT: usize = 2_048;

/// Waits until all lanes of this process together have room for the work of another event. `in_all` counts the items in
/// lane queues and those that are being parked, held or abandoned.
pub(crate) async fn room_for(traffic: Traffic, in_all: &Counter) {
    let max = match traffic {
        Traffic::Steady => ROUTING_LIMIT,
        Traffic::Burst => BURST_ROUTING_LIMIT,
    };
    in_all.fewer_than(max).await;
}

/// The queued work of one lane, oldest first.
#[derive(Debug)]
pub(crate) struct LaneQueue {
    items: VecDeque<(Instant, WorkItem, CountGuard)>,
    in_all: Arc<Counter>,
    moved: Instant,
}

impl LaneQueue {
    pub(crate) fn new(in_all: Arc<Counter>) -> Self {
        Self { items: VecDeque::new(), in_all, moved: Instant::now() }
    }

    /// Whether another item may be queued.
    pub(crate) fn has_room(&self) -> bool {
        let moves = self.moved.elapsed() < PATIENCE && self.in_all.count() < MAX_WAITING;
        self.items.len() < if moves { MOVING_LANE_LIMIT } else { STALLED_LANE_LIMIT }
    }

    /// Notes that the lane made progress.
    pub(crate) fn moved(&mut self) {
        self.moved = Instant::now();
    }

    pub(crate) fn push(&mut self, item: WorkItem) {
        self.items.push_back((Instant::now(), item, self.in_all.add()));
    }

    pub(crate) fn pop(&mut self) -> Option<WorkItem> {
        self.items.pop_front().map(|(_, item, _)| item)
    }

    /// The oldest item, if it has waited for [`PATIENCE`].
    pub(crate) fn pop_overdue(&mut self) -> Option<WorkItem> {
        self.items.front().is_some_and(|(since, ..)| since.elapsed() >= PATIENCE).then(|| self.pop()).flatten()
    }

    /// When the oldest item will have waited for [`PATIENCE`]; `None` if the queue is empty.
    pub(crate) fn patient_until(&self) -> Option<Instant> {
        self.items.front().map(|(since, ..)| *since + PATIENCE)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
