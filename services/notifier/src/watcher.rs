//! From what is recorded of deliveries to what is called for: notices to people, events to destinations.
//!
//! Of all notifiers one at a time reads what was done in DELIVERIES, in order (`journal::Place`) and keeps what goes on at each destination
//! (`domain::notice::Watched`). Of a batch of facts this is done, in this order: the events that it calls for are
//! published, what goes on at the destinations is remembered together with the notices that it calls for, these are
//! called for, that they were is remembered, and the place is written. Whoever dies in between leaves behind what he has
//! not said, and the next one says it; both may have, so that is looked up before a mail goes out.
//!
//! Nothing is mailed from here: a mail server that is away holds up mails, and not the reading.

use std::collections::HashMap;

use domain::{
    DeliveryFact, DestinationId, NoticeFact,
    notice::{Called, Rules, Seen, Watch, Watched},
};
use futures::future::try_join_all;
use jiff::Timestamp;
use journal::{Entry, Journal, JournalError, Place, READER_OF_NOTICES, RegistryView};
use runtime::{Drain, ErrorChain as _, crash, trace::TraceContext};
use tokio::time::sleep_until;

use crate::operations;

/// How many facts are dealt with between two writings of the place, at most.
const BATCH: usize = 500;
/// The pause after the broker did not answer.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

pub(crate) struct Watcher {
    pub(crate) journal: Journal,
    pub(crate) registry: RegistryView,
    pub(crate) rules: Rules,
    pub(crate) drain: Drain,
}

/// What is remembered of a destination.
struct Remembered {
    watched: Watched,
    /// With which version it is stored; 0: it is not.
    version: u64,
    changed: bool,
    /// The trace of what was called for last.
    trace: TraceContext,
}

type Book = HashMap<DestinationId, Remembered>;

impl Watcher {
    pub(crate) async fn run(self) {
        while let Some(place) = self.journal.take_place(READER_OF_NOTICES).await {
            match self.follow(place).await {
                Ok(()) => {}
                Err(JournalError::LostRace) => tracing::info!("another notifier watches the deliveries now"),
                Err(error) => {
                    if !error.is_logged() {
                        tracing::warn!(error = error.chain(), "what people have to be told waits; trying again");
                    }
                    tokio::select! {
                        () = tokio::time::sleep(PAUSE) => {}
                        () = self.drain.stopping() => {}
                    }
                }
            }
        }
    }

    /// Reads on from a place, until the drain. After an error it is not known what of a batch was done; it is done again.
    async fn follow(&self, mut place: Place) -> Result<(), JournalError> {
        let mut book = self.book().await?;
        self.say(&mut book).await?;
        let mut facts = self.journal.replay_done(place.sequence() + 1);
        let (mut read, mut forgotten_at) = (place.sequence(), 0);
        while !self.drain.is_stopping() {
            let batch = facts.gather(BATCH, place.renew_at(), sleep_until(place.gather_until())).await;
            self.observe(&mut book, &batch).await?;
            self.tick(&mut book);
            self.remember(&mut book).await?;
            self.say(&mut book).await?;
            self.forget_deleted(&mut book, place.sequence(), &mut forgotten_at).await?;
            read = batch.last().map_or(read, |last| last.sequence);
            place.advance(read).await?;
        }
        place.leave().await
    }

    /// What is remembered. What was not said before, somebody may have begun to say.
    async fn book(&self) -> Result<Book, JournalError> {
        let stored = self.journal.watched().await?.into_iter();
        let remembered = stored.map(|(id, (mut watched, version))| {
            watched.unsaid.iter_mut().for_each(|notice| notice.again = true);
            (id, Remembered { watched, version, changed: false, trace: TraceContext::fresh() })
        });
        Ok(remembered.collect())
    }

