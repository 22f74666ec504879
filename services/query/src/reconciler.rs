//! A slow audit of what the other services did, one process at a time: whatever was accepted and is wanted has a delivery,
//! and every delivery that has not ended has work that will make it go on. What is missing, because a disk lost a write or
//! a program was wrong, is made again, and each time is an alarm.
//!
//! * [`requests`] goes through the events and looks for deliveries that were never requested
//! * [`standing`] goes through the open deliveries and looks for those whose work is lost
//!
//! Guarantee: what is healed twice is done once, because ids and timers are computed. What the services still work on is
//! left alone. The cost is bounded: so many events and deliveries a second, one page of each in memory.

mod requests;
mod standing;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use journal::{Journal, JournalError, Place, RegistryView};
use runtime::{Drain, ErrorChain as _, Platform};
use tokio::time::Instant;

use self::{requests::Requests, standing::Standing};
use crate::{
    freshness::{Freshness, Stale},
    store::{Store, StoreError},
};

/// Whose place it is that says how far the audit of events has come.
const READER: &str = "reconciler";
/// How many events or deliveries are looked at before the place is written again.
const PAGE: usize = 100;
/// How long to rest when there is nothing to look at, and after a failure.
const REST: Duration = Duration::from_secs(1);

/// How the audit goes.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(id = "reconciler")]
pub struct Options {
    /// How old an event, or how late a delivery has to be before it is audited, e.g. 5m. It should be longer than a broker
    /// takes to write to its disk
    #[arg(long, env = "LEADLINE_RECONCILE_AFTER", default_value = "5m", value_name = "TIME", value_parser = runtime::duration::parse)]
    pub reconcile_after: Duration,
    /// The most events and deliveries that are audited in a second
    #[arg(long, env = "LEADLINE_RECONCILE_RATE", default_value_t = 500, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub reconcile_rate: u32,
}

/// What this process had to heal since it was started.
#[derive(Debug, Default)]
pub(crate) struct Healed {
    requests: AtomicU64,
    deliveries: AtomicU64,
}

impl Healed {
    /// Deliveries that nobody had requested.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Deliveries whose work was lost.
    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }
}

/// What the audit needs.
struct Reconciler {
    options: Options,
    journal: Journal,
    store: Store,
    registry: RegistryView,
    freshness: Freshness,
    drain: Drain,
    healed: Arc<Healed>,
}

/// What keeps the audit from going on for now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stale(#[from] Stale),
}

/// Starts auditing.
pub(crate) fn start(
    options: Options,
    journal: &Journal,
    store: &Store,
    registry: &RegistryView,
    platform: &Platform,
) -> Arc<Healed> {
    let healed = Arc::<Healed>::default();
    let reconciler = Reconciler {
        options,
        journal: journal.clone(),
        store: store.clone(),
        registry: registry.clone(),
        freshness: Freshness::new(journal.clone(), store.clone()),
        drain: platform.drain.clone(),
        healed: Arc::clone(&healed),
    };
    platform.drain.spawn("reconciler", async move {
        while let Some(place) = reconciler.journal.take_place(READER).await {
            if let Err(error) = reconciler.audit(place).await {
                tracing::info!(error = error.chain(), "the place of the reconciler is lost");
            }
            reconciler.rest(REST).await;
        }
    });
    healed
}

impl Reconciler {
    /// Audits until the drain begins, or another process has taken the place.
    async fn audit(&self, mut place: Place) -> Result<(), JournalError> {
        let mut requests = Requests::after(&self.journal, place.sequence());
        let mut standing = Standing::default();
        while !self.drain.is_stopping() {
            let begun = Instant::now();
            let looked_at = match self.page(&mut requests, &mut standing).await {
                Ok(looked_at) => looked_at,
                Err(error) => {
                    tracing::debug!(error = error.chain(), "the audit stands still; trying again");
                    0
                }
            };
            place.advance(requests.audited_until()).await?;
            let takes = Duration::from_secs(1) * looked_at / self.options.reconcile_rate;
            let rest = if looked_at == 0 { REST } else { takes.min(REST).saturating_sub(begun.elapsed()) };
            self.rest(rest).await;
        }
        place.leave().await
    }

    /// Looks at some events and some deliveries; how many.
    async fn page(&self, requests: &mut Requests, standing: &mut Standing) -> Result<u32, Trouble> {
        let most = PAGE.min(self.options.reconcile_rate as usize).div_ceil(2);
        let events = requests.audit(self, most).await?;
        let deliveries = standing.audit(self, most).await?;
        Ok(u32::try_from(events + deliveries).unwrap_or(u32::MAX))
    }

    async fn rest(&self, time: Duration) {
        tokio::select! {
            () = self.drain.stopping() => {}
            () = tokio::time::sleep(time) => {}
        }
    }
}
