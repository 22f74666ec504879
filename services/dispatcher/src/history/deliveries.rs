//! The deliveries that were requested or released before, for messages that may be redeliveries.

use std::{collections::HashSet, sync::Arc};

use domain::{DeliveryId, DeliveryRef, DestinationId};
use jiff::Timestamp;
use journal::{Found, JournalError, Since};
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::{sync::Mutex, time::Instant};

use crate::history::range::ReadRange;

/// The maximum number of destinations whose recorded deliveries are remembered.
const MAX_DESTINATIONS: u64 = 10_000;

/// The recorded deliveries of one destination.
#[derive(Debug)]
struct Recorded {
    range: ReadRange,
    deliveries: HashSet<DeliveryId>,
}

/// The recorded deliveries of each destination that was looked up.
#[derive(Debug)]
pub(crate) struct DeliveryHistory {
    of: Cache<DestinationId, Arc<Mutex<Option<Recorded>>>>,
}

impl Default for DeliveryHistory {
    fn default() -> Self {
        Self { of: Cache::builder().max_capacity(MAX_DESTINATIONS).eviction_policy(EvictionPolicy::lru()).build() }
    }
}

impl DeliveryHistory {
    /// Whether a delivery was recorded between `since` and `as_of`. `read` reads the recorded deliveries from the
    /// journal. Concurrent callers share one read, and later reads continue where it ended.
    pub(crate) async fn contains<Reading>(
        &self,
        reference: &DeliveryRef,
        since: Timestamp,
        as_of: Instant,
        read: impl FnOnce(Since) -> Reading,
    ) -> Result<bool, JournalError>
    where
        Reading: Future<Output = Result<Found<HashSet<DeliveryId>>, JournalError>>,
    {
        let recorded = self.of.get_with_by_ref(&reference.destination, Arc::default);
        let mut recorded = recorded.lock().await;
        let known = recorded.as_ref().map(|known| known.range);
        if let Some(missing) = ReadRange::missing(known, since, as_of) {
            let began = Instant::now();
            let Found { found, until } = read(missing).await?;
            let deliveries = match (missing, recorded.take()) {
                (Since::Sequence(_), Some(Recorded { mut deliveries, .. })) => {
                    deliveries.extend(found);
                    deliveries
                }
                _ => found,
            };
            let range = ReadRange::extended(known, missing, since, began, until);
            *recorded = Some(Recorded { range, deliveries });
        }
        Ok(recorded.as_ref().is_some_and(|known| known.deliveries.contains(&reference.delivery)))
    }
}
