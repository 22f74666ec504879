//! The trait of the kinds of facts that the projector writes into the read model, one stream each.

use journal::{Entry, StreamFact};
use sqlx::{Any, Transaction};

use super::audit::Describe;
use crate::{error::StoreError, hashing::Hashing};

/// A kind of fact that the projector writes into the read model.
pub trait Projected: StreamFact {
    /// What a batch needs to know of earlier facts.
    type Memory: Send;
    /// Whether [`Self::Memory`] is used. If so, the projector reads the stream from its beginning.
    const REMEMBERS: bool = false;

    /// The memory before the first fact.
    fn memory(describe: Describe) -> Self::Memory;

    /// Drops the parts that the read model does not need, so that a batch does not hold them. Searchable values are
    /// hashed first, if there is a `Hashing`.
    fn strip(&mut self, _: Option<&Hashing>) {}

    /// Strips the facts that could not be stripped when they were read. Returns `false` if one of them has to wait
    /// longer.
    fn complete(_: &mut [Entry<Self>], _: Option<&Hashing>) -> impl Future<Output = bool> + Send {
        async { true }
    }

    /// Adds facts before the checkpoint to the memory.
    fn remember(_: &mut Self::Memory, _: &[Entry<Self>]) {}

    /// Writes a batch into the read model.
    fn project(
        transaction: &mut Transaction<'static, Any>,
        batch: &[Entry<Self>],
        memory: &mut Self::Memory,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The readable facts of a batch with their sequences.
pub(super) fn readable<T>(batch: &[Entry<T>]) -> impl Iterator<Item = (u64, &T)> {
    batch.iter().filter_map(|entry| Some((entry.sequence, entry.value.as_ref()?)))
}
