//! The lead watcher: it calls for notices about new leads.
//!
//! One notifier at a time, the leader, reads LEADS in order (`journal::leader`). It looks at interfaces with
//! `lead_notification_emails`. If no window is open, a lead causes a notice at once and opens a window. All leads in
//! the window share one notice at its end, which opens the next window (`domain::notice::InterfaceState`).
//!
//! The leader writes the lease last. So a new leader may call for the same notices again, and marks them with `again`.
//! The mailer looks up a marked notice before it sends a mail.
//!
//! While no interface has addresses, the leader skips all events without reading them. A retry or a redelivery creates
//! no lead event, so it causes no mail.

use std::{collections::HashMap, time::Duration};

use domain::{
    AccountId, InterfaceId, LeadEvent, NoticeFact, Registry, RegistryFact,
    notice::{InterfaceState, NoticeCalledFor, ObservedLead},
};
use futures::future::try_join_all;
use jiff::Timestamp;
use journal::{
    Entry, Journal, JournalError, LEAD_NOTIFIER_LEASE, ReaderLease, RegistryView, StreamFact as _, StreamName, leader,
};
use runtime::{Drain, crash, trace::TraceContext};
use tokio::time::sleep_until;

/// The maximum number of events that are read between two writes of the lease.
const MAX_BATCH: usize = 500;
/// How long to wait until the registry view is as new as the view with which ingest checked the event.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(3);

/// The state of an interface in the memory of the leader.
struct Remembered {
    watch: InterfaceState,
    /// The version in the store; 0 if it is not stored.
    version: u64,
    changed: bool,
    /// The trace of the latest lead.
    trace: TraceContext,
}

/// The states of all interfaces whose new leads are mailed.
type Book = HashMap<(AccountId, InterfaceId), Remembered>;

pub(crate) struct LeadWatcher {
    pub(crate) journal: Journal,
    pub(crate) registry: RegistryView,
    /// For how long leads are collected after a notice.
    pub(crate) window: Duration,
    pub(crate) drain: Drain,
}

impl LeadWatcher {
    pub(crate) async fn run(self) {
        leader::run(&self.journal, LEAD_NOTIFIER_LEASE, |lease| self.follow(lease)).await;
    }

    /// Reads from the position of the lease, until the drain begins. After an error the whole batch is read again,
    /// although parts of its results may be stored.
    async fn follow(&self, mut lease: ReaderLease) -> Result<(), JournalError> {
        let mut book = self.book().await?;
        self.tick(&mut book, true).await?;
        let mut again = MAX_BATCH;
        while !self.drain.is_stopping() {
            self.skip_unwanted_events(&mut lease, &mut book).await?;
            let mut events = self.journal.facts::<LeadEvent>().read(lease.sequence() + 1);
            let (mut read, unsure_until) = (lease.sequence(), lease.unsure_until());
            while !self.drain.is_stopping() && wanted_by_anyone(&self.registry.snapshot()) {
                let batch = events.gather(MAX_BATCH, lease.renew_at(), sleep_until(lease.gather_until())).await;
                let mut called = vec![];
                for entry in &batch {
                    let again = again > 0 || entry.sequence <= unsure_until;
                    called.extend(self.observe(&mut book, entry, again).await?);
                }
                try_join_all(called.iter().map(|(called, trace)| self.journal.notices().append(called, trace))).await?;
                crash::point("after lead notices are called for");
                self.remember(&mut book).await?;
                self.tick(&mut book, false).await?;
                again = again.saturating_sub(batch.len());
                read = batch.last().map_or(read, |last| last.sequence);
                lease.advance(read).await?;
            }
        }
        lease.leave().await
    }

    async fn book(&self) -> Result<Book, JournalError> {
        let stored = self.journal.notifier_state().interfaces().await?.into_iter();
        let remembered = stored.map(|(id, (watch, version))| {
            (id, Remembered { watch, version, changed: false, trace: TraceContext::default() })
        });
        Ok(remembered.collect())
    }

    /// Calls for the notices about windows that have ended, and stores the windows. `again` marks notices that a
    /// process may have called for before it died.
    async fn tick(&self, book: &mut Book, again: bool) -> Result<(), JournalError> {
        let (now, registry) = (Timestamp::now(), self.registry.snapshot());
        let mut called = vec![];
        for ((account, interface), remembered) in book.iter_mut() {
            let window = &remembered.watch.window;
            if window.as_ref().is_none_or(|window| window.until > now) {
                continue;
            }
            remembered.changed = true;
            let is_wanted =
                registry.interface(account, interface).is_some_and(|i| !i.lead_notification_emails.is_empty());
            if !is_wanted {
                remembered.watch.window = None;
                continue;
            }
            let notice = remembered.watch.tick(self.window, now);
            called.extend(notice.map(|notice| (NoticeCalledFor { again, ..notice }, remembered.trace.clone())));
        }
        for (notice, trace) in called {
            self.journal.notices().append(&NoticeFact::CalledFor(notice), &trace).await?;
            crash::point("after a notice of several leads is called for");
        }
        self.remember(book).await?;
        self.forget_deleted(book).await
    }

