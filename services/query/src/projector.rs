//! The projector: one loop for each stream writes its facts into the read model, batch by batch.
//!
//! One transaction writes a batch and the checkpoint of its stream, so each fact counts exactly once. The streams are
//! not ordered against each other, and the projector does not need them to be.

use std::{future::ready, time::Duration};

use domain::{AnonymisationFact, DeliveryFact, JobFact, NoticeFact, RegistryFact};
use futures::future::{BoxFuture, FutureExt as _};
use journal::{Entry, Journal, StreamName, StreamReader};
use read_model::{
    Store, StoreError,
    flush_hint::FlushHints,
    hashing::Hashing,
    project::{Projected, Received},
};
use runtime::{
    ErrorChain as _, Latch, NeededBy, Platform, crash,
    trace::{self, TraceContext},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tracing::{Instrument as _, Span, info_span};

use crate::audit_fields;

/// At most this many facts are in one transaction.
const MAX_BATCH: usize = 4_000;
/// The batch size of a rebuild, when no caller waits: a page that many facts change is written once.
const LARGE_BATCH: usize = 20_000;
/// How often an idle projector compares the checkpoint with its own position.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long facts are gathered after the start of the previous transaction. A single fact is shown at once. When facts
/// follow each other quickly, a few large transactions cost a fraction of many small ones: a page that many facts
/// change is written once, and so is a delivery that is requested and done meanwhile.
const GATHER: Duration = Duration::from_millis(100);
/// Facts are gathered for this multiple of the duration of the previous transaction if that is longer and no caller
/// waits for them, and for at most [`MAX_GATHER`].
const GATHER_FACTOR: u32 = 5;
const MAX_GATHER: Duration = Duration::from_secs(1);
/// How long a rebuild waits for facts from the broker.
const BROKER_TIMEOUT: Duration = Duration::from_secs(60);
/// The span of a transaction links to at most this many facts: the SDK keeps no more.
const MAX_LINKS: usize = 128;
/// The delay after the database failed or another process moved the checkpoint.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// The sources and the target of every projector.
#[derive(Clone)]
pub(crate) struct Projectors {
    pub(crate) journal: Journal,
    pub(crate) store: Store,
    /// `None` if a rebuild hashes no values.
    pub(crate) hashing: Option<Hashing>,
}

/// A stream that is projected.
struct Kind {
    stream: StreamName,
    /// The name of its projector in the readiness.
    projector: &'static str,
    spawn: fn(&'static str, &Projectors, &Platform),
    catch_up: for<'a> fn(&'a Projectors) -> BoxFuture<'a, anyhow::Result<u64>>,
}

/// Every stream that is projected, in the order in which a rebuild projects them.
const KINDS: [Kind; 6] = [
    kind::<RegistryFact>("registry projector"),
    kind::<Received>("leads projector"),
    kind::<NoticeFact>("notices projector"),
    kind::<JobFact>("jobs projector"),
    kind::<AnonymisationFact>("anonymised projector"),
    kind::<DeliveryFact>("deliveries projector"),
];

const fn kind<T: Projected>(projector: &'static str) -> Kind {
    Kind {
        stream: T::STREAM,
        projector,
        spawn: spawn::<T>,
        catch_up: |projectors| catch_up_with::<T>(projectors).boxed(),
    }
}

pub(crate) fn start(projectors: &Projectors, platform: &Platform) {
    for Kind { projector, spawn, .. } in KINDS {
        spawn(projector, projectors, platform);
    }
}

fn spawn<T: Projected>(name: &'static str, projectors: &Projectors, platform: &Platform) {
    let latch = platform.readiness.latch_for(name, NeededBy::Only(&["query"]));
    latch.ready();
    let mut health = ProjectorHealth { stream: T::STREAM, latch, failure: None };
    let (projectors, drain) = (projectors.clone(), platform.drain.clone());
    platform.drain.spawn(name, async move {
        while !drain.is_stopping() {
            if let Err(error) = follow::<T>(&projectors, &mut health).await {
                health.fails(&error);
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_DELAY) => {}
                () = drain.stopping() => {}
            }
        }
    });
}

/// Reports whether a projector works: in its readiness, and in the log once for each reason.
struct ProjectorHealth {
    stream: StreamName,
    latch: Latch,
    /// Why the projector is stopped; `None` if it works.
    failure: Option<String>,
}

