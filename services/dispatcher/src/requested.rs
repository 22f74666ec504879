//! Which deliveries were requested before: for events that may be routed a second time, so late that the broker no longer
//! knows the ids of what was stored at the first.

use std::{collections::HashSet, sync::Arc};

use domain::{DeliveryFact, DeliveryId, DestinationId};
use jiff::Timestamp;
use journal::{Journal, JournalError};
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::{sync::Mutex, time::Instant};

/// For how many destinations it is remembered what was requested of them.
const REMEMBERED: u64 = 10_000;

/// What was requested of one destination.
#[derive(Debug)]
struct Recorded {
    /// From this time of the broker on.
    from: Timestamp,
    /// As it was when this process asked.
    asked_at: Instant,
    deliveries: HashSet<DeliveryId>,
}

/// What was requested, for each destination of which somebody asked.
#[derive(Debug)]
pub(crate) struct Requested {
    of: Cache<DestinationId, Arc<Mutex<Option<Recorded>>>>,
}

impl Default for Requested {
    fn default() -> Self {
        Self { of: Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru()).build() }
    }
}

impl Requested {
    /// Of these requests, those that were not recorded from `since` until `as_of`.
    pub(crate) async fn missing(
        &self,
        journal: &Journal,
        requests: Vec<DeliveryFact>,
        since: Timestamp,
        as_of: Instant,
    ) -> Result<Vec<DeliveryFact>, JournalError> {
        let mut missing = vec![];
        for request in requests {
            let reference = request.reference();
            let recorded = self.of.get_with_by_ref(&reference.destination, Arc::default);
            let mut recorded = recorded.lock().await;
            if !recorded.as_ref().is_some_and(|r| r.from <= since && r.asked_at >= as_of) {
                let asked_at = Instant::now();
                let deliveries = journal.requested(&reference.account, &reference.destination, since).await?;
                *recorded = Some(Recorded { from: since, asked_at, deliveries });
            }
            if !recorded.as_ref().is_some_and(|r| r.deliveries.contains(&reference.delivery)) {
                missing.push(request);
            }
        }
        Ok(missing)
    }
}