    /// Forgets deleted interfaces that have no open window.
    async fn forget_deleted(&self, book: &mut Book) -> Result<(), JournalError> {
        let registry = self.registry.snapshot();
        let is_deleted =
            |(account, interface): &(AccountId, InterfaceId)| registry.interface(account, interface).is_none();
        let deleted: Vec<_> = book
            .iter()
            .filter(|(id, remembered)| remembered.version > 0 && remembered.watch.window.is_none() && is_deleted(id))
            .map(|(id, _)| id.clone())
            .collect();
        for id in deleted {
            self.journal.notifier_state().remove_interface(&id.0, &id.1).await?;
            book.remove(&id);
        }
        Ok(())
    }

    async fn remember(&self, book: &mut Book) -> Result<(), JournalError> {
        let changed = book.values_mut().filter(|remembered| remembered.changed);
        let writing = changed.map(async |remembered| {
            remembered.version =
                self.journal.notifier_state().store_interface(&remembered.watch, remembered.version).await?;
            remembered.changed = false;
            Ok::<_, JournalError>(())
        });
        try_join_all(writing).await.map(drop)
    }

    /// Moves the lease past all events while no interface has addresses. Windows still end, and deleted interfaces are
    /// forgotten.
    async fn skip_unwanted_events(&self, lease: &mut ReaderLease, book: &mut Book) -> Result<(), JournalError> {
        while !self.drain.is_stopping() {
            let seen = self.registry.snapshot().sequence();
            let last = self.journal.stream(StreamName::Leads).last_sequence().await?;
            // These events were checked against this version of the registry or an older one.
            let known = self.journal.stream(RegistryFact::STREAM).last_sequence().await?;
            let Some(registry) = self.registry.at_least(known, REGISTRY_TIMEOUT).await else { continue };
            if wanted_by_anyone(&registry) {
                return Ok(());
            }
            lease.advance(last.max(lease.sequence())).await?;
            self.tick(book, false).await?;
            tokio::select! {
                () = tokio::time::sleep_until(lease.renew_at()) => {}
                _ = self.registry.changed_since(seen.max(known)) => {}
                () = self.drain.stopping() => {}
            }
        }
        Ok(())
    }

    /// Adds an event to the book and returns the notice that the event calls for.
    async fn observe(
        &self,
        book: &mut Book,
        entry: &Entry<LeadEvent>,
        again: bool,
    ) -> Result<Option<(NoticeFact, TraceContext)>, JournalError> {
        let Some(event) = &entry.value else { return Ok(None) };
        let registry = loop {
            match self.registry.at_least(event.registry_sequence, REGISTRY_TIMEOUT).await {
                Some(registry) => break registry,
                None if self.drain.is_stopping() => return Err(JournalError::LostRace),
                None => entry.trace.within(|| {
                    tracing::warn!(event = %event.event_id, "registry view is older than the event; waiting");
                }),
            }
        };
        let Some(interface) = registry.interface(&event.account, &event.interface) else { return Ok(None) };
        if interface.lead_notification_emails.is_empty() {
            return Ok(None);
        }
        let remembered = book.entry((event.account.clone(), event.interface.clone())).or_insert_with(|| Remembered {
            watch: InterfaceState::new(event.account.clone(), event.interface.clone()),
            version: 0,
            changed: false,
            trace: TraceContext::default(),
        });
        let (sequence, published_at, now) = (entry.sequence, entry.published_at, Timestamp::now());
        let before = remembered.watch.window.as_ref().map(|window| (window.from, window.count));
        let called =
            remembered.watch.observe(ObservedLead { event, sequence, published_at, now }, interface, self.window);
        // Without a window nothing has to be stored.
        remembered.changed |= before != remembered.watch.window.as_ref().map(|window| (window.from, window.count));
        remembered.trace = entry.trace.clone();
        Ok(called.map(|called| (NoticeFact::CalledFor(NoticeCalledFor { again, ..called }), entry.trace.clone())))
    }
}

fn wanted_by_anyone(registry: &Registry) -> bool {
    let mut interfaces = registry.accounts().flat_map(|entry| entry.interfaces());
    interfaces.any(|interface| !interface.deleted && !interface.lead_notification_emails.is_empty())
}
