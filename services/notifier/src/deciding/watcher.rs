//! The watcher: it turns facts about deliveries into notices for people and events for destinations.
//!
//! One notifier at a time, the leader, reads the outcomes in DELIVERIES in order (`journal::leader`) and keeps the
//! health of each destination (`domain::notice::DestinationState`). For a batch of facts it takes these steps:
//!
//! 1. It publishes the events that the facts call for.
//! 2. It stores the health of the destinations with their pending notices.
//! 3. It appends the pending notices, and stores that they are appended.
//! 4. It stores the lease.
//!
//! If a leader dies in between, the next one appends the pending notices. Both may have appended them, so the next one
//! marks them with `again`, and the mailer looks up a marked notice before it sends a mail.
//!
//! The watcher sends no mail, so it continues while the mail server does not answer.

use std::collections::HashMap;

use domain::{
    DeliveryFact, DestinationId, EventType, NoticeFact, NoticeId,
    notice::{About, DestinationHealth, DestinationState, Observed, Reaction, Rules},
};
use futures::future::try_join_all;
use jiff::Timestamp;
use journal::{Entry, Journal, JournalError, NOTIFIER_LEASE, ReaderLease, RegistryView, leader};
use runtime::{Drain, crash, trace::TraceContext};
use tokio::time::sleep_until;

use crate::deciding::operations;

/// The maximum number of facts that are read between two writes of the lease.
const MAX_BATCH: usize = 500;

pub(crate) struct Watcher {
    pub(crate) journal: Journal,
    pub(crate) registry: RegistryView,
    pub(crate) rules: Rules,
    pub(crate) drain: Drain,
}

/// The state of a destination in the memory of the leader.
struct Remembered {
    watched: DestinationState,
    /// The version in the store; 0 if it is not stored.
    version: u64,
    changed: bool,
    /// The traces of the facts that called for the pending notices. A notice that collects failures has no such trace;
    /// it starts a new one.
    traces: HashMap<NoticeId, TraceContext>,
}

/// The states of the destinations that have failed.
type Book = HashMap<DestinationId, Remembered>;

impl Watcher {
    pub(crate) async fn run(self) {
        leader::run(&self.journal, NOTIFIER_LEASE, |lease| self.follow(lease)).await;
    }

    /// Reads from the position of the lease, until the drain begins. After an error the whole batch is read again,
    /// although parts of its results may be stored.
    async fn follow(&self, mut lease: ReaderLease) -> Result<(), JournalError> {
        let mut book = self.book().await?;
        self.append_pending(&mut book).await?;
        let mut facts = self.journal.deliveries().read_done(lease.sequence() + 1);
        let (mut read, mut forgotten_at) = (lease.sequence(), 0);
        while !self.drain.is_stopping() {
            let batch = facts.gather(MAX_BATCH, lease.renew_at(), sleep_until(lease.gather_until())).await;
            self.observe(&mut book, &batch).await?;
            self.tick(&mut book);
            self.remember(&mut book).await?;
            self.append_pending(&mut book).await?;
            self.forget_deleted(&mut book, lease.sequence(), &mut forgotten_at).await?;
            read = batch.last().map_or(read, |last| last.sequence);
            lease.advance(read).await?;
        }
        lease.leave().await
    }

    /// Reads the stored states. The previous leader may have appended some of the pending notices, so all of them are
    /// marked with `again`.
    async fn book(&self) -> Result<Book, JournalError> {
        let stored = self.journal.notifier_state().destinations().await?.into_iter();
        let remembered = stored.map(|(id, (mut watched, version))| {
            watched.pending.iter_mut().for_each(|notice| notice.again = true);
            (id, Remembered { watched, version, changed: false, traces: HashMap::new() })
        });
        Ok(remembered.collect())
    }

    /// Adds a batch of facts to the book and publishes the events that the facts call for.
    async fn observe(&self, book: &mut Book, batch: &[Entry<DeliveryFact>]) -> Result<(), JournalError> {
        let mut events = vec![];
        for entry in batch {
            let Some(fact) = &entry.value else { continue };
            let (DeliveryFact::Attempted(_) | DeliveryFact::Abandoned(_)) = fact else { continue };
            let (sequence, published_at, now) = (entry.sequence, entry.published_at, Timestamp::now());
            let id = &fact.reference().destination;
            let mut remembered = book.remove(id).unwrap_or_else(|| Remembered {
                watched: DestinationState::new(fact.reference()),
                version: 0,
                changed: false,
                traces: HashMap::new(),
            });
            let before = remembered.watched.health.clone();
            for called in remembered.watched.observe(Observed { fact, sequence, published_at, now }, self.rules) {
                match called {
                    Reaction::Event(operation) => {
                        if operation.event_type.as_str() == EventType::DESTINATION_RECOVERED {
                            entry.trace.within(|| tracing::info!(destination = %id, "destination recovered"));
                        }
                        events.push((operation, entry, fact));
                    }
                    Reaction::Notice(notice) => {
                        if !matches!(notice.about, About::FurtherFailures { .. }) {
                            remembered.traces.insert(notice.notice, entry.trace.clone());
                        }
                        remembered.watched.pending.push(notice);
                    }
                }
            }
            // A destination without failures needs no state.
            let after = &remembered.watched.health;
            remembered.changed |= *after != (DestinationHealth { sequence: after.sequence, ..before });
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
            let window = &remembered.watched.health.window;
            if window.as_ref().is_some_and(|window| window.until <= now) {
                remembered.changed = true;
                let called = remembered.watched.tick(self.rules, now);
                remembered.watched.pending.extend(called);
            }
        }
    }

    /// Forgets deleted destinations that have no open window and no pending notices. A state that includes facts after
    /// `settled` is kept, because these facts may be read again.
    ///
    /// `forgotten_at` is the version of the registry at which no deleted destination was left; until the registry
    /// changes, nothing is done. A fact about an attempt in flight may come later and make a new state. That state is
    /// forgotten after the next change of the registry.
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
            let is_over = watched.health.window.is_none() && watched.pending.is_empty();
            if !is_over || watched.health.sequence > settled {
                is_complete = false;
                continue;
            }
            self.journal.notifier_state().remove_destination(&id).await?;
            book.remove(&id);
        }
        if is_complete {
            *forgotten_at = registry.sequence();
        }
        Ok(())
    }

    /// Appends the pending notices and stores that they are appended.
    async fn append_pending(&self, book: &mut Book) -> Result<(), JournalError> {
        if book.values().all(|remembered| remembered.watched.pending.is_empty()) {
            return Ok(());
        }
        crash::point("before notices are called for");
        let appending = book.values().flat_map(|remembered| {
            remembered.watched.pending.iter().map(async |notice| {
                let trace = remembered.traces.get(&notice.notice).cloned().unwrap_or_default();
                self.journal.notices().append(&NoticeFact::CalledFor(notice.clone()), &trace).await.map(drop)
            })
        });
        try_join_all(appending).await?;
        crash::point("after notices are called for");
        for remembered in book.values_mut().filter(|remembered| !remembered.watched.pending.is_empty()) {
            remembered.watched.pending.clear();
            remembered.traces.clear();
            remembered.changed = true;
        }
        self.remember(book).await
    }

    async fn remember(&self, book: &mut Book) -> Result<(), JournalError> {
        let changed = book.values_mut().filter(|remembered| remembered.changed);
        let writing = changed.map(async |remembered| {
            remembered.version =
                self.journal.notifier_state().store_destination(&remembered.watched, remembered.version).await?;
            remembered.changed = false;
            Ok::<_, JournalError>(())
        });
        try_join_all(writing).await.map(drop)
    }
}
