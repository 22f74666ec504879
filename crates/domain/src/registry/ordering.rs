//! Since when destinations have kept the order of their leads' events.
//!
//! Two parts of the dispatcher share the routing of an event: one for destinations that keep the order, one for the
//! others. They may know the configuration of different times, so both ask what it was when the event was published.

use std::collections::HashMap;

use crate::ids::DestinationId;

/// How many changes of one destination are remembered; events older than those are few.
const MOST_CHANGES: usize = 16;

/// For each destination that ever kept the order: from which registry sequence on it did, or did not.
#[derive(Debug, Clone, Default)]
pub(super) struct Ordering {
    changes: HashMap<DestinationId, Vec<(u64, bool)>>,
}

impl Ordering {
    /// Notes what a destination is like from `sequence` on. What a new one is like holds for its past as well.
    pub(super) fn note(&mut self, id: &DestinationId, sequence: u64, ordered: bool, is_new: bool) {
        match self.changes.get_mut(id) {
            Some(changes) => {
                if changes.last().is_some_and(|(_, before)| *before != ordered) {
                    changes.push((sequence, ordered));
                }
                if changes.len() > MOST_CHANGES {
                    changes.remove(0);
                }
            }
            None if !ordered => {}
            None if is_new => {
                self.changes.insert(id.clone(), vec![(0, true)]);
            }
            None => {
                self.changes.insert(id.clone(), vec![(0, false), (sequence, true)]);
            }
        }
    }

    /// What the destination was like at `sequence`.
    pub(super) fn at(&self, id: &DestinationId, sequence: u64) -> bool {
        let Some(changes) = self.changes.get(id) else { return false };
        let later = changes.partition_point(|(since, _)| *since <= sequence);
        changes.get(later.saturating_sub(1)).is_some_and(|(_, ordered)| *ordered)
    }

    /// Whether any destination ever kept the order.
    pub(super) fn was_ever(&self) -> bool {
        !self.changes.is_empty()
    }
}
