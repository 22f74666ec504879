//! Writes a batch of facts into the read model.

use std::time::Duration;

use journal::Entry;
use read_model::{Store, StoreError, project::Projected};
use runtime::{
    crash,
    trace::{self, TraceContext},
};
use tokio::time::Instant;
use tracing::{Instrument as _, Span, info_span};

/// The span of a transaction links to at most this many facts: the SDK keeps no more.
const MAX_LINKS: usize = 128;

/// Writes facts and moves the checkpoint. Returns how long that took; `None` if another process moved the checkpoint.
/// The duration does not include the wait for another transaction, because only the work of this transaction decides
/// how long the next facts are gathered.
pub(super) async fn write<T: Projected>(
    store: &Store,
    from: u64,
    to: u64,
    batch: &[Entry<T>],
    memory: &mut T::Memory,
) -> Result<Option<Duration>, StoreError> {
    let writing = async {
        let Some(mut transaction) = store.advance(T::STREAM, from, to).await? else { return Ok(None) };
        let begun = Instant::now();
        T::project(&mut transaction, batch, memory).await?;
        crash::point("before the read model is written");
        transaction.commit().await?;
        crash::point("after the read model is written");
        Ok(Some(begun.elapsed()))
    };
    store.projecting(writing).instrument(span(batch)).await
}

/// The span of a transaction, with links to at most [`MAX_LINKS`] sampled facts; disabled if no fact is sampled.
fn span<T: Projected>(batch: &[Entry<T>]) -> Span {
    if !trace::exporting() {
        return Span::none();
    }
    let sampled = batch.iter().filter(|entry| entry.trace.is_sampled()).take(MAX_LINKS);
    let causes: Vec<_> = sampled.map(|entry| (entry.trace.clone(), "fact")).collect();
    if causes.is_empty() {
        return Span::none();
    }
    let stream = T::STREAM.as_str();
    let make = || {
        let span = info_span!(parent: None, "project", otel.kind = "consumer", otel.name = format!("process {stream}"));
        trace::described(span, ("process", "process"), stream)
    };
    let (span, _) = TraceContext::enter_linked(&causes, make);
    trace::of_batch(&span, batch.len());
    span
}
