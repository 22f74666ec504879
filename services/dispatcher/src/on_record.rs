//! Which deliveries need not be requested, or released, any more: for events that may have come before.

use std::{collections::HashSet, sync::Arc};

use domain::{DeliveryId, DeliveryRef, DestinationId};
use jiff::Timestamp;
use journal::JournalError;
use moka::{policy::EvictionPolicy, sync::Cache};
use tokio::{sync::Mutex, time::Instant};

/// For how many destinations it is remembered what was recorded of them.
const REMEMBERED: u64 = 10_000;

/// What was recorded of one destination.
#[derive(Debug)]
struct Recorded {
    /// From this time of the broker on.
    from: Timestamp,
    /// As it was when this process asked.
    asked_at: Instant,
    deliveries: HashSet<DeliveryId>,
}

/// The deliveries of which something was recorded, for each destination of which somebody asked.
#[derive(Debug)]
pub(crate) struct OnRecord {
    of: Cache<DestinationId, Arc<Mutex<Option<Recorded>>>>,
}

impl Default for OnRecord {
    fn default() -> Self {
        Self { of: Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru()).build() }
    }
}

impl OnRecord {
    /// Whether a delivery is among those that were recorded from `since` until `as_of`; `look_back` asks the journal for
    /// them, once for all who ask at the same time.
    pub(crate) async fn contains(
        &self,
        reference: &DeliveryRef,
        since: Timestamp,
        as_of: Instant,
        look_back: impl Future<Output = Result<HashSet<DeliveryId>, JournalError>>,
    ) -> Result<bool, JournalError> {
        let recorded = self.of.get_with_by_ref(&reference.destination, Arc::default);
        let mut recorded = recorded.lock().await;
        if let Some(known) = recorded.as_ref().filter(|known| known.from <= since && known.asked_at >= as_of) {
            return Ok(known.deliveries.contains(&reference.delivery));
        }
        let asked_at = Instant::now();
        let deliveries = look_back.await?;
        let found = deliveries.contains(&reference.delivery);
        *recorded = Some(Recorded { from: since, asked_at, deliveries });
        Ok(found)
    }
}
