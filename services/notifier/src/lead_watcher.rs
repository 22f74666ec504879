//! From new leads to the mails of the people who want to hear of them.
//!
//! Of all notifiers one at a time reads LEADS in order (`journal::Place`), and calls for a notice where the interface of
//! a new lead has addresses. While no interface has any, events are passed over unread. A retry or a redelivery makes no
//! event, so nobody hears of it.

use std::time::Duration;

use domain::{LeadEvent, NoticeFact, Registry, RegistryFact, notice};
use futures::future::try_join_all;
use journal::{Entry, Journal, JournalError, Logged as _, Place, READER_OF_LEADS, RegistryView, StreamName};
use runtime::{Drain, crash};
use tokio::time::sleep_until;

/// How many events are dealt with between two writings of the place, at most.
const BATCH: usize = 500;
/// How long to wait until this process knows the configuration that an event's publisher knew.
const REGISTRY_DEADLINE: Duration = Duration::from_secs(3);
/// The pause after the broker did not answer.
const PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct LeadWatcher {
    pub(crate) journal: Journal,
    pub(crate) registry: RegistryView,
    pub(crate) drain: Drain,
}

impl LeadWatcher {
    pub(crate) async fn run(self) {
        while let Some(place) = self.journal.take_place(READER_OF_LEADS).await {
            match self.follow(place).await {
                Ok(()) => {}
                Err(JournalError::LostRace) => tracing::info!("another notifier watches the leads now"),
                Err(error) => {
                    if !error.is_logged() {
                        tracing::warn!(error = error.chain(), "mails about new leads wait; trying again");
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
        let mut again = BATCH;
        while !self.drain.is_stopping() {
            self.pass_over_what_nobody_wants(&mut place).await?;
            let mut events = self.journal.replay::<LeadEvent>(place.sequence() + 1);
            let (mut read, unsure_until) = (place.sequence(), place.unsure_until());
            while !self.drain.is_stopping() && wanted_by_anyone(&self.registry.snapshot()) {
                let batch = events.gather(BATCH, place.renew_at(), sleep_until(place.gather_until())).await;
                try_join_all(batch.iter().map(|entry| {
                    let again = again > 0 || entry.sequence <= unsure_until;
                    self.call_for(entry, again)
                }))
                .await?;
                crash::point("after lead notices are called for");
                again = again.saturating_sub(batch.len());
                read = batch.last().map_or(read, |last| last.sequence);
                place.advance(read).await?;
            }
        }
        place.leave().await
    }

    async fn pass_over_what_nobody_wants(&self, place: &mut Place) -> Result<(), JournalError> {
        while !self.drain.is_stopping() {
            let seen = self.registry.snapshot().sequence();
            let last = self.journal.last_sequence(StreamName::Leads).await?;
            // The publishers of these events cannot have known more of the configuration than there was just now.
            let known = self.journal.last_sequence(RegistryFact::STREAM).await?;
            let Some(registry) = self.registry.at_least(known, REGISTRY_DEADLINE).await else { continue };
            if wanted_by_anyone(&registry) {
                return Ok(());
            }
            place.advance(last.max(place.sequence())).await?;
            tokio::select! {
                () = tokio::time::sleep_until(place.renew_at()) => {}
                _ = self.registry.changed_since(seen.max(known)) => {}
                () = self.drain.stopping() => {}
            }
        }
        Ok(())
    }

    async fn call_for(&self, entry: &Entry<LeadEvent>, again: bool) -> Result<(), JournalError> {
        let Some(event) = &entry.value else { return Ok(()) };
        let registry = loop {
            match self.registry.at_least(event.registry_sequence, REGISTRY_DEADLINE).await {
                Some(registry) => break registry,
                None if self.drain.is_stopping() => return Err(JournalError::LostRace),
                None => tracing::warn!(event = %event.event_id, "the configuration of this event is not known yet"),
            }
        };
        let Some(interface) = registry.interface(&event.account, &event.interface) else { return Ok(()) };
        match notice::called_for_by_lead(event, entry.sequence, entry.published_at, interface) {
            Some(called) => {
                let called = NoticeFact::CalledFor(notice::NoticeCalledFor { again, ..called });
                self.journal.append_notice(&called, &entry.trace).await.map(drop)
            }
            None => Ok(()),
        }
    }
}

fn wanted_by_anyone(registry: &Registry) -> bool {
    let mut interfaces = registry.accounts().flat_map(|entry| entry.interfaces());
    interfaces.any(|interface| !interface.deleted && !interface.lead_notification_emails.is_empty())
}
