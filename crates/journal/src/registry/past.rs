//! The configuration at a time in the past, rebuilt from its facts.

use std::collections::VecDeque;

use domain::{Registry, RegistryFact};
use jiff::Timestamp;

use crate::{
    connection::connect::Journal,
    consume::reader::{Entry, StreamReader},
};

/// The maximum number of registry facts that are read at once.
const MAX_BATCH: usize = 500;

/// The registry, read forward from its first fact.
#[derive(Debug)]
pub struct PastRegistry {
    registry: Registry,
    changes: StreamReader<RegistryFact>,
    read: VecDeque<Entry<RegistryFact>>,
}

impl PastRegistry {
    pub fn of(journal: &Journal) -> Self {
        Self { registry: Registry::default(), changes: journal.facts().read(1), read: VecDeque::new() }
    }

    /// The registry up to a sequence. The sequence never decreases.
    pub async fn at(&mut self, sequence: u64) -> &Registry {
        self.apply_while(sequence, |_| true).await;
        &self.registry
    }

    /// The registry with the changes up to this time. The read ends at the sequence `newest`, so the fact there must
    /// not be older than this time.
    pub async fn at_time(&mut self, at: Timestamp, newest: u64) -> &Registry {
        self.apply_while(newest, |fact| fact.at <= at).await;
        &self.registry
    }

    async fn apply_while(&mut self, sequence: u64, wanted: impl Fn(&RegistryFact) -> bool) {
        while self.registry.sequence() < sequence {
            if self.read.is_empty() {
                self.read.extend(self.changes.next_batch(MAX_BATCH).await);
            }
            let is_due =
                |entry: &Entry<RegistryFact>| entry.sequence <= sequence && entry.value.as_ref().is_none_or(&wanted);
            match self.read.front() {
                Some(entry) if is_due(entry) => {
                    let Some(entry) = self.read.pop_front() else { return };
                    match &entry.value {
                        Some(fact) => self.registry.apply(entry.sequence, fact),
                        None => self.registry.pass_over(entry.sequence),
                    }
                }
                // The remaining facts are newer, or the drain has begun.
                _ => return,
            }
        }
    }
}
