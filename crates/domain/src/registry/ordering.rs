//! Since when destinations have kept the order of their leads' events.
//!
//! Two parts of the dispatcher share the routing of events: one for accounts with a destination that keeps the order, one
//! for the others. They may know the configuration of different times, so both ask what it was when the event was
//! published.

use std::collections::HashMap;

use crate::ids::{AccountId, DestinationId};

/// How many changes of one destination are remembered; events older than those are few.
const MOST_CHANGES: usize = 256;

/// From which registry sequence on a destination did, or did not; the oldest change first.
type Changes = Vec<(u64, bool)>;

/// For each destination that ever kept the order, when it began and ceased to.
#[derive(Debug, Clone, Default)]
pub(super) struct Ordering {
    of: HashMap<AccountId, HashMap<DestinationId, Changes>>,
}

impl Ordering {
    /// Notes what a destination is like from `sequence` on.
    pub(super) fn note(&mut self, account: &AccountId, id: &DestinationId, sequence: u64, ordered: bool) {
        let known = self.of.get(account).is_some_and(|destinations| destinations.contains_key(id));
        if !known && !ordered {
            return;
        }
        let changes = self.of.entry(account.clone()).or_default().entry(id.clone()).or_default();
        if changes.last().is_some_and(|(_, before)| *before) != ordered {
            changes.push((sequence, ordered));
        }
        if changes.len() > MOST_CHANGES {
            changes.remove(0);
        }
    }

    /// What a destination was like at `sequence`.
    pub(super) fn at(&self, account: &AccountId, id: &DestinationId, sequence: u64) -> bool {
        self.of.get(account).and_then(|destinations| destinations.get(id)).is_some_and(|changes| was(changes, sequence))
    }

    /// Whether any destination of an account kept the order at `sequence`.
    pub(super) fn anywhere_in(&self, account: &AccountId, sequence: u64) -> bool {
        self.of.get(account).is_some_and(|destinations| destinations.values().any(|changes| was(changes, sequence)))
    }

    /// Whether any destination ever kept the order.
    pub(super) fn was_ever(&self) -> bool {
        !self.of.is_empty()
    }
}

fn was(changes: &Changes, sequence: u64) -> bool {
    let later = changes.partition_point(|(since, _)| *since <= sequence);
    later.checked_sub(1).and_then(|last| changes.get(last)).is_some_and(|(_, ordered)| *ordered)
}
