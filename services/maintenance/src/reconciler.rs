//! The reconciler checks slowly, in one process at a time, that every accepted and wanted event has a delivery, and
//! that every open delivery has pending work. It repairs damage that a lost write or a bug has caused, and logs each
//! repair as an error.
//!
//! * [`missing_deliveries`] checks the events
//! * [`stuck_deliveries`] checks the open deliveries
//!
//! Guarantee: a repair that is made twice has one effect, because a second request has the same message id and a second
//! timer replaces the first. The reconciler does not touch deliveries that the services still work on. Its cost is
//! bounded: it checks a limited number of events and deliveries per second, and keeps one page of each and the
//! suspected deliveries in memory.

mod context;
mod missing_deliveries;
mod stuck_deliveries;

use std::time::Duration;

use journal::{JournalError, ReaderLease, leader};
use read_model::{Sources, read_barrier::ReadBarrier};
use runtime::{Drain, ErrorChain as _, Platform};
use tokio::time::Instant;

pub use self::context::Options;
use self::{
    context::{Context, ReconcilerError},
    missing_deliveries::MissingDeliveries,
    stuck_deliveries::StuckDeliveries,
};

/// The name under which the journal stores the reconciler's position among the events.
const READER: &str = "reconciler";
/// The maximum number of events and deliveries that are checked before the position is stored.
const MAX_PAGE: usize = 100;
/// The pause when there is nothing to check, and after a failure.
const IDLE_DELAY: Duration = Duration::from_secs(1);

pub(super) fn start(options: Options, sources: &Sources, platform: &Platform) {
    let Sources { journal, store, registry, repairs } = sources;
    let context = Context {
        options,
        journal: journal.clone(),
        store: store.clone(),
        registry: registry.clone(),
        read_barrier: ReadBarrier::new(journal.clone(), store.clone()),
        repairs: repairs.clone(),
    };
    let reconciler = Reconciler { context, drain: platform.drain.clone() };
    platform.drain.spawn("reconciler", async move {
        leader::run(&reconciler.context.journal, READER, |lease| reconciler.check(lease)).await;
    });
}

struct Reconciler {
    context: Context,
    drain: Drain,
}

impl Reconciler {
    /// Checks until the drain begins or another process is the leader.
    async fn check(&self, mut lease: ReaderLease) -> Result<(), JournalError> {
        let mut missing = MissingDeliveries::after(&self.context.journal, lease.sequence());
        let mut stuck = StuckDeliveries::default();
        while !self.drain.is_stopping() {
            let begun = Instant::now();
            let checked = match self.page(&mut missing, &mut stuck).await {
                Ok(checked) => checked,
                Err(error) => {
                    tracing::debug!(error = error.chain(), "reconciler stopped; retrying");
                    0
                }
            };
            lease.advance(missing.checked_until()).await?;
            let takes = Duration::from_secs(1) * checked / self.context.options.reconcile_rate;
            let rest = if checked == 0 { IDLE_DELAY } else { takes.saturating_sub(begun.elapsed()) };
            self.rest(rest).await;
        }
        lease.leave().await
    }

    /// Checks some events and some deliveries; returns how many.
    async fn page(&self, missing: &mut MissingDeliveries, stuck: &mut StuckDeliveries) -> Result<u32, ReconcilerError> {
        let max = MAX_PAGE.min(self.context.options.reconcile_rate as usize).div_ceil(2);
        let events = missing.check(&self.context, max).await?;
        let deliveries = stuck.check(&self.context, max).await?;
        Ok(u32::try_from(events + deliveries).unwrap_or(u32::MAX))
    }

    async fn rest(&self, time: Duration) {
        tokio::select! {
            () = self.drain.stopping() => {}
            () = tokio::time::sleep(time) => {}
        }
    }
}
