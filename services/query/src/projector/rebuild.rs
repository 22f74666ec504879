//! Projects the stored facts of a stream, for a rebuild.

use std::{future::ready, time::Duration};

use journal::{Entry, StreamReader};
use read_model::project::Projected;
use tokio::{sync::mpsc, time::Instant};

use super::{
    reader::{Projectors, Reader, new_of},
    write::write,
};

/// The batch size of a rebuild. It is large, because no caller waits: a page of the database that many facts change is
/// written once.
const LARGE_BATCH: usize = 20_000;

/// How long a rebuild waits for facts from the broker.
const BROKER_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) async fn catch_up_with<T: Projected>(projectors: &Projectors) -> anyhow::Result<u64> {
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
            // A running query service projects as well. Because of the checkpoint, only one of them writes a batch.
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