impl ProjectorHealth {
    fn works(&mut self) {
        if self.failure.take().is_some() {
            tracing::info!(stream = self.stream.as_str(), "projector resumed");
        }
        self.latch.ready();
    }

    fn fails(&mut self, error: &StoreError) {
        let why = error.chain();
        if self.failure.as_ref() != Some(&why) {
            let public = error.public();
            tracing::warn!(
                stream = self.stream.as_str(),
                error = error.chain(),
                "projector stopped: {public}; retrying"
            );
        }
        self.latch.not_ready(error.public());
        self.failure = Some(why);
    }
}

/// Follows a stream from its checkpoint. Returns when the drain begins or another process moved the checkpoint.
async fn follow<T: Projected>(projectors: &Projectors, health: &mut ProjectorHealth) -> Result<(), StoreError> {
    let Projectors { journal, store, hashing } = projectors;
    let mut at = store.checkpoint(T::STREAM).await?;
    let mut reader = Reader::<T>::after(projectors, at);
    let (mut begun, mut took) = (Instant::now(), Duration::ZERO);
    loop {
        let mut batch = reader
            .next_batch(Instant::now() + CHECK_INTERVAL, || enough(&store.flush_hints, T::STREAM, begun, took))
            .await;
        let Some(last) = batch.last() else {
            // There is no new fact, but another process may have wiped the read model meanwhile.
            let is_unmoved = store.checkpoint(T::STREAM).await? == at;
            health.works();
            if !journal.drain().is_stopping() && is_unmoved {
                continue;
            }
            return Ok(());
        };
        let to = last.sequence;
        if !T::complete(&mut batch, hashing.as_ref()).await {
            if !journal.drain().is_stopping() {
                tracing::warn!(
                    stream = T::STREAM.as_str(),
                    "the configuration that an event needs is not known; reading again"
                );
            }
            return Ok(());
        }
        begun = Instant::now();
        let Some(written_in) = write(store, at, to, &batch, &mut reader.memory).await? else {
            tracing::debug!(stream = T::STREAM.as_str(), "another process moved the checkpoint; reading again");
            return Ok(());
        };
        store.projected_in(written_in);
        health.works();
        at = to;
        took = written_in;
    }
}

/// Waits until the next transaction may begin, given the start and the duration of the previous one.
async fn enough(flush_hints: &FlushHints, stream: StreamName, begun: Instant, took: Duration) {
    sleep_until(begun + GATHER).await;
    tokio::select! {
        () = sleep_until(begun + (took * GATHER_FACTOR).min(MAX_GATHER)) => {}
        () = flush_hints.requested(stream) => {}
    }
}

/// The facts of a stream after its checkpoint, and the memory of those before it.
struct Reader<T: Projected> {
    facts: StreamReader<T>,
    at: u64,
    memory: T::Memory,
}

impl<T: Projected> Reader<T> {
    fn after(projectors: &Projectors, at: u64) -> Self {
        let from = if T::REMEMBERS { 1 } else { at + 1 };
        let hashing = projectors.hashing.clone();
        let facts = projectors.journal.facts().read(from).stripped(move |fact: &mut T| fact.strip(hashing.as_ref()));
        Self { facts, at, memory: T::memory(audit_fields::state) }
    }

