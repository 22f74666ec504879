//! The eraser removes anonymised content from the streams. The projectors note which messages it has to erase.
//!
//! Guarantee: a note is removed after its work is done. If a process dies before that, the next one finds the note. So
//! each step may be done twice, with the same result.
//!
//! Every process erases, because each may have its own read model.

use std::{sync::Arc, time::Duration};

use domain::{
    DeliveryFact, LeadEvent, LeadSequence,
    anonymisation::{blank_attempt, blank_event, due_now, end_of},
};
use jiff::Timestamp;
use journal::{Journal, JournalError, StreamName};
use read_model::{Sources, Store, tables::erasures::Erasure};
use runtime::{Drain, Platform, crash, publishing, trace::TraceContext};
use tokio::{sync::Notify, time::Instant};

use crate::anonymise_error::NotAnonymised;

/// The interval of searches for notes.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// The delay after the broker or the database failed.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// At most this many messages are erased, or deliveries ended, in one round.
const MAX_BATCH: u32 = 500;
/// The time between two vacuums of PostgreSQL. It is long, because a vacuum reads each changed table completely.
const VACUUM_INTERVAL: Duration = Duration::from_secs(600);

pub(super) fn start(sources: &Sources, platform: &Platform) {
    let Sources { journal, store, .. } = sources;
    let erased = Arc::new(Notify::new());
    let eraser = Eraser {
        journal: journal.clone(),
        store: store.clone(),
        drain: platform.drain.clone(),
        erased: Arc::clone(&erased),
    };
    platform.drain.spawn("erasing", eraser.run());
    platform.drain.spawn("vacuum", vacuum(store.clone(), platform.drain.clone(), erased));
}

struct Eraser {
    journal: Journal,
    store: Store,
    drain: Drain,
    /// Notified when old versions of blanked rows may be left in the database.
    erased: Arc<Notify>,
}

impl Eraser {
    async fn run(self) {
        // The files of the database may still hold rows that were blanked before the process started.
        let mut dirty = true;
        while !self.drain.is_stopping() {
            let wait = match self.round(&mut dirty).await {
                Ok(true) => continue,
                Ok(false) => CHECK_INTERVAL,
                Err(error) => {
                    error.warn("cannot erase anonymised messages; retrying");
                    RETRY_DELAY
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.drain.stopping() => {}
            }
        }
    }

    /// Works on one batch of notes. Returns whether there may be more.
    async fn round(&self, dirty: &mut bool) -> Result<bool, NotAnonymised> {
        let done = [self.end_deliveries().await?, self.search().await?, self.erase().await?];
        *dirty |= done.iter().any(|&count| count > 0);
        let more = done.iter().any(|&count| count >= MAX_BATCH as usize);
        if *dirty && !more {
            *dirty = !self.store.scrub().await?;
            self.erased.notify_one();
        }
        Ok(more)
    }

    async fn end_deliveries(&self) -> Result<usize, NotAnonymised> {
        let Self { journal, store, .. } = self;
        let endings = store.endings(MAX_BATCH).await?;
        for delivery in &endings {
            if let Some(delivery) = store.delivery(*delivery).await?
                && let Some(end) = end_of(&delivery, Timestamp::now())
            {
                let make = || publishing!(StreamName::Deliveries, leadline.delivery.id = %delivery.reference.delivery);
                let (_span, trace) = TraceContext::enter(None, make);
                if let Some(work) = due_now(&delivery) {
                    journal.timers().schedule(&work, Timestamp::now(), &trace).await?;
                }
                journal.deliveries().append(&end, &trace).await?;
            }
            store.ended(*delivery).await?;
        }
        Ok(endings.len())
    }

    /// Erases anonymised leads from the quarantine.
    async fn search(&self) -> Result<usize, NotAnonymised> {
        let Self { journal, store, .. } = self;
        let searches = store.searches(MAX_BATCH).await?;
        let leads: Vec<_> = searches.iter().map(|(account, lead, _)| (account.clone(), lead.clone())).collect();
        let found = journal.quarantine().erase(&leads).await?;
        if found > 0 {
            tracing::info!(messages = found, "erased anonymised messages from the quarantine");
        }
        store.searched(&searches).await?;
        Ok(searches.len())
    }

    async fn erase(&self) -> Result<usize, NotAnonymised> {
        let store = &self.store;
        let erasures = store.erasures(MAX_BATCH).await?;
        let mut erased = 0;
        for erasure in &erasures {
            let began = Instant::now();
            match *erasure {
                Erasure::Event(sequence) => self.erase_event(sequence).await?,
                Erasure::Attempt(sequence) => self.erase_attempt(sequence).await?,
            }
            crash::point("after a message is erased");
            store.erased(*erasure).await?;
            erased += 1;
            // The broker rewrites a file of the stream for each erasure. The pause leaves it half of the time for its
            // other work.
            tokio::select! {
                () = tokio::time::sleep(began.elapsed()) => {}
                () = self.drain.stopping() => break,
            }
        }
        if erased > 0 {
            tracing::info!(messages = erased, "erased anonymised messages");
        }
        Ok(erased)
    }

    async fn erase_event(&self, sequence: LeadSequence) -> Result<(), JournalError> {
        let journal = &self.journal;
        let Some((event, trace)) = journal.facts::<LeadEvent>().get(sequence.0).await? else { return Ok(()) };
        journal.anonymised().append(&blank_event(sequence, event), &trace).await?;
        crash::point("before an event is erased");
        journal.facts::<LeadEvent>().erase(sequence.0).await
    }

    async fn erase_attempt(&self, sequence: u64) -> Result<(), JournalError> {
        let journal = &self.journal;
        let stored = journal.facts::<DeliveryFact>().get(sequence).await?;
        let Some((DeliveryFact::Attempted(attempted), trace)) = stored else { return Ok(()) };
        journal.deliveries().append(&blank_attempt(attempted), &trace).await?;
        crash::point("before an attempt is erased");
        journal.facts::<DeliveryFact>().erase(sequence).await
    }
}

/// Frees the old versions of blanked rows, at an interval.
async fn vacuum(store: Store, drain: Drain, erased: Arc<Notify>) {
    loop {
        tokio::select! {
            () = erased.notified() => {}
            () = drain.stopping() => return,
        }
        if let Err(error) = store.vacuum().await {
            NotAnonymised::from(error)
                .warn("cannot vacuum the database; old versions of anonymised rows are still in it");
        }
        tokio::select! {
            () = tokio::time::sleep(VACUUM_INTERVAL) => {}
            () = drain.stopping() => return,
        }
    }
}
