//! The pruner deletes rows that are older than `--keep-history` ([`History`]) from the read model, and returns free
//! pages to the disk.
//!
//! Only one of the processes that share a database prunes at a time. It reads the leads of each account, oldest first,
//! and deletes their old rows in small transactions ([`BatchSize`]). Open deliveries stay, and with them their events
//! and leads.
//!
//! Guarantee: the pruner keeps the rows of every event that the broker still holds. Recoveries and the reconciler read
//! these events, and would count a deleted delivery as missing.

use std::time::Duration;

use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView, StreamName};
use read_model::{
    History, Sources, Store, StoreError,
    prune::{LeadPlace, Pruned, TooOld, free_pages::FreePages},
};
use runtime::{Drain, ErrorChain as _, Platform};
use tokio::time::Instant;
use uuid::Uuid;

const LEASE: &str = "pruner";
/// How long another process waits after the last renewal of the lease.
const LEASE_DURATION: Duration = Duration::from_secs(60);
const RENEW_INTERVAL: Duration = Duration::from_secs(20);
/// The pruner sweeps the read model this many times in the time for which history is kept. The interval between two
/// sweeps is from [`MIN_INTERVAL`] to [`MAX_INTERVAL`].
const SWEEPS_OF_HISTORY: u32 = 100;
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// The maximum number of leads that are checked together.
const MAX_LEADS: u32 = 200;

/// Why a sweep did not finish.
#[derive(Debug, thiserror::Error)]
enum NotPruned {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process holds the lease, or the drain has begun.
    #[error("another process prunes")]
    Elsewhere,
}

struct Pruner {
    journal: Journal,
    registry: RegistryView,
    history: History,
    sweep: Sweep,
}

pub(super) fn start(history: History, sources: &Sources, platform: &Platform) {
    let Sources { journal, store, registry, .. } = sources;
    let sweep = Sweep::new(store.clone(), platform.drain.clone());
    let mut pruner = Pruner { journal: journal.clone(), registry: registry.clone(), history, sweep };
    let interval = (history.keep_history / SWEEPS_OF_HISTORY).clamp(MIN_INTERVAL, MAX_INTERVAL);
    platform.drain.spawn("pruner", async move {
        while !pruner.sweep.drain.is_stopping() {
            match pruner.prune().await {
                Ok(0) => tracing::debug!("no history to prune"),
                Err(NotPruned::Elsewhere) => {}
                Ok(rows) => tracing::info!(rows, "pruned history"),
                Err(error) => tracing::warn!(error = error.chain(), "cannot prune history; retrying"),
            }
            pruner.sweep.rest(interval).await;
        }
        pruner.sweep.release().await;
    });
}

impl Pruner {
    /// Sweeps the read model once. Returns the number of deleted rows; attempts are not counted.
    async fn prune(&mut self) -> Result<u64, NotPruned> {
        let sweep = &mut self.sweep;
        sweep.claim().await?;
        let oldest_event = self.journal.stream(StreamName::Leads).first_time().await?;
        let (registry, now) = (self.registry.snapshot(), Timestamp::now());
        let mut rows = 0;
        for entry in registry.accounts_ever() {
            let before = self.history.kept_from(&entry.account, now, oldest_event);
            rows += sweep.prune_account(&TooOld { account: entry.account.id.clone(), before }).await?;
        }
        for stream in [StreamName::Leads, StreamName::Deliveries] {
            let first = self.journal.stream(stream).first_sequence().await?;
            rows += sweep.repeat(Step::Copies(stream, first)).await?;
        }
        sweep.give_back().await?;
        Ok(rows)
    }
}

/// Deletes in small steps with pauses, while this process holds the lease.
struct Sweep {
    store: Store,
    drain: Drain,
    process: Uuid,
    /// When the lease has to be renewed.
    renew_at: Instant,
    batch: BatchSize,
    /// Whether this process has logged that the SQLite file cannot return free pages.
    is_stuck: bool,
}

impl Sweep {
    fn new(store: Store, drain: Drain) -> Self {
        let (process, batch) = (Uuid::new_v4(), BatchSize::default());
        Self { store, drain, process, renew_at: Instant::now(), batch, is_stuck: false }
    }

    async fn claim(&mut self) -> Result<(), NotPruned> {
        self.renew_at = Instant::now();
        self.renew().await
    }

    async fn prune_account(&mut self, old: &TooOld) -> Result<u64, NotPruned> {
        let (mut rows, mut after) = (0, None::<LeadPlace>);
        loop {
            let leads = self.store.leads_before(old, after.as_ref(), MAX_LEADS).await?;
            if leads.is_empty() {
                break;
            }
            for step in [Step::Deliveries, Step::Events, Step::Log, Step::Leads] {
                rows += self.repeat(step(old, &leads)).await?;
            }
            if leads.len() < MAX_LEADS as usize {
                break;
            }
            after = leads.last().cloned();
        }
        rows += self.repeat(Step::Jobs(old)).await?;
        rows += self.repeat(Step::Counts(old)).await?;
        Ok(rows)
    }

