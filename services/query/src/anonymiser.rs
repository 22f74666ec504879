//! Forgetting people. A lead is anonymised by the fact that says so ([`Anonymiser::anonymise`]); everything else follows
//! from it and is done again until it is done:
//!
//! * the projectors blank what the read model says about the lead, and note what has to be erased from the streams
//! * the [`eraser`] takes these notes: first it records what is left of an event or an attempt, then it erases the
//!   message. It ends the deliveries that wait
//! * [`Anonymiser::keep_retention`] anonymises what is older than its interface keeps it; of all processes one at a time does so
//!
//! Every process erases, because each may have a read model of its own. Two who erase the same do no harm.

mod eraser;

use std::time::Duration;

use domain::{AccountId, AnonymisationFact, InterfaceId, LeadId, LeadSequence, anonymisation::LeadAnonymised};
use jiff::Timestamp;
use journal::{Journal, JournalError, Place, RegistryView};
use runtime::{ErrorChain as _, Platform, trace::TraceContext};
use tokio::time::Instant;
use tracing::{Instrument as _, info_span};

use crate::store::{Store, StoreError};

/// The pause after the broker or the database failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// How often to look for events that are older than their interface keeps them.
const RETENTION_INTERVAL: Duration = Duration::from_secs(10);
/// How many events of an interface are anonymised in one such round.
const MAX_OVERDUE: u32 = 500;
/// Who keeps the retention of interfaces.
const READER: &str = "retention";

/// Why something was not forgotten yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotForgotten {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Anonymises leads.
#[derive(Debug, Clone)]
pub(crate) struct Anonymiser {
    pub(crate) journal: Journal,
    pub(crate) store: Store,
}

impl Anonymiser {
    /// Starts erasing, and keeping the retention of interfaces.
    pub(crate) fn start(&self, registry: RegistryView, platform: &Platform) {
        eraser::start(self, platform);
        let keeping = self.clone();
        platform.drain.spawn("retention", async move {
            while let Some(place) = keeping.journal.take_place(READER).await {
                if let Err(error) = keeping.keep_retention(place, &registry).await {
                    warn(&error, "leads are kept longer than they should be; trying again");
                    tokio::time::sleep(RETRY_DELAY).await;
                }
            }
        });
    }

    /// Anonymises everything about a lead up to a place in LEADS; where the fact is.
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
        Ok(self.journal.append_anonymisation(&fact, &trace).instrument(span).await?.sequence)
    }

    /// Until the drain, or until another process does it.
    async fn keep_retention(&self, mut place: Place, registry: &RegistryView) -> Result<(), NotForgotten> {
        let drain = self.journal.drain().clone();
        let mut next_round = Instant::now();
        while !drain.is_stopping() {
            if next_round <= Instant::now() {
                next_round = Instant::now() + RETENTION_INTERVAL;
                self.anonymise_overdue(&mut place, registry).await?;
            }
            place.advance(place.sequence()).await?;
            tokio::select! {
                () = tokio::time::sleep_until(place.renew_at().min(next_round)) => {}
                () = drain.stopping() => {}
            }
        }
        Ok(place.leave().await?)
    }

    async fn anonymise_overdue(&self, place: &mut Place, registry: &RegistryView) -> Result<(), NotForgotten> {
        let now = Timestamp::now();
        for (account, interface, before) in kept(registry, now) {
            let overdue = self.store.overdue(&account, &interface, before, MAX_OVERDUE).await?;
            if overdue.is_empty() {
                continue;
            }
            tracing::info!(%account, %interface, leads = overdue.len(), "leads are anonymised under the interface's retention");
            for (lead, until) in overdue {
                self.anonymise(&account, lead, until, format!("retention of interface {interface}"), None).await?;
                if place.renew_at() <= Instant::now() {
                    place.advance(place.sequence()).await?;
                }
            }
        }
        Ok(())
    }
}

/// The interfaces that do not keep leads for ever, deleted ones too, and the time from which on they keep them.
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
        NotForgotten::Journal(JournalError::LostRace) => tracing::info!("another process keeps the retention now"),
        NotForgotten::Journal(error) if error.is_logged() => {}
        NotForgotten::Journal(error) => tracing::warn!(error = error.chain(), "{what}"),
        NotForgotten::Store(error) => tracing::warn!(error = error.chain(), "{what}"),
    }
}
