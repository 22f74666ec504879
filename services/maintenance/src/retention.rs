//! Retention: one process at a time anonymises leads that are older than their interface allows. It appends a fact for
//! each lead. The further steps follow from that fact, and are repeated until they are done:
//!
//! * the projectors blank the rows about the lead, and note what has to be erased from the streams
//! * the [`eraser`](super::eraser) works on these notes

use std::time::Duration;

use domain::{AccountId, InterfaceId};
use jiff::Timestamp;
use journal::{Journal, ReaderLease, RegistryView, leader};
use read_model::{Sources, Store};
use runtime::Platform;
use tokio::time::Instant;

use crate::anonymise_error::NotAnonymised;

/// The interval of searches for events that are older than the retention of their interface.
const RETENTION_INTERVAL: Duration = Duration::from_secs(10);
/// At most this many events of an interface are anonymised per search.
const MAX_OVERDUE: u32 = 500;
/// The name of the lease of the process that anonymises.
const READER: &str = "retention";

struct Retention {
    journal: Journal,
    store: Store,
    registry: RegistryView,
}

pub(super) fn start(sources: &Sources, platform: &Platform) {
    let Sources { journal, store, registry, .. } = sources;
    let retention = Retention { journal: journal.clone(), store: store.clone(), registry: registry.clone() };
    platform.drain.spawn("retention", async move {
        leader::run(&retention.journal, READER, |lease| retention.keep(lease)).await;
    });
}

impl Retention {
    /// Anonymises overdue leads until the drain begins or another process is the leader.
    async fn keep(&self, mut lease: ReaderLease) -> Result<(), NotAnonymised> {
        let drain = self.journal.drain().clone();
        let mut next_round = Instant::now();
        while !drain.is_stopping() {
            if next_round <= Instant::now() {
                next_round = Instant::now() + RETENTION_INTERVAL;
                self.anonymise_overdue(&mut lease).await?;
            }
            lease.advance(lease.sequence()).await?;
            tokio::select! {
                () = tokio::time::sleep_until(lease.renew_at().min(next_round)) => {}
                () = drain.stopping() => {}
            }
        }
        Ok(lease.leave().await?)
    }

    async fn anonymise_overdue(&self, lease: &mut ReaderLease) -> Result<(), NotAnonymised> {
        let now = Timestamp::now();
        for (account, interface, before) in limits(&self.registry, now) {
            let overdue = self.store.overdue(&account, &interface, before, MAX_OVERDUE).await?;
            if overdue.is_empty() {
                continue;
            }
            tracing::info!(%account, %interface, leads = overdue.len(), "anonymising leads beyond the retention of their interface");
            for (lead, until) in overdue {
                let by = format!("retention of interface {interface}");
                self.journal.anonymised().anonymise(&account, lead, until, by, None).await?;
                if lease.renew_at() <= Instant::now() {
                    lease.advance(lease.sequence()).await?;
                }
            }
        }
        Ok(())
    }
}

/// The interfaces with a retention, also deleted ones. Events that were received before the time are overdue.
fn limits(registry: &RegistryView, now: Timestamp) -> Vec<(AccountId, InterfaceId, Timestamp)> {
    let registry = registry.snapshot();
    let mut limits = vec![];
    for account in registry.accounts_ever() {
        for interface in account.interfaces() {
            if let Some(before) = interface.retention.and_then(|retention| now.checked_sub(retention).ok()) {
                limits.push((account.account.id.clone(), interface.id.clone(), before));
            }
        }
    }
    limits
}
