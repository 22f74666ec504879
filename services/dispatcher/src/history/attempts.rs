//! The attempts in flight and the recent attempts of this process. A redelivered message, or a timer that fires twice,
//! repeats no attempt.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{AttemptId, DeliveryId, DestinationId};
use journal::Attempted;
use moka::{policy::EvictionPolicy, sync::Cache};
use runtime::{Begun, KeysInFlight};
use tokio::sync::Mutex;

use crate::{
    fifo_cache::FifoCache,
    history::range::{HOLDS_FOR, ReadRange},
};

/// The maximum number of deliveries whose latest attempt is remembered, and for how long.
const MAX_DELIVERIES: usize = 200_000;
const MAX_AGE: Duration = HOLDS_FOR.saturating_mul(2);
/// The maximum number of destinations whose read range is remembered.
const MAX_RANGES: u64 = 10_000;

/// An attempt: delivery, round and number.
pub(crate) type Key = (DeliveryId, u32, u32);

/// An attempt, and the executions of it that are recorded as begun.
#[derive(Debug, Clone)]
struct BegunOf {
    attempt: u32,
    /// Whether the process survived each execution. Known only for executions of this process.
    executions: HashMap<AttemptId, bool>,
}

/// The attempts that this process knows.
#[derive(Debug)]
pub(crate) struct AttemptHistory {
    in_flight: KeysInFlight<Key>,
    made: FifoCache<DeliveryId, Attempted>,
    begun: FifoCache<DeliveryId, BegunOf>,
    ranges: Cache<DestinationId, Arc<Mutex<Option<ReadRange>>>>,
}

impl Default for AttemptHistory {
    fn default() -> Self {
        let ranges = Cache::builder().max_capacity(MAX_RANGES);
        Self {
            in_flight: KeysInFlight::default(),
            made: FifoCache::new(MAX_DELIVERIES, MAX_AGE),
            begun: FifoCache::new(MAX_DELIVERIES, MAX_AGE),
            ranges: ranges.eviction_policy(EvictionPolicy::lru()).build(),
        }
    }
}

impl AttemptHistory {
    /// Begins an attempt, unless it is in flight.
    pub(crate) fn begin(&self, key: Key) -> Option<Begun<'_, Key>> {
        self.in_flight.begin(key)
    }

    /// Whether this process knows this attempt or a later one of the delivery; if so, whether the round ended with it.
    /// An attempt of an earlier round is never later, even with a higher number: it may have been in flight when the
    /// round was requested.
    pub(crate) fn made(&self, (delivery, round, attempt): Key) -> Option<bool> {
        let made = self.made.get(&delivery).filter(|made| made.attempt >= attempt && made.round >= round)?;
        Some(made.ended || made.round > round)
    }

    /// Notes that an attempt was made.
    pub(crate) fn remember(&self, delivery: DeliveryId, made: Attempted) {
        self.made.put(delivery, 1, |known| known.map_or(made, |known| known.max(made)));
    }

    /// Notes that an execution of an attempt is recorded as begun.
    pub(crate) fn remember_begun(&self, delivery: DeliveryId, attempt: u32, execution: AttemptId) {
        self.note_execution(delivery, attempt, execution, false);
    }

    /// Notes that this process made the request of an execution, and survived that.
    pub(crate) fn remember_survived(&self, delivery: DeliveryId, attempt: u32, execution: AttemptId) {
        self.note_execution(delivery, attempt, execution, true);
    }

    fn note_execution(&self, delivery: DeliveryId, attempt: u32, execution: AttemptId, survived: bool) {
        self.begun.put(delivery, 1, |known| {
            let mut known = known
                .filter(|known| known.attempt >= attempt)
                .unwrap_or_else(|| BegunOf { attempt, executions: HashMap::new() });
            if known.attempt == attempt {
                *known.executions.entry(execution).or_default() |= survived;
            }
            known
        });
    }

    /// The number of executions of an attempt that are recorded as begun and may have killed their process.
    pub(crate) fn begun(&self, (delivery, _, attempt): Key) -> usize {
        let known = self.begun.get(&delivery).filter(|known| known.attempt == attempt);
        known.map_or(0, |known| known.executions.values().filter(|survived| !**survived).count())
    }

    /// The part of a destination's log that was read. A task holds the lock while it reads the log.
    pub(crate) fn read_range(&self, destination: &DestinationId) -> Arc<Mutex<Option<ReadRange>>> {
        self.ranges.get_with_by_ref(destination, Arc::default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(n)
    }

    #[test]
    fn an_execution_that_this_process_survived_does_not_count() {
        let (history, delivery) = (AttemptHistory::default(), DeliveryId::from_uuid(id(1)));
        let begun = || history.begun((delivery, 0, 2));
        for n in 1..=3 {
            history.remember_begun(delivery, 2, AttemptId::from_uuid(id(n)));
        }
        assert_eq!(begun(), 3);
        history.remember_survived(delivery, 2, AttemptId::from_uuid(id(3)));
        // Reading the log finds the same execution again.
        history.remember_begun(delivery, 2, AttemptId::from_uuid(id(3)));
        assert_eq!(begun(), 2);
        history.remember_begun(delivery, 1, AttemptId::from_uuid(id(4)));
        assert_eq!(begun(), 2, "an earlier attempt");
        history.remember_begun(delivery, 3, AttemptId::from_uuid(id(5)));
        assert_eq!((begun(), history.begun((delivery, 0, 3))), (0, 1), "a later attempt replaces it");
    }
}
