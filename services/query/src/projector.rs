//! The projector: one loop for each stream writes its facts into the read model, batch by batch.
//!
//! One transaction writes a batch and the checkpoint of its stream, so each fact counts exactly once. The streams are
//! not ordered against each other, and the projector does not need them to be.

mod health;
mod reader;
mod rebuild;
mod write;

use std::time::Duration;

use domain::{AnonymisationFact, DeliveryFact, JobFact, NoticeFact, RegistryFact};
use futures::future::{BoxFuture, FutureExt as _};
use journal::StreamName;
use read_model::{
    StoreError,
    flush_hint::FlushHints,
    project::{Projected, Received},
};
use runtime::{NeededBy, Platform};
use tokio::time::{Instant, sleep_until};

pub(crate) use self::reader::Projectors;
use self::{health::ProjectorHealth, reader::Reader, rebuild::catch_up_with, write::write};

/// How often an idle projector compares the checkpoint with its own position.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long facts are gathered after the start of the previous transaction. A single fact is shown at once. If facts
/// follow each other quickly, a few large transactions cost a fraction of many small ones: a page of the database that
/// many facts change is written once. A delivery that is requested and ends within one batch is also written once.
const GATHER: Duration = Duration::from_millis(100);
/// If no caller waits for the facts, they are gathered for this multiple of the duration of the previous transaction.
/// This time is at least [`GATHER`] and at most [`MAX_GATHER`].
const GATHER_FACTOR: u32 = 5;
const MAX_GATHER: Duration = Duration::from_secs(1);
/// The delay before the stream is read again, after the database failed or another process moved the checkpoint.
const RETRY_DELAY: Duration = Duration::from_millis(500);

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
