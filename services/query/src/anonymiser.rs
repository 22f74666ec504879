//! The anonymiser. A fact anonymises a lead ([`Anonymiser::anonymise`]); everything else follows from that fact and is
//! repeated until it is done:
//!
//! * the projectors blank the rows about the lead, and note what has to be erased from the streams
//! * the [`eraser`] works on these notes: it records the outline of an event or an attempt, then erases the message. It
//!   also ends the deliveries that wait
//! * [`Anonymiser::keep_retention`] anonymises what is older than the retention of its interface, in one process at a
//!   time
//!
//! Every process erases, because each may have a read model of its own. An erasure may be repeated without harm.

mod eraser;

use std::time::Duration;

use domain::{AccountId, AnonymisationFact, InterfaceId, LeadId, LeadSequence, anonymisation::LeadAnonymised};
use jiff::Timestamp;
use journal::{
    Journal, JournalError, ReaderLease, RegistryView,
    leader::{self, LeaderError},
};
use read_model::{Store, StoreError};
use runtime::{ErrorChain as _, Platform, trace::TraceContext};
use tokio::time::Instant;
use tracing::{Instrument as _, info_span};

/// The delay after the broker or the database failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The interval of searches for events that are older than the retention of their interface.
const RETENTION_INTERVAL: Duration = Duration::from_secs(10);
/// At most this many events of an interface are anonymised per search.
const MAX_OVERDUE: u32 = 500;
/// The name of the lease under which one process keeps the retention.
const READER: &str = "retention";

/// Why a step of the anonymiser failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotForgotten {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LeaderError for NotForgotten {
    fn as_journal_error(&self) -> Option<&JournalError> {
        match self {
            Self::Journal(error) => Some(error),
            Self::Store(_) => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Anonymiser {
    pub(crate) journal: Journal,
    pub(crate) store: Store,
}

impl Anonymiser {
    /// Starts the eraser, and the search for leads beyond their retention.
    pub(crate) fn start(&self, registry: RegistryView, platform: &Platform) {
        eraser::start(self, platform);
        let keeping = self.clone();
        platform.drain.spawn("retention", async move {
            leader::run(&keeping.journal, READER, |lease| keeping.keep_retention(lease, &registry)).await;
        });
    }

    /// Anonymises everything about a lead up to a sequence of LEADS. Returns the sequence of the fact.
    pub(crate) async fn anonymise(
        &self,
        account: &AccountId,
        lead: LeadId,
        until: LeadSequence,
        by: String,
        trace: Option<&TraceContext>,
    ) -> Result<u64, JournalError> {
        let (span, trace) = TraceContext::enter(trace, || info_span!("anonymise", %account, %lead));
        let fact = LeadAnonymised { account: account.clone(), lead, until, at: Timestamp::now(), by };
        let fact = AnonymisationFact::LeadAnonymised(fact);
        Ok(self.journal.anonymised().append(&fact, &trace).instrument(span).await?.sequence)
    }

    /// Keeps the retention until the drain begins or another process is the leader.
    async fn keep_retention(&self, mut lease: ReaderLease, registry: &RegistryView) -> Result<(), NotForgotten> {
        let drain = self.journal.drain().clone();
        let mut next_round = Instant::now();
        while !drain.is_stopping() {
            if next_round <= Instant::now() {
                next_round = Instant::now() + RETENTION_INTERVAL;
                self.anonymise_overdue(&mut lease, registry).await?;
            }
            lease.advance(lease.sequence()).await?;
            tokio::select! {
                () = tokio::time::sleep_until(lease.renew_at().min(next_round)) => {}
                () = drain.stopping() => {}
            }
        }
        Ok(lease.leave().await?)
    }

    async fn anonymise_overdue(&self, lease: &mut ReaderLease, registry: &RegistryView) -> Result<(), NotForgotten> {
        let now = Timestamp::now();
        for (account, interface, before) in kept(registry, now) {
            let overdue = self.store.overdue(&account, &interface, before, MAX_OVERDUE).await?;
            if overdue.is_empty() {
                continue;
            }
            tracing::info!(%account, %interface, leads = overdue.len(), "anonymising leads beyond the retention of their interface");
            for (lead, until) in overdue {
                self.anonymise(&account, lead, until, format!("retention of interface {interface}"), None).await?;
                if lease.renew_at() <= Instant::now() {
                    lease.advance(lease.sequence()).await?;
                }
            }
        }
        Ok(())
    }
}

/// The interfaces with a retention, deleted ones too, and the time before which their leads are to be anonymised.
fn kept(registry: &RegistryView, now: Timestamp) -> Vec<(AccountId, InterfaceId, Timestamp)> {
    let registry = registry.snapshot();
    let mut kept = vec![];
    for account in registry.accounts_ever() {
        for interface in account.interfaces() {
            if let Some(before) = interface.retention.and_then(|retention| now.checked_sub(retention).ok()) {
                kept.push((account.account.id.clone(), interface.id.clone(), before));
            }
        }
    }
    kept
}

fn warn(error: &NotForgotten, what: &'static str) {
    match error {
        NotForgotten::Journal(error) if error.is_logged() => {}
        NotForgotten::Journal(error) => tracing::warn!(error = error.chain(), "{what}"),
        NotForgotten::Store(error) => tracing::warn!(error = error.chain(), "{what}"),
    }
}
