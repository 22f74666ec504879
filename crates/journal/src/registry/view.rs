//! The live copy of the configuration: a reader of REGISTRY that never ends.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::consumer::DeliverPolicy;
use domain::{Registry, RegistryFact};
use events::Record as _;
use runtime::Platform;
use tokio::sync::watch;

use crate::{Journal, JournalError, StreamFact as _, handles::RegistryLog, registry::freshness::Freshness, subjects};

/// The maximum number of facts that are applied before readers see them.
const MAX_BATCH: usize = 1_000;

/// The configuration, kept up to date. Clones share it.
#[derive(Debug, Clone)]
pub struct RegistryView {
    latest: watch::Receiver<Arc<Registry>>,
    pub(crate) journal: Journal,
    pub(crate) freshness: Arc<Freshness>,
}

impl RegistryView {
    /// Reads all of REGISTRY, then follows it until the drain.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn follow(journal: &Journal, platform: &Platform) -> Result<Self, JournalError> {
        let known = journal.stream(RegistryFact::STREAM).last_sequence().await?;
        let (publish, latest) = watch::channel(Arc::new(Registry::default()));
        let mut facts = journal.facts::<RegistryFact>().read(1);
        platform.drain.spawn("registry view", async move {
            let mut registry = Registry::default();
            loop {
                let batch = facts.next_batch(MAX_BATCH).await;
                if batch.is_empty() {
                    return;
                }
                for entry in batch {
                    match &entry.value {
                        Some(fact) => registry.apply(entry.sequence, fact),
                        None => registry.pass_over(entry.sequence),
                    }
                }
                publish.send_replace(Arc::new(registry.clone()));
            }
        });
        let mut view = Self { latest, journal: journal.clone(), freshness: Arc::default() };
        let _ = view.latest.wait_for(|registry| registry.sequence() >= known).await;
        Ok(view)
    }

    pub fn snapshot(&self) -> Arc<Registry> {
        Arc::clone(&self.latest.borrow())
    }

    /// Waits until the configuration contains the fact at this sequence; `None` if it does not within this time.
    pub async fn at_least(&self, sequence: u64, within: Duration) -> Option<Arc<Registry>> {
        let mut latest = self.latest.clone();
        let reached = latest.wait_for(|registry| registry.sequence() >= sequence);
        let registry = tokio::time::timeout(within, reached).await.ok()?.ok()?;
        Some(Arc::clone(&registry))
    }

    /// Waits for a configuration newer than `seen`.
    pub async fn changed_since(&self, seen: u64) -> Arc<Registry> {
        let mut latest = self.latest.clone();
        let changed = latest.wait_for(|registry| registry.sequence() > seen).await;
        match changed.ok().map(|registry| Arc::clone(&registry)) {
            Some(registry) => registry,
            // The drain has ended the view, so there will be no change.
            None => std::future::pending().await,
        }
    }
}

impl RegistryLog<'_> {
    /// Reads the stored configuration once, without following it.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn read_all(self) -> Result<Registry, JournalError> {
        let mut registry = Registry::default();
        let all = (RegistryFact::STREAM, subjects::ANYTHING.to_owned(), DeliverPolicy::All);
        self.journal
            .each_message(all.0, all.1, all.2, |message| {
                let (Ok(info), Ok(fact)) = (message.info(), RegistryFact::decode(message.payload.clone())) else {
                    return;
                };
                registry.apply(info.stream_sequence, &fact);
            })
            .await?;
        Ok(registry)
    }
}
