//! Watches: a stream of deliveries as they change.
//!
//! A watch reads the stream DELIVERIES from its own position, and waits until the read model shows the facts that it
//! read. Then it sends the deliveries as the read model shows them. So it does not matter which process projects. If a
//! caller reads slowly, the next facts stay on the broker, and several changes of a delivery become one. The sequence
//! in the stream is the token with which a watch resumes later, in any process.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use api::{
    deliveries::{http_status, http_status_class, statuses},
    request::{Violations, optional},
    status::{because, unavailable},
};
use domain::{Delivery, DeliveryFact, DestinationId, LeadId, Registry};
use journal::{RegistryView, StreamName, StreamReader};
use read_model::{
    Store,
    read_barrier::SHOWN_POLL,
    tables::deliveries::pages::{DeliveryFilter, SwitchedOff},
};
use runtime::Drain;
use tokio::time::timeout;
use tonic::{Code, Status};

use super::{
    state::{Changes, DeliveryService},
    to_api::delivery_for,
    watchers::Counted,
};
use crate::call::{
    caller::Caller,
    errors::{failed, unread},
    listing,
};

/// At most this many facts are read in one batch.
const MAX_BATCH: usize = 500;
/// At most this many existing deliveries are sent at the start, if the request wants them.
const MAX_EXISTING: u32 = 500;
/// The interval at which a watch without changes sends an empty message, which fails if the caller is gone.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct WatchRequest {
    caller: Caller,
    filter: DeliveryFilter,
    existing: bool,
    resume_after: Option<u64>,
}

impl WatchRequest {
    pub(super) fn of(caller: Caller, request: api::WatchDeliveriesRequest) -> Result<Self, Status> {
        let mut fields = Violations::default();
        let not_issued = |_: std::num::ParseIntError| "was not issued by this server";
        let token = |text: &str| text.parse::<u64>().map_err(not_issued);
        let resume_after = fields.note(optional("resume_token", &request.resume_token, token));
        if request.existing && !request.resume_token.is_empty() {
            fields.wrong("existing", "cannot be given together with resume_token");
        }
        let account = fields.note(caller.narrowed_account(&request.account_id));
        let destination = fields.note(optional("destination_id", &request.destination_id, DestinationId::parse));
        let client = fields.note(caller.narrowed_client(None));
        let lead = fields.note(optional("lead_id", &request.lead_id, LeadId::parse));
        let statuses = fields.note(statuses("statuses", &request.statuses));
        let http_status = fields.note(http_status("http_status_code", request.http_status_code));
        let class = fields.note(http_status_class("http_status_class", request.http_status_class));
        let existing = request.existing;
        fields.end(|| {
            let filter = DeliveryFilter {
                account: account?,
                destination: destination?,
                client: client?,
                lead: lead?,
                statuses: statuses?,
                http_status: http_status?,
                http_status_class: class?,
                ..DeliveryFilter::default()
            };
            Some(Self { caller, filter, existing, resume_after: resume_after? })
        })
    }
}

struct Watch {
    store: Store,
    registry: RegistryView,
    drain: Drain,
    caller: Caller,
    filter: DeliveryFilter,
    existing: bool,
    facts: StreamReader<DeliveryFact>,
    /// The sequence of the last fact whose changes were prepared for sending.
    sent_until: u64,
    ready: VecDeque<api::WatchDeliveriesResponse>,
    ended: bool,
    _counted: Counted,
}

impl DeliveryService {
    pub(super) async fn watch(&self, request: WatchRequest) -> Result<Changes, Status> {
        let counted = self.watchers.begin(request.caller.principal())?;
        let sent_until = match request.resume_after {
            Some(sent_until) => {
                if sent_until.saturating_add(1)
                    < self.journal.stream(StreamName::Deliveries).first_sequence().await.map_err(unread)?
                {
                    return Err(because(
                        Code::DataLoss,
                        "CHANGES_NOT_KEPT",
                        "the changes since this resume_token are no longer stored; list the deliveries, then watch without it",
                    ));
                }
                sent_until
            }
            None => self.journal.stream(StreamName::Deliveries).last_sequence().await.map_err(unread)?,
        };
        let WatchRequest { caller, filter, existing, .. } = request;
        let facts =
            self.journal.deliveries().read(sent_until + 1, filter.account.as_ref(), filter.destination.as_ref());
        let watch = Watch {
            store: self.store.clone(),
            registry: self.registry.clone(),
            drain: self.drain.clone(),
            caller,
            filter,
            existing,
            facts,
            sent_until,
            ready: VecDeque::new(),
            ended: false,
            _counted: counted,
        };
        Ok(Box::pin(futures::stream::unfold(Box::new(watch), Watch::next)))
    }
}

