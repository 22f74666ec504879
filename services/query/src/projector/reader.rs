//! Reads the facts of a stream that the read model does not contain yet.

use journal::{Entry, Journal, StreamReader};
use read_model::{Store, hashing::Hashing, project::Projected};
use tokio::time::Instant;

use crate::audit_fields;

/// At most this many facts are in one transaction.
const MAX_BATCH: usize = 4_000;

/// The sources and the target of every projector.
#[derive(Clone)]
pub(crate) struct Projectors {
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    /// `None` if a rebuild hashes no values.
    pub(crate) hashing: Option<Hashing>,
}

/// The facts of a stream after its checkpoint, and the memory of earlier facts.
pub(super) struct Reader<T: Projected> {
    pub(super) facts: StreamReader<T>,
    pub(super) at: u64,
    pub(super) memory: T::Memory,
}

impl<T: Projected> Reader<T> {
    pub(super) fn after(projectors: &Projectors, at: u64) -> Self {
        let from = if T::REMEMBERS { 1 } else { at + 1 };
        let hashing = projectors.hashing.clone();
        let facts = projectors.journal.facts().read(from).stripped(move |fact: &mut T| fact.strip(hashing.as_ref()));
        Self { facts, at, memory: T::memory(audit_fields::state) }
    }

    /// The next facts, gathered by [`StreamReader::gather`].
    pub(super) async fn next_batch<F: Future<Output = ()>>(
        &mut self,
        first_by: Instant,
        enough: impl Fn() -> F,
    ) -> Vec<Entry<T>> {
        loop {
            let batch = self.facts.gather(MAX_BATCH, first_by, enough()).await;
            let (any, new) = (!batch.is_empty(), new_of(batch, self.at, &mut self.memory));
            if !any || !new.is_empty() {
                return new;
            }
        }
    }
}

/// The facts after a sequence; earlier ones go into the memory.
pub(super) fn new_of<T: Projected>(mut batch: Vec<Entry<T>>, after: u64, memory: &mut T::Memory) -> Vec<Entry<T>> {
    let known = batch.partition_point(|entry| entry.sequence <= after);
    T::remember(memory, &batch[..known]);
    batch.drain(..known);
    batch
}
