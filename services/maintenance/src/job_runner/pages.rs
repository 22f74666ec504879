//! Reads the pages of a job, from its cursor on: listed deliveries, deliveries that match a filter, or published
//! events.

use std::collections::HashMap;

use domain::{
    Delivery, DeliveryId, DeliveryStatus, LeadEvent, LeadSequence, Registry,
    delivery::DeliveryFilter,
    job::{Cursor, Plan, Recovery},
};
use jiff::{SignedDuration, Timestamp};
use journal::{Entry, LeadsFrom, StreamName};

use super::{
    context::JobError,
    items::{Item, ItemPage, Missing, What},
    run::Run,
};

/// The maximum number of deliveries in a page.
const MAX_DELIVERIES: usize = 500;
/// The maximum number of events in a page. It is smaller, because each event has its payload.
const MAX_EVENTS: usize = 100;
/// The largest difference between the clock of the process that received an event and the broker's.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(1);

impl Run<'_> {
    /// The next page; `None` if it cannot be read yet.
    pub(super) async fn page(&mut self, cursor: &Cursor, registry: &Registry) -> Result<Option<ItemPage>, JobError> {
        match self.job.started.plan.clone() {
            Plan::RetryListed(ids) => self.listed(&ids, cursor).await.map(Some),
            Plan::RetryFiltered(filter) => self.filtered(&filter, cursor).await.map(Some),
            Plan::Recover(recovery) => self.published(&recovery, cursor, registry).await,
        }
    }

    async fn listed(&mut self, ids: &[DeliveryId], cursor: &Cursor) -> Result<ItemPage, JobError> {
        let done = if let Cursor::Listed(done) = cursor { *done } else { 0 };
        let rest = ids.get(done as usize..).unwrap_or_default();
        let chosen = &rest[..rest.len().min(MAX_DELIVERIES)];
        let mut found = self.deliveries_of(chosen).await?;
        self.read_requests().await?;
        let item = |(number, id): (u32, &DeliveryId)| Item {
            what: What::Delivery(*id, found.remove(id).map(Box::new)),
            cursor: Cursor::Listed(number),
        };
        Ok(ItemPage { items: (done + 1..).zip(chosen).map(item).collect(), last: chosen.len() == rest.len() })
    }

    async fn filtered(&mut self, filter: &DeliveryFilter, cursor: &Cursor) -> Result<ItemPage, JobError> {
        let after = if let Cursor::After(at, id) = cursor { Some((*at, *id)) } else { None };
        let (mut found, mut last) = (vec![], true);
        for status in statuses(filter, self.job.started.force) {
            let read = self.context.store.oldest_deliveries(filter, status, after, MAX_DELIVERIES).await?;
            last &= read.len() < MAX_DELIVERIES;
            found.extend(read);
        }
        found.sort_by_key(Delivery::place);
        last &= found.len() <= MAX_DELIVERIES;
        found.truncate(MAX_DELIVERIES);
        self.read_requests().await?;
        if !self.requested.is_empty() {
            // A delivery that was requested may no longer be failed. It still has to be counted.
            let requested: Vec<_> = self.requested.keys().copied().collect();
            let requested = self.deliveries_of(&requested).await?.into_values();
            found.extend(requested.filter(|delivery| after.is_none_or(|after| after < delivery.place())));
            found.sort_by_key(Delivery::place);
            found.dedup_by_key(|delivery| delivery.reference.delivery);
            if !last {
                found.truncate(MAX_DELIVERIES);
            }
        }
        let item = |delivery: Delivery| {
            let (at, id) = delivery.place();
            Item { what: What::Delivery(id, Some(Box::new(delivery))), cursor: Cursor::After(at, id) }
        };
        Ok(ItemPage { items: found.into_iter().map(item).collect(), last })
    }

    async fn deliveries_of(&self, ids: &[DeliveryId]) -> Result<HashMap<DeliveryId, Delivery>, JobError> {
        let found = self.context.store.deliveries_of(ids).await?;
        Ok(found.into_iter().map(|delivery| (delivery.reference.delivery, delivery)).collect())
    }

    async fn published(
        &mut self,
        recovery: &Recovery,
        cursor: &Cursor,
        registry: &Registry,
    ) -> Result<Option<ItemPage>, JobError> {
        // A process that has just started may not know the newest destination. An event that is not routed yet is not
        // missing.
        if registry.destination_ever(&recovery.destination).is_none() {
            return Ok(None);
        }
        if !self.context.journal.leads().is_routed(recovery.end, registry.ever_kept_order()).await? {
            return Ok(None);
        }
        self.context.read_barrier.wait_for_now(StreamName::Deliveries).await?;
        let from = match cursor {
            Cursor::Event(sequence) => LeadsFrom::After(*sequence),
            _ => LeadsFrom::Time(earlier(recovery.since)),
        };
        let account = &self.job.reference().account;
        let mut entries = self.context.journal.leads().page(Some(account), from, MAX_EVENTS).await?;
        let read = entries.len();
        let is_after_end = |entry: &Entry<LeadEvent>| {
            let late = recovery.until.is_some_and(|until| earlier(entry.published_at) > until);
            late || entry.sequence > recovery.end.0
        };
        entries.retain(|entry| !is_after_end(entry));
        let last = read == 0 || entries.len() < read;
        let items = self.events(recovery, entries, registry).await?;
        if items.iter().any(|item| matches!(item.what, What::Event(_))) {
            self.read_requests().await?;
        }
        Ok(Some(ItemPage { items, last }))
    }

    async fn events(
        &self,
        recovery: &Recovery,
        entries: Vec<Entry<LeadEvent>>,
        registry: &Registry,
    ) -> Result<Vec<Item>, JobError> {
        let mut items = Vec::with_capacity(entries.len());
        for entry in entries {
            let sequence = LeadSequence(entry.sequence);
            let what = match entry.value {
                None => What::Unreadable,
                Some(event) => match recovery.reason_to_skip(registry, &event) {
                    Some(decision) => What::Decided(Box::new(decision)),
                    None => What::Event(Box::new(Missing::new(event, sequence, recovery))),
                },
            };
            items.push(Item { what, cursor: Cursor::Event(sequence) });
        }
        let missing = items.iter_mut().filter_map(|item| match &mut item.what {
            What::Event(missing) => Some(missing),
            _ => None,
        });
        let missing: Vec<_> = missing.collect();
        let ids: Vec<_> = missing.iter().map(|missing| missing.id).collect();
        let found = self.deliveries_of(&ids).await?;
        for missing in missing {
            missing.delivery = found.get(&missing.id).cloned();
        }
        Ok(items)
    }
}

/// The statuses of the deliveries that a job retries.
fn statuses(filter: &DeliveryFilter, force: bool) -> Vec<DeliveryStatus> {
    let mut statuses = vec![DeliveryStatus::Failed];
    if force {
        statuses.push(DeliveryStatus::Succeeded);
    }
    statuses.retain(|status| filter.statuses.is_empty() || filter.statuses.contains(status));
    statuses
}

/// An earlier time, so that no event is left out because clocks differ.
fn earlier(time: Timestamp) -> Timestamp {
    time.checked_sub(MAX_CLOCK_SKEW).unwrap_or(Timestamp::MIN)
}