    /// Adds a batch of facts to the book, and publishes the events that it calls for.
    async fn observe(&self, book: &mut Book, batch: &[Entry<DeliveryFact>]) -> Result<(), JournalError> {
        let mut events = vec![];
        for entry in batch {
            let Some(fact) = &entry.value else { continue };
            let (DeliveryFact::Attempted(_) | DeliveryFact::Abandoned(_)) = fact else { continue };
            let (sequence, published_at, now) = (entry.sequence, entry.published_at, Timestamp::now());
            let id = &fact.reference().destination;
            let mut remembered = book.remove(id).unwrap_or_else(|| Remembered {
                watched: Watched::new(fact.reference()),
                version: 0,
                changed: false,
                trace: TraceContext::fresh(),
            });
            let before = remembered.watched.watch.clone();
            for called in remembered.watched.observe(Seen { fact, sequence, published_at, now }, self.rules) {
                match called {
                    Called::Event(operation) => events.push((operation, entry, fact)),
                    Called::Notice(notice) => {
                        remembered.watched.unsaid.push(notice);
                        remembered.trace = entry.trace.clone();
                    }
                }
            }
            // Where all goes well there is nothing to remember.
            let after = &remembered.watched.watch;
            remembered.changed |= *after != (Watch { sequence: after.sequence, ..before });
            if remembered.changed || remembered.version > 0 {
                book.insert(id.clone(), remembered);
            }
        }
        let publishing = events.iter().map(|(operation, entry, fact)| {
            operations::publish(&self.journal, &self.registry, operation, fact, &entry.trace)
        });
        try_join_all(publishing).await?;
        if !events.is_empty() {
            crash::point("after events about deliveries are stored");
        }
        Ok(())
    }

    fn tick(&self, book: &mut Book) {
        let now = Timestamp::now();
        for remembered in book.values_mut() {
            let window = &remembered.watched.watch.window;
            if window.as_ref().is_some_and(|window| window.until <= now) {
                remembered.changed = true;
                let called = remembered.watched.tick(self.rules, now);
                remembered.watched.unsaid.extend(called);
            }
        }
    }

    /// Forgets what is remembered of deleted destinations that nothing is to be said about any more, if the configuration
    /// has changed since. What comes later, as of an attempt that was under way, is remembered again, and forgotten after the
    /// next change. What is not `settled` by the place may be read again, and has to be known then.
    async fn forget_deleted(&self, book: &mut Book, settled: u64, forgotten_at: &mut u64) -> Result<(), JournalError> {
        let registry = self.registry.snapshot();
        if *forgotten_at == registry.sequence() {
            return Ok(());
        }
        let is_deleted = |id: &DestinationId| registry.destination_ever(id).is_some_and(|d| d.deleted);
        let deleted: Vec<_> = book.keys().filter(|id| is_deleted(id)).cloned().collect();
        let mut is_complete = true;
        for id in deleted {
            let watched = &book[&id].watched;
            let is_over = watched.watch.window.is_none() && watched.unsaid.is_empty();
            if !is_over || watched.watch.sequence > settled {
                is_complete = false;
                continue;
            }
            self.journal.forget_destination(&id).await?;
            book.remove(&id);
        }
        if is_complete {
            *forgotten_at = registry.sequence();
        }
        Ok(())
    }

    /// Calls for what is called for and not said, and remembers that it is.
    async fn say(&self, book: &mut Book) -> Result<(), JournalError> {
        if book.values().all(|remembered| remembered.watched.unsaid.is_empty()) {
            return Ok(());
        }
        crash::point("before notices are called for");
        let saying = book.values().flat_map(|remembered| {
            let (unsaid, trace) = (&remembered.watched.unsaid, &remembered.trace);
            unsaid.iter().map(async |notice| {
                self.journal.append_notice(&NoticeFact::CalledFor(notice.clone()), trace).await.map(drop)
            })
        });
        try_join_all(saying).await?;
        crash::point("after notices are called for");
        for remembered in book.values_mut().filter(|remembered| !remembered.watched.unsaid.is_empty()) {
            remembered.watched.unsaid.clear();
            remembered.changed = true;
        }
        self.remember(book).await
    }

    async fn remember(&self, book: &mut Book) -> Result<(), JournalError> {
        let changed = book.values_mut().filter(|remembered| remembered.changed);
        let writing = changed.map(async |remembered| {
            remembered.version = self.journal.remember_watched(&remembered.watched, remembered.version).await?;
            remembered.changed = false;
            Ok::<_, JournalError>(())
        });
        try_join_all(writing).await.map(drop)
    }
}
