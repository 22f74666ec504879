//! Whether a delivery to a destination succeeded since a certain time. The question arises when a delivery has used up
//! its attempts: if other deliveries succeed, the receiver works.
//!
//! The answer comes from the destination's log, which all dispatchers write, so it is the same in each of them and
//! after a restart. Reading ends at the first success that is late enough. What was read is remembered, so each fact is
//! read once, even if many deliveries need it.

use std::{sync::Arc, time::Duration};

use domain::{
    DeliveryRef, DestinationId,
    delivery::{self, Execution},
    registry::Destination,
};
use jiff::{SignedDuration, Timestamp};
use journal::{Found, Journal, JournalError, RegistryView, Since};
use moka::{policy::EvictionPolicy, sync::Cache};
use runtime::ErrorChain as _;
use tokio::{sync::Mutex, time::sleep};

use crate::work_item::WorkItem;

/// The maximum number of destinations whose log is remembered. The log of an evicted destination is read again.
const MAX_DESTINATIONS: u64 = 10_000;
/// The maximum difference between the clocks of two machines: a dispatcher stamps when an attempt failed, and the
/// broker when it stored a fact.
const MAX_CLOCK_DIFFERENCE: SignedDuration = SignedDuration::from_secs(2);
/// The delay before the broker is asked again.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The part of a destination's log that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Read {
    /// The time of its first facts.
    from: Timestamp,
    /// The last sequence that was read.
    until: u64,
    /// The latest success in this part; `None` if there is none.
    latest: Option<Timestamp>,
}

/// The parts of the destinations' logs that were read.
#[derive(Debug)]
pub(crate) struct Successes {
    of: Cache<DestinationId, Arc<Mutex<Option<Read>>>>,
}

impl Default for Successes {
    fn default() -> Self {
        Self { of: Cache::builder().max_capacity(MAX_DESTINATIONS).eviction_policy(EvictionPolicy::lru()).build() }
    }
}

impl Successes {
    /// Whether a delivery to the same destination succeeded at this time or later.
    async fn any_since(
        &self,
        journal: &Journal,
        reference: &DeliveryRef,
        since: Timestamp,
    ) -> Result<bool, JournalError> {
        let read = self.of.get_with_by_ref(&reference.destination, Arc::default);
        let mut read = read.lock().await;
        if let Some(missing) = missing(*read, since) {
            let found =
                journal.deliveries().succeeded(&reference.account, &reference.destination, missing, since).await?;
            *read = Some(extended(*read, missing, since, found));
        }
        Ok(read.is_some_and(|read| read.latest >= Some(since)))
    }

    /// Fills in whether other deliveries succeeded and whether the destination is off. Both decide whether the
    /// execution deactivates its destination. The attempt has been made, so the read is repeated until the broker
    /// answers.
    pub(crate) async fn complete(
        &self,
        journal: &Journal,
        registry: &RegistryView,
        item: &WorkItem,
        destination: &Destination,
        made: Execution,
    ) -> Execution {
        let reference = &item.work.reference;
        let Some(since) = delivery::spared_by_success_since(&item.work, &destination.retry, &made) else { return made };
        let others_succeeded = loop {
            match self.any_since(journal, reference, since).await {
                Ok(any) => break any,
                Err(error) => {
                    item.message.trace.within(|| {
                        tracing::warn!(error = error.chain(), destination = %reference.destination, "cannot look up successes; retrying");
                    });
                    sleep(RETRY_DELAY).await;
                }
            }
        };
        // Another delivery may have deactivated the destination meanwhile.
        let destination_off = registry.snapshot().destination(&reference.destination).is_none_or(|d| d.is_off());
        Execution { others_succeeded, destination_off, ..made }
    }
}

/// The part of the log that has to be read to find a success at `since` or later; `None` if the answer is known.
fn missing(read: Option<Read>, since: Timestamp) -> Option<Since> {
    match read {
        Some(read) if read.latest >= Some(since) => None,
        Some(read) if read.from <= since => Some(Since::Sequence(read.until)),
        _ => Some(Since::Time(since.checked_sub(MAX_CLOCK_DIFFERENCE).unwrap_or(Timestamp::MIN))),
    }
}

/// The part that is known after the missing part was read.
fn extended(read: Option<Read>, missing: Since, since: Timestamp, found: Found<Option<Timestamp>>) -> Read {
    match (missing, read) {
        (Since::Sequence(_), Some(read)) => Read { until: found.until, latest: read.latest.max(found.found), ..read },
        _ => Read { from: since, until: found.until, latest: found.found },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn t(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_fact_is_read_once() {
        let early = Since::Time(t(100) - MAX_CLOCK_DIFFERENCE);
        assert_eq!(missing(None, t(100)), Some(early));
        let nothing = extended(None, early, t(100), Found { found: None, until: 7 });
        assert_eq!(missing(Some(nothing), t(150)), Some(Since::Sequence(7)));
        assert_eq!(missing(Some(nothing), t(99)), Some(Since::Time(t(99) - MAX_CLOCK_DIFFERENCE)), "not read yet");
        let some = extended(Some(nothing), Since::Sequence(7), t(150), Found { found: Some(t(160)), until: 9 });
        assert_eq!(some, Read { from: t(100), until: 9, latest: Some(t(160)) });
        assert_eq!((missing(Some(some), t(160)), missing(Some(some), t(20))), (None, None));
        assert_eq!(missing(Some(some), t(161)), Some(Since::Sequence(9)));
        let older = extended(Some(some), Since::Sequence(9), t(161), Found { found: Some(t(130)), until: 11 });
        assert_eq!(older.latest, Some(t(160)), "an older success does not replace a later one");
    }
}