impl Watch {
    async fn next(mut self: Box<Self>) -> Option<(Result<api::WatchDeliveriesResponse, Status>, Box<Self>)> {
        while !self.ended {
            if let Some(change) = self.ready.pop_front() {
                return Some((Ok(change), self));
            }
            if let Err(status) = self.read_on().await {
                self.ended = true;
                return Some((Err(status), self));
            }
        }
        None
    }

    /// Reads the next facts and prepares messages about them. If no fact matches the filter, there are no messages.
    async fn read_on(&mut self) -> Result<(), Status> {
        if std::mem::take(&mut self.existing) {
            self.shows(self.sent_until).await?;
            let page = listing::own_page(MAX_EXISTING, "", &self.filter)?;
            let off = SwitchedOff::among(&self.filter, &self.registry.snapshot());
            let mut existing = self.store.deliveries(&self.filter, &page, &off).await.map_err(failed)?;
            existing.truncate(MAX_EXISTING as usize);
            existing.reverse();
            self.send(&existing, self.sent_until);
            return Ok(());
        }
        let batch = timeout(KEEPALIVE_INTERVAL, self.facts.next_batch(MAX_BATCH)).await;
        // A watch may outlive its key.
        self.caller.is_still_good(&self.registry.snapshot())?;
        let Ok(batch) = batch else {
            self.ready
                .push_back(api::WatchDeliveriesResponse { delivery: None, resume_token: self.sent_until.to_string() });
            return Ok(());
        };
        let Some(last) = batch.last().map(|entry| entry.sequence) else { return Err(stopping()) };
        let facts = batch.iter().filter_map(|entry| Some((entry.sequence, entry.value.as_ref()?)));
        let of_lead = facts.filter(|(_, fact)| self.filter.lead.as_ref().is_none_or(|l| *l == fact.reference().lead));
        let mut changed = HashMap::new();
        for (at, fact) in of_lead {
            // The projector skips such a fact, too.
            let Ok(state) = Delivery::evolve(None, fact) else { continue };
            let (latest, furthest) = changed.entry(fact.reference().delivery).or_insert((at, state.position));
            (*latest, *furthest) = (at, state.position.max(*furthest));
        }
        if !changed.is_empty() {
            self.shows(last).await?;
            let ids: Vec<_> = changed.keys().copied().collect();
            let mut now = self.store.deliveries_of(&ids).await.map_err(failed)?;
            // If the read model is ahead, this watch will read a newer fact later, and sends the delivery then.
            let is_news = |delivery: &Delivery| {
                changed.get(&delivery.reference.delivery).is_some_and(|(_, furthest)| delivery.position <= *furthest)
            };
            let registry = self.registry.snapshot();
            let of_client =
                |delivery: &Delivery| self.filter.client.is_none() || self.filter.client == delivery.reference.client;
            now.retain(|delivery| {
                of_client(delivery) && is_watched(&self.filter, delivery, &registry) && is_news(delivery)
            });
            now.sort_by_key(|delivery| changed.get(&delivery.reference.delivery));
            self.send(&now, last);
        }
        self.sent_until = last;
        Ok(())
    }

    /// Prepares a message for each delivery. Only the last message carries the new position `then`, so that a watch
    /// that resumes from an earlier message gets all of them again.
    fn send(&mut self, deliveries: &[Delivery], then: u64) {
        let registry = self.registry.snapshot();
        for delivery in deliveries {
            let delivery = Some(delivery_for(&self.caller, delivery, &registry));
            self.ready.push_back(api::WatchDeliveriesResponse { delivery, resume_token: self.sent_until.to_string() });
        }
        if let Some(last) = self.ready.back_mut() {
            last.resume_token = then.to_string();
        }
    }

    /// Waits until the read model shows the facts up to this sequence.
    async fn shows(&self, sequence: u64) -> Result<(), Status> {
        while self.store.checkpoint(StreamName::Deliveries).await.map_err(failed)? < sequence {
            tokio::select! {
                () = tokio::time::sleep(SHOWN_POLL) => {}
                () = self.drain.stopping() => return Err(stopping()),
            }
        }
        Ok(())
    }
}

/// Whether the state of the delivery after a change matches the filter.
fn is_watched(filter: &DeliveryFilter, delivery: &Delivery, registry: &Registry) -> bool {
    let switch = registry.switch(&delivery.reference.destination);
    let answer = delivery.last.as_ref().map_or(0, |last| last.outcome.status_code());
    (filter.statuses.is_empty() || filter.statuses.contains(&delivery.status.at_destination(switch)))
        && filter.matches_answer(answer)
}

fn stopping() -> Status {
    unavailable("this server is stopping; watch again with the last resume_token")
}
