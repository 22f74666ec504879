//! When destinations were ordered.
//!
//! The sequencer routes the events of accounts with an ordered destination, and the router all others. Their registry
//! views may differ in age, so both use the configuration of the time at which the event was published.

use std::collections::HashMap;

use crate::ids::{AccountId, DestinationId};

/// The maximum number of changes remembered for each destination. Few events are older than the oldest of these
/// changes.
const MAX_CHANGES: usize = 256;

/// Registry sequences, and whether the destination was ordered from then on; the oldest change first.
type Changes = Vec<(u64, bool)>;

/// The changes of each destination that was ever ordered.
#[derive(Debug, Clone, Default)]
pub(in crate::registry) struct Ordering {
    of: HashMap<AccountId, HashMap<DestinationId, Changes>>,
}

impl Ordering {
    /// Notes whether a destination is ordered from `sequence` on.
    pub(in crate::registry) fn note(&mut self, account: &AccountId, id: &DestinationId, sequence: u64, ordered: bool) {
        let known = self.of.get(account).is_some_and(|destinations| destinations.contains_key(id));
        if !known && !ordered {
            return;
        }
        let changes = self.of.entry(account.clone()).or_default().entry(id.clone()).or_default();
        if changes.last().is_some_and(|(_, before)| *before) != ordered {
            changes.push((sequence, ordered));
        }
        if changes.len() > MAX_CHANGES {
            changes.remove(0);
        }
    }

    /// Whether a destination was ordered at `sequence`.
    pub(in crate::registry) fn at(&self, account: &AccountId, id: &DestinationId, sequence: u64) -> bool {
        self.of.get(account).and_then(|destinations| destinations.get(id)).is_some_and(|changes| was(changes, sequence))
    }

    /// Whether any destination of an account was ordered at `sequence`.
    pub(in crate::registry) fn anywhere_in(&self, account: &AccountId, sequence: u64) -> bool {
        self.of.get(account).is_some_and(|destinations| destinations.values().any(|changes| was(changes, sequence)))
    }

    /// Whether any destination was ever ordered.
    pub(in crate::registry) fn was_ever(&self) -> bool {
        !self.of.is_empty()
    }
}

fn was(changes: &Changes, sequence: u64) -> bool {
    let later = changes.partition_point(|(since, _)| *since <= sequence);
    later.checked_sub(1).and_then(|last| changes.get(last)).is_some_and(|(_, ordered)| *ordered)
}
