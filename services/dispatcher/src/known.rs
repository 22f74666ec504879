//! What this process knows about attempts: which are under way, and which were made lately. A timer that fired twice, or
//! a message that came again because its acknowledgement was lost, repeats none of them.

use std::{sync::Arc, time::Duration};

use domain::{AttemptId, DeliveryId, DestinationId};
use journal::Attempted;
use moka::{policy::EvictionPolicy, sync::Cache};
use runtime::{Begun, UnderWay};
use tokio::sync::Mutex;

use crate::{
    looked_back::{HOLDS_FOR, LookedBack},
    recent::Recent,
};

/// Of how many deliveries the latest attempt is remembered, and for how long.
const REMEMBERED: usize = 200_000;
const REMEMBERED_FOR: Duration = HOLDS_FOR.saturating_mul(2);
/// For how many destinations it is remembered how far was looked back.
const LOOKED_BACK: u64 = 10_000;

/// An attempt: delivery, round and number.
pub(crate) type Key = (DeliveryId, u32, u32);

/// An attempt, and the executions of it that are on record as begun.
#[derive(Debug, Clone)]
struct BegunOf {
    attempt: u32,
    executions: Vec<AttemptId>,
}

/// What this process knows about attempts.
#[derive(Debug)]
pub(crate) struct Known {
    under_way: UnderWay<Key>,
    made: Recent<DeliveryId, Attempted>,
    begun: Recent<DeliveryId, BegunOf>,
    looked_back: Cache<DestinationId, Arc<Mutex<Option<LookedBack>>>>,
}

impl Default for Known {
    fn default() -> Self {
        let looked_back = Cache::builder().max_capacity(LOOKED_BACK);
        Self {
            under_way: UnderWay::default(),
            made: Recent::new(REMEMBERED, REMEMBERED_FOR),
            begun: Recent::new(REMEMBERED, REMEMBERED_FOR),
            looked_back: looked_back.eviction_policy(EvictionPolicy::lru()).build(),
        }
    }
}

impl Known {
    /// Begins an attempt, unless it is under way.
    pub(crate) fn begin(&self, key: Key) -> Option<Begun<'_, Key>> {
        self.under_way.begin(key)
    }

    /// Whether an attempt or a later one of the same delivery was made lately, as far as this process knows; if so,
    /// whether the round ended with it.
    pub(crate) fn made(&self, (delivery, round, attempt): Key) -> Option<bool> {
        let made = self.made.get(&delivery).filter(|made| made.attempt >= attempt)?;
        Some(made.ended || made.round > round)
    }

    /// Notes that an attempt was made.
    pub(crate) fn remember(&self, delivery: DeliveryId, made: Attempted) {
        self.made.put(delivery, 1, |known| known.map_or(made, |known| known.max(made)));
    }

    /// Notes that an execution of an attempt is on record as begun.
    pub(crate) fn remember_begun(&self, delivery: DeliveryId, attempt: u32, execution: AttemptId) {
        self.begun.put(delivery, 1, |known| {
            let mut known =
                known.filter(|known| known.attempt >= attempt).unwrap_or(BegunOf { attempt, executions: vec![] });
            if known.attempt == attempt && !known.executions.contains(&execution) {
                known.executions.push(execution);
            }
            known
        });
    }

    /// How many executions of an attempt are on record as begun.
    pub(crate) fn begun(&self, (delivery, _, attempt): Key) -> usize {
        self.begun.get(&delivery).filter(|known| known.attempt == attempt).map_or(0, |known| known.executions.len())
    }

    /// How far was looked back for a destination; whoever looks back holds the lock meanwhile.
    pub(crate) fn looked_back(&self, destination: &DestinationId) -> Arc<Mutex<Option<LookedBack>>> {
        self.looked_back.get_with_by_ref(destination, Arc::default)
    }
}
