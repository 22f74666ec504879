//! Missing deliveries: events whose deliveries were never requested.

use std::collections::HashSet;

use domain::{DeliveryFact, DeliveryId, LeadEvent, LeadSequence, delivery::request, routing::required_destinations};
use jiff::Timestamp;
use journal::{Entry, Journal, LeadsFrom, PastRegistry, StreamName};
use read_model::request_retry;

use super::context::{Context, ReconcilerError};

/// An event, and the request of one of its deliveries.
type Wanted<'a> = (&'a Entry<LeadEvent>, DeliveryFact);

/// The check of events, in their order.
pub(super) struct MissingDeliveries {
    checked_until: u64,
    /// The time at which the next event is old enough.
    not_before: Timestamp,
    past: PastRegistry,
}

impl MissingDeliveries {
    pub(super) fn after(journal: &Journal, checked_until: u64) -> Self {
        Self { checked_until, not_before: Timestamp::MIN, past: PastRegistry::of(journal) }
    }

    /// The sequence of the last event that was checked.
    pub(super) const fn checked_until(&self) -> u64 {
        self.checked_until
    }

    /// Checks at most `max` events; returns how many it checked.
    pub(super) async fn check(&mut self, context: &Context, max: usize) -> Result<usize, ReconcilerError> {
        let (journal, now) = (&context.journal, Timestamp::now());
        if now < self.not_before || journal.stream(StreamName::Leads).last_sequence().await? <= self.checked_until {
            return Ok(0);
        }
        let mut events = journal.leads().page(None, LeadsFrom::After(LeadSequence(self.checked_until)), max).await?;
        let due = |entry: &Entry<LeadEvent>| {
            entry.published_at.checked_add(context.options.reconcile_after).unwrap_or(Timestamp::MAX)
        };
        let old_enough = events.iter().take_while(|entry| due(entry) <= now).count();
        self.not_before = events.get(old_enough).map_or(Timestamp::MIN, due);
        events.truncate(old_enough);
        let Some(last) = events.last().map(|entry| entry.sequence) else { return Ok(0) };
        let in_turn = context.registry.snapshot().ever_kept_order();
        if !journal.leads().is_routed(LeadSequence(last), in_turn).await? {
            return Ok(0);
        }
        let mut missing = context.unknown(self.wanted(context, &events).await).await?;
        if !missing.is_empty() {
            // The fact may be stored and not be in the read model yet.
            context.read_barrier.wait_for_now(StreamName::Deliveries).await?;
            missing = context.unknown(missing).await?;
        }
        for (entry, fact) in missing {
            request_retry::append(journal, &fact, &entry.trace).await?.ok();
            context.repairs.count_missing();
            let reference = fact.reference();
            entry.trace.within(|| {
                tracing::error!(
                    delivery = %reference.delivery, destination = %reference.destination,
                    event_id = %reference.event_id, "requested missing delivery"
                );
            });
        }
        self.checked_until = last;
        Ok(events.len())
    }

    /// The requests of the deliveries that these events should have.
    async fn wanted<'a>(&mut self, context: &Context, events: &'a [Entry<LeadEvent>]) -> Vec<Wanted<'a>> {
        let mut wanted = vec![];
        let now = context.registry.snapshot();
        for entry in events {
            let Some(event) = &entry.value else { continue };
            let then = self.past.at(event.registry_sequence).await;
            let request = |destination| request(event, LeadSequence(entry.sequence), &destination, entry.published_at);
            wanted.extend(
                required_destinations(then, &now, event).into_iter().map(|destination| (entry, request(destination))),
            );
        }
        wanted
    }
}

impl Context {
    /// The requests whose deliveries are not in the read model.
    async fn unknown<'a>(&self, mut wanted: Vec<Wanted<'a>>) -> Result<Vec<Wanted<'a>>, ReconcilerError> {
        let ids: Vec<DeliveryId> = wanted.iter().map(|(_, fact)| fact.reference().delivery).collect();
        let found = self.store.deliveries_of(&ids).await?;
        let found: HashSet<_> = found.into_iter().map(|delivery| delivery.reference.delivery).collect();
        wanted.retain(|(_, fact)| !found.contains(&fact.reference().delivery));
        Ok(wanted)
    }
}