    /// The next facts, gathered by [`StreamReader::gather`].
    async fn next_batch<F: Future<Output = ()>>(&mut self, first_by: Instant, enough: impl Fn() -> F) -> Vec<Entry<T>> {
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
fn new_of<T: Projected>(mut batch: Vec<Entry<T>>, after: u64, memory: &mut T::Memory) -> Vec<Entry<T>> {
    let known = batch.partition_point(|entry| entry.sequence <= after);
    T::remember(memory, &batch[..known]);
    batch.drain(..known);
    batch
}

/// Writes facts and moves the checkpoint. Returns how long that took, without the wait for another transaction: only
/// the work of this transaction decides how long the next facts are gathered. `None` if another process moved the
/// checkpoint.
async fn write<T: Projected>(
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

/// Projects all stored facts, then returns; for a rebuild. Returns the number of facts.
pub(crate) async fn catch_up(projectors: &Projectors) -> anyhow::Result<u64> {
    let mut count = 0;
    for Kind { stream, catch_up, .. } in KINDS {
        let facts = catch_up(projectors).await?;
        tracing::info!(stream = stream.as_str(), facts, "projected");
        count += facts;
    }
    Ok(count)
}

async fn catch_up_with<T: Projected>(projectors: &Projectors) -> anyhow::Result<u64> {
    let Projectors { journal, store, hashing } = projectors;
    let end = journal.stream(T::STREAM).last_sequence().await?;
    let (mut count, mut at) = (0, store.checkpoint(T::STREAM).await?);
    let mut ahead = ReadAhead::<T>::after(projectors, at, end);
    while at < end {
        let Some(mut batch) = ahead.next_batch().await else {
            // The eraser may have erased the last fact meanwhile.
            anyhow::ensure!(
                journal.stream(T::STREAM).last_sequence().await? <= at,
                "the broker gave no more facts before the read model was complete; rebuild it again"
            );
            break;
        };
        anyhow::ensure!(
            T::complete(&mut batch, hashing.as_ref()).await,
            "the configuration that an event needs is not known; rebuild the read model again"
        );
        let to = batch.last().map_or(at, |last| last.sequence);
        if write(store, at, to, &batch, &mut ahead.memory).await?.is_some() {
            count += batch.len() as u64;
            at = to;
        } else {
            // A running query service projects as well; the checkpoint lets only one of them write a batch.
            at = store.checkpoint(T::STREAM).await?;
            ahead = ReadAhead::after(projectors, at, end);
        }
    }
    Ok(count)
}

/// The facts of a stream up to its end, in batches of [`LARGE_BATCH`]. The next batch is read while one is written.
struct ReadAhead<T: Projected> {
    batches: mpsc::Receiver<Vec<Entry<T>>>,
    at: u64,
    memory: T::Memory,
}

impl<T: Projected> ReadAhead<T> {
    fn after(projectors: &Projectors, at: u64, end: u64) -> Self {
        let Reader { mut facts, memory, .. } = Reader::<T>::after(projectors, at);
        let (read, batches) = mpsc::channel(1);
        tokio::spawn(async move {
            // One batch is being written, and one more is in memory.
            while let Ok(room) = read.reserve().await {
                let batch = large_batch(&mut facts, end).await;
                let is_last = batch.last().is_none_or(|last| last.sequence >= end);
                if !batch.is_empty() {
                    room.send(batch);
                }
                if is_last {
                    return;
                }
            }
        });
        Self { batches, at, memory }
    }

    async fn next_batch(&mut self) -> Option<Vec<Entry<T>>> {
        loop {
            let new = new_of(self.batches.recv().await?, self.at, &mut self.memory);
            if !new.is_empty() {
                return Some(new);
            }
        }
    }
}

/// The facts up to a sequence, at most [`LARGE_BATCH`]; fewer once the drain has begun.
async fn large_batch<T: Projected>(facts: &mut StreamReader<T>, until: u64) -> Vec<Entry<T>> {
    let mut large: Vec<Entry<T>> = vec![];
    while large.len() < LARGE_BATCH && large.last().is_none_or(|last| last.sequence < until && last.pending > 0) {
        let batch = facts.gather(LARGE_BATCH - large.len(), Instant::now() + BROKER_TIMEOUT, ready(())).await;
        if batch.is_empty() {
            break;
        }
        large.extend(batch);
    }
    large
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_projected_stream_has_one_projector() {
        let mut streams = KINDS.map(|kind| kind.stream.as_str());
        let mut projected: Vec<_> = StreamName::projected().map(StreamName::as_str).collect();
        streams.sort_unstable();
        projected.sort_unstable();
        assert_eq!(streams[..], projected[..]);
    }

    #[tokio::test(start_paused = true)]
    async fn facts_are_gathered_longer_after_slow_transactions_unless_a_caller_waits() {
        let flush_hints = FlushHints::default();
        let gathers = async |took: u64| {
            let begun = Instant::now();
            enough(&flush_hints, StreamName::Deliveries, begun, Duration::from_millis(took)).await;
            begun.elapsed()
        };
        for (took, gathered) in [(0, GATHER), (50, Duration::from_millis(250)), (5_000, MAX_GATHER)] {
            assert_eq!(gathers(took).await, gathered, "after {took} ms");
        }
        let waits = async {
            loop {
                flush_hints.request(StreamName::Deliveries);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let gathered = tokio::select! { gathered = gathers(5_000) => gathered, () = waits => unreachable!() };
        assert!((GATHER..GATHER * 2).contains(&gathered), "{gathered:?}");
    }
}
