//! The follower: it fills the filter of known event ids, and keeps it complete.
//!
//! The first ids come from the read model, through query. The ids of later events are read from LEADS, without
//! payloads, unless this process stored the event itself. If LEADS no longer holds an event, only the read model has
//! its id, so the follower fills the filter again. The follower starts when a publisher first names an event id.

use std::{convert::Infallible, sync::Arc, time::Duration};

use domain::LeadEvent;
use journal::{Journal, JournalError, RangeError};
use runtime::ErrorChain as _;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::filter::{Filter, MAX_IDS};

/// The number of ids that are added under one lock. Publishers wait meanwhile.
const CHUNK: usize = 100;
/// The follower reads LEADS this many times within the deduplication window, and at least every [`MAX_INTERVAL`].
/// Between two reads, this process notes each event that it stores.
const READS_OF_WINDOW: u32 = 8;
const MIN_INTERVAL: Duration = Duration::from_millis(50);
const MAX_INTERVAL: Duration = Duration::from_secs(2);
/// The delay after the broker did not answer.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// The shortest delay before the filter is filled from the start again. The delay is also at least [`PAUSE_FACTOR`]
/// times the duration of filling.
const MIN_PAUSE: Duration = Duration::from_secs(5);
const PAUSE_FACTOR: u32 = 10;
/// The maximum number of events to read from LEADS. If more are missing, the read model is far behind, and reading them
/// would take minutes.
const MAX_MISSING: u64 = 10_000_000;

/// Why the filter is not complete.
#[derive(Debug, thiserror::Error)]
enum Incomplete {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("no query process answers")]
    NoQuery,
    #[error("LEADS no longer holds events that the filter lacks")]
    Gone,
    #[error("more than {MAX_IDS} event ids are known")]
    TooMany,
}

pub(super) struct Follower {
    pub(super) journal: Journal,
    pub(super) filter: Arc<Filter>,
    /// Notified when a publisher names an event id.
    pub(super) wanted: Arc<Notify>,
}

impl Follower {
    pub(super) async fn run(self) {
        let drain = self.journal.drain().clone();
        tokio::select! {
            _ = self.follow() => {}
            () = drain.stopping() => {}
        }
    }

    async fn follow(&self) -> Infallible {
        self.wanted.notified().await;
        loop {
            let began = Instant::now();
            let filled = self.fill().await;
            let took = began.elapsed();
            let why = match filled {
                Ok(done) => self.keep_complete(done).await,
                Err(why) => why,
            };
            self.filter.stop();
            tracing::debug!(error = why.chain(), "cannot keep filter of known event ids complete; filling it again");
            sleep((took * PAUSE_FACTOR).max(MIN_PAUSE)).await;
        }
    }

    /// Adds the ids of the read model. Returns the sequence of LEADS up to which no id is missing.
    async fn fill(&self) -> Result<u64, Incomplete> {
        self.filter.start();
        let (mut after, mut checkpoint, mut count) = (None, u64::MAX, 0);
        loop {
            let page_began = Instant::now();
            let page = self.journal.known_events().ask_for_page(after).await?.ok_or(Incomplete::NoQuery)?;
            checkpoint = checkpoint.min(page.checkpoint);
            for chunk in page.events.chunks(CHUNK) {
                let ids: Vec<_> =
                    chunk.iter().map(|(account, event_id)| LeadEvent::message_id_of(account, event_id)).collect();
                count = self.filter.add(ids.iter().map(String::as_str));
            }
            if count > MAX_IDS {
                return Err(Incomplete::TooMany);
            }
            after = page.events.into_iter().next_back();
            if after.is_none() {
                break;
            }
            // The pause leaves the database to other work.
            sleep(page_began.elapsed()).await;
        }
        tracing::info!(ids = count, "filled the filter of known event ids");
        Ok(checkpoint)
    }

    async fn keep_complete(&self, mut done: u64) -> Incomplete {
        loop {
            match self.catch_up(done).await {
                Ok(to) => done = to,
                Err(RangeError::Gone) => return Incomplete::Gone,
                Err(RangeError::Journal(error)) => {
                    tracing::debug!(error = error.chain(), "cannot read the ids of lead events; retrying");
                    sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    /// Adds the ids of the events after a sequence. Returns the sequence up to which no id is missing now.
    async fn catch_up(&self, done: u64) -> Result<u64, RangeError> {
        let since = std::time::Instant::now();
        let reach = self.journal.leads().bounds().await?;
        if reach.first > done + 1 || reach.last < done {
            return Err(RangeError::Gone);
        }
        // Meanwhile this process learns the sequences of the events that it stored, which need not be read.
        sleep((reach.dedup_window / READS_OF_WINDOW).clamp(MIN_INTERVAL, MAX_INTERVAL)).await;
        let missing = self.filter.missing(done, reach.last);
        if missing.iter().map(|range| range.end() - range.start()).sum::<u64>() > MAX_MISSING {
            return Err(RangeError::Gone);
        }
        for range in missing {
            let add = |id: &str| {
                self.filter.add([id]);
            };
            self.journal.leads().event_ids(range, add).await?;
        }
        // The other half of the window is for events on their way: the broker has to recognise them on arrival.
        self.filter.complete(reach.last, since, reach.dedup_window / 2);
        Ok(reach.last)
    }
}
