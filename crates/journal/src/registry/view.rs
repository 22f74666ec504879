//! The live copy of the configuration: a reader of REGISTRY that never ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::jetstream::consumer::DeliverPolicy;
use domain::{DestinationId, Registry, RegistryFact, registry::Change};
use events::Record as _;
use runtime::{Platform, trace::TraceContext};
use tokio::sync::watch;

use crate::{
    connection::connect::Journal, error::JournalError, handles::RegistryLog, registry::freshness::Freshness,
    streams::StreamFact as _, subjects,
};

/// The maximum number of facts that are applied before readers see the result.
const MAX_BATCH: usize = 1_000;

/// The configuration, kept up to date. Clones share it.
#[derive(Debug, Clone)]
pub struct RegistryView {
    latest: watch::Receiver<Arc<Registry>>,
    pub(crate) journal: Journal,
    pub(crate) freshness: Arc<Freshness>,
    enabled_by: EnabledBy,
}

/// The trace context of the call that last enabled each destination, if it had one.
#[derive(Debug, Clone, Default)]
struct EnabledBy(Arc<Mutex<HashMap<DestinationId, TraceContext>>>);

impl EnabledBy {
    fn note(&self, fact: &RegistryFact, trace: &TraceContext) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &fact.change {
            Change::DestinationEnabled(_, id, _) if trace.ids().is_some() => {
                all.insert(id.clone(), trace.clone());
            }
            Change::DestinationEnabled(_, id, _) | Change::DestinationDeleted(_, id) => drop(all.remove(id)),
            _ => {}
        }
    }
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
        let enabled_by = EnabledBy::default();
        let noted = enabled_by.clone();
        platform.drain.spawn("registry view", async move {
            let mut registry = Registry::default();
            loop {
                let batch = facts.next_batch(MAX_BATCH).await;
                if batch.is_empty() {
                    return;
                }
                for entry in batch {
                    match &entry.value {
                        Some(fact) => {
                            noted.note(fact, &entry.trace);
                            registry.apply(entry.sequence, fact);
                        }
                        None => registry.pass_over(entry.sequence),
                    }
                }
                publish.send_replace(Arc::new(registry.clone()));
            }
        });
        let mut view = Self { latest, journal: journal.clone(), freshness: Arc::default(), enabled_by };
        let _ = view.latest.wait_for(|registry| registry.sequence() >= known).await;
        Ok(view)
    }

    /// The trace context of the call that last enabled a destination; empty if it had none.
    pub fn enabled_by(&self, destination: &DestinationId) -> TraceContext {
        let all = self.enabled_by.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(destination).cloned().unwrap_or_default()
    }

    pub fn snapshot(&self) -> Arc<Registry> {
        Arc::clone(&self.latest.borrow())
    }

    /// Waits until the configuration contains the fact at this sequence; `None` after the time `within`.
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