    /// Repeats a step until nothing is left to delete, and pauses after each repetition.
    async fn repeat(&mut self, step: Step<'_>) -> Result<u64, NotPruned> {
        let mut rows = 0;
        loop {
            let began = Instant::now();
            let pruned = step.prune(&self.store, self.batch.rows).await?;
            rows += u64::from(pruned.rows);
            let rest = self.batch.after(pruned.rows, began.elapsed());
            self.rest(rest).await;
            self.renew().await?;
            if !pruned.more {
                return Ok(rows);
            }
        }
    }

    async fn give_back(&mut self) -> Result<(), NotPruned> {
        let mut batch = BatchSize::default();
        loop {
            let began = Instant::now();
            match self.store.give_back(batch.rows).await? {
                FreePages::Few => return Ok(()),
                FreePages::Stuck if self.is_stuck => return Ok(()),
                FreePages::Stuck => {
                    self.is_stuck = true;
                    tracing::info!(
                        "the SQLite file was made by an older version, so its free pages are used again and not given back \
                         to the disk; `leadline compact` changes that"
                    );
                    return Ok(());
                }
                FreePages::GivenBack(pages) => self.rest(batch.after(pages, began.elapsed())).await,
            }
            self.renew().await?;
        }
    }

    /// Renews the lease, unless the drain has begun.
    async fn renew(&mut self) -> Result<(), NotPruned> {
        if self.drain.is_stopping() {
            return Err(NotPruned::Elsewhere);
        }
        if Instant::now() < self.renew_at {
            return Ok(());
        }
        self.renew_at = Instant::now() + RENEW_INTERVAL;
        let is_ours = self.store.claim(LEASE, self.process, LEASE_DURATION).await?;
        if is_ours { Ok(()) } else { Err(NotPruned::Elsewhere) }
    }

    async fn release(&self) {
        if let Err(error) = self.store.release(LEASE, self.process).await {
            tracing::debug!(error = error.chain(), "cannot release the lease of the pruner");
        }
    }

    async fn rest(&self, time: Duration) {
        tokio::select! {
            () = self.drain.stopping() => {}
            () = tokio::time::sleep(time) => {}
        }
    }
}

/// The rows that a step deletes. Deliveries go first, because events and log entries stay as long as their deliveries.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Deliveries(&'a TooOld, &'a [LeadPlace]),
    Events(&'a TooOld, &'a [LeadPlace]),
    Log(&'a TooOld, &'a [LeadPlace]),
    Leads(&'a TooOld, &'a [LeadPlace]),
    Jobs(&'a TooOld),
    /// Buckets of counts, and closed problems.
    Counts(&'a TooOld),
    /// Notes about messages before the first one that a stream still has.
    Copies(StreamName, u64),
}

impl Step<'_> {
    async fn prune(self, store: &Store, max: u32) -> Result<Pruned, StoreError> {
        match self {
            Self::Deliveries(old, leads) => store.prune_deliveries(old, leads, max).await,
            Self::Events(old, leads) => store.prune_events(old, leads, max).await,
            Self::Log(old, leads) => store.prune_log(old, leads, max).await,
            Self::Leads(old, leads) => store.prune_leads(old, leads).await,
            Self::Jobs(old) => store.prune_jobs(old, max).await,
            Self::Counts(old) => store.prune_counts(old, max).await,
            Self::Copies(stream, first) => store.prune_copies(stream, first, max).await,
        }
    }
}

/// How many rows a step deletes: so few that other writers hardly wait. Pruning uses a fifth of the time.
#[derive(Debug)]
struct BatchSize {
    rows: u32,
}

impl Default for BatchSize {
    fn default() -> Self {
        Self { rows: 50 }
    }
}

impl BatchSize {
    /// How long a step should take.
    const STEP: Duration = Duration::from_millis(20);
    /// With fewer rows, pruning would not progress on a busy machine.
    const MIN_ROWS: u32 = 50;
    const MAX_ROWS: u32 = 500;
    /// The pause after a step, as a multiple of the duration of the step.
    const PAUSE_FACTOR: u32 = 4;

    /// Adapts the size to the duration of a step and the rows that it deleted. Returns the pause.
    fn after(&mut self, rows: u32, took: Duration) -> Duration {
        if took > Self::STEP {
            self.rows = (self.rows / 2).max(Self::MIN_ROWS);
        } else if took < Self::STEP / 2 && rows >= self.rows {
            self.rows = (self.rows * 2).min(Self::MAX_ROWS);
        }
        took * Self::PAUSE_FACTOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_fast_and_use_a_fifth_of_the_time() {
        let mut batch = BatchSize::default();
        let ms = Duration::from_millis;
        assert_eq!(batch.after(50, ms(5)), ms(20));
        assert_eq!(batch.rows, 100);
        // The duration of a step that deletes fewer rows than allowed does not change the size.
        batch.after(10, ms(1));
        assert_eq!(batch.rows, 100);
        batch.after(100, ms(15));
        assert_eq!(batch.rows, 100);
        batch.after(100, ms(50));
        assert_eq!(batch.rows, 50);
        for _ in 0..9 {
            batch.after(50, ms(500));
        }
        assert_eq!(batch.rows, BatchSize::MIN_ROWS);
        for _ in 0..9 {
            batch.after(batch.rows, ms(1));
        }
        assert_eq!(batch.rows, BatchSize::MAX_ROWS);
    }
}
