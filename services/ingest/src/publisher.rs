//! The publisher: it checks lead events and stores them in the journal, for both protocols.

use std::{sync::Arc, time::Instant};

use api::publish::{Publish, PublishError};
use domain::{
    EventId, LeadEvent, LeadId, LeadSequence, Principal, Registry, registry::KeyRefusal, routing::deliveries_at_most,
};
use jiff::Timestamp;
use journal::{Appended, Journal, JournalError, NewsError, RegistryView, Submitted};
use runtime::{ErrorChain as _, crash, trace::TraceContext};
use tracing::{Instrument as _, Span, info_span};
use uuid::Uuid;

use crate::{bursts::Bursts, known_events::KnownEvents, rates::Rates};

/// Events of one request in flight, at most.
pub(crate) const IN_FLIGHT: usize = 512;

/// Stores lead events. Clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    journal: Journal,
    registry: RegistryView,
    bursts: Arc<Bursts>,
    rates: Arc<Rates>,
    known: KnownEvents,
}

/// An event that may be stored.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) event: LeadEvent,
    /// Whether its publisher named the event id. Only such an event can be a repeat.
    is_named: bool,
}

/// An event that may be stored, after a search among the stored events.
#[derive(Debug)]
pub(crate) struct LookedUp {
    event: LeadEvent,
    /// The lead that it was stored with; `None` if no stored event with its id is known.
    stored_with: Option<LeadId>,
}

/// An event on its way to the broker.
#[derive(Debug)]
pub(crate) struct Sent {
    event: LeadEvent,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// It was stored before, with this lead.
    Stored(LeadId),
    Sent {
        span: Span,
        submitted: Result<Submitted, JournalError>,
    },
}

impl Sent {
    pub(crate) fn event_id(&self) -> &EventId {
        &self.event.event_id
    }
}

/// An event that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) event_id: EventId,
    pub(crate) lead: LeadId,
    pub(crate) duplicate: bool,
}

impl Publisher {
    pub(crate) fn new(journal: Journal, registry: RegistryView, bursts: Bursts, rates: Rates) -> Self {
        let known = KnownEvents::start(journal.clone());
        Self { journal, registry, bursts: Arc::new(bursts), rates: Arc::new(rates), known }
    }

    /// The registry view, once it contains every change that was made before this call. A publisher may rely on a
    /// change that it was told of, so an older view could miss destinations of the event.
    pub(crate) async fn latest(&self) -> Result<Arc<Registry>, PublishError> {
        let unknown =
            |why: NewsError| PublishError::Unavailable(format!("the latest configuration is not known: {why}"));
        self.registry.up_to_date().await.map_err(unknown)
    }

    /// Checks that the publisher may publish for the account, and that account, interface and client exist. Returns the
    /// event and stores nothing. A stream may outlive its API key, so the key is checked for each event.
    pub(crate) fn check(registry: &Registry, publisher: &Principal, publish: Publish) -> Result<Checked, PublishError> {
        let now = Timestamp::now();
        registry.key(publisher.id()).ok_or(KeyRefusal::Unknown)?.is_good(now)?;
        publisher.may_touch(&publish.account)?;
        known(registry, &publish)?;
        let is_named = publish.event_id.is_some();
        let event_id = publish.event_id.unwrap_or_else(|| EventId::from_uuid(Uuid::now_v7()));
        let lead = publish.lead.unwrap_or_else(|| LeadId::of_event(&publish.account, &event_id));
        let event = LeadEvent {
            event_id,
            account: publish.account,
            interface: publish.interface,
            client: publish.client,
            lead,
            destination: publish.destination,
            event_type: publish.event_type,
            occurred_at: publish.occurred_at.unwrap_or(now),
            received_at: now,
            registry_sequence: registry.sequence(),
            payload: publish.payload,
            hops: publish.hops,
        };
        Ok(Checked { event, is_named })
    }

    /// The rate limits of the accounts. They count checked events only, so a caller without an API key uses up no
    /// limit.
    pub(crate) fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Looks up whether an event was stored before, however long ago.
    pub(crate) async fn look_up(&self, checked: Checked) -> LookedUp {
        let Checked { event, is_named } = checked;
        let stored_with = if is_named { self.known.lead_of(&event).await } else { None };
        LookedUp { event, stored_with }
    }

    /// Sends an event to the broker, unless it was stored before. The broker stores events in the order of these calls.
    pub(crate) async fn send(&self, looked_up: LookedUp, caller: Option<&TraceContext>) -> Sent {
        let LookedUp { event, stored_with } = looked_up;
        if let Some(lead) = stored_with {
            return Sent { event, way: Way::Stored(lead) };
        }
        let (span, trace) = TraceContext::enter(
            caller,
            || info_span!("publish", otel.kind = "producer", account = %event.account, event_id = %event.event_id),
        );
        crash::point("before a lead is stored");
        self.known.sent(&event);
        let deliveries = deliveries_at_most(&self.registry.snapshot(), &event);
        let traffic = self.bursts.traffic(&event.account, &event.interface, deliveries, Instant::now());
        let submitted = self.journal.submit_lead(&event, traffic, &trace).instrument(span.clone()).await;
        Sent { event, way: Way::Sent { span, submitted } }
    }

    /// Waits until the broker has stored the event.
    pub(crate) async fn stored(&self, sent: Sent) -> Result<Published, PublishError> {
        let Sent { event, way } = sent;
        let (span, submitted) = match way {
            Way::Stored(lead) => return Ok(Published { event_id: event.event_id, lead, duplicate: true }),
            Way::Sent { span, submitted } => (span, submitted),
        };
        let appended = match submitted {
            Ok(submitted) => submitted.stored().instrument(span).await,
            Err(error) => Err(error),
        };
        crash::point("after a lead is stored");
        match appended {
            Ok(Appended { sequence, duplicate: false }) => {
                self.known.stored(&event, sequence);
                Ok(Published { event_id: event.event_id, lead: event.lead, duplicate: false })
            }
            Ok(Appended { sequence, duplicate: true }) => {
                // The answer names the lead of the first call, even if this call names another one.
                let first = self.journal.lead_at(LeadSequence(sequence)).await.ok().flatten();
                let lead =
                    first.filter(|first| first.event_id == event.event_id).map_or(event.lead, |first| first.lead);
                Ok(Published { event_id: event.event_id, lead, duplicate: true })
            }
            Err(error) => Err(not_stored(&error)),
        }
    }
}

fn known(registry: &Registry, publish: &Publish) -> Result<(), PublishError> {
    let (account, interface) = (&publish.account, &publish.interface);
    if registry.account(account).is_none() {
        return Err(PublishError::invalid("account", format!("{account} does not exist")));
    }
    if registry.interface(account, interface).is_none() {
        let problem = format!("{interface} does not exist in account {account}");
        return Err(PublishError::invalid("interface", problem));
    }
    if let Some(client) = &publish.client
        && registry.client(account, client).is_none()
    {
        return Err(PublishError::invalid("client", format!("{client} does not exist in account {account}")));
    }
    if let Some(id) = &publish.destination
        && registry.destination(id).is_none_or(|destination| destination.account != *account)
    {
        return Err(PublishError::invalid("destination_id", format!("{id} does not exist in account {account}")));
    }
    Ok(())
}

fn not_stored(error: &JournalError) -> PublishError {
    if !error.is_logged() {
        tracing::warn!(error = error.chain(), "cannot store event; the publisher got an error");
    }
    PublishError::Unavailable(error.to_string())
}
