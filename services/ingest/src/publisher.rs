//! The publisher: it checks lead events and stores them in the journal, for both protocols.

use std::{sync::Arc, time::Instant};

use api::publish::{Mistakes, Publish, PublishError};
use domain::{
    EventId, LeadEvent, LeadId, LeadSequence, Principal, Registry, lead::KnownEvent, registry::KeyRefusal,
    routing::deliveries_at_most,
};
use jiff::Timestamp;
use journal::{Appended, FreshnessError, Journal, JournalError, RegistryView, StreamName, Submitted};
use runtime::{ErrorChain as _, RequestId, crash, publishing, trace::TraceContext};
use tracing::{Instrument as _, Span};
use uuid::Uuid;

use crate::{
    bursts::Bursts,
    known_events::KnownEvents,
    measured::{self, Protocol},
    rates::Rates,
};

/// The maximum number of events in flight for one request.
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

/// The origin of a call, for traces and logs.
#[derive(Debug, Clone, Default)]
pub(crate) struct CalledFrom {
    pub(crate) trace: Option<TraceContext>,
    /// `None` over gRPC.
    pub(crate) request_id: Option<RequestId>,
}

impl CalledFrom {
    const fn protocol(&self) -> Protocol {
        if self.request_id.is_some() { Protocol::Http } else { Protocol::Grpc }
    }

    fn request_id(&self) -> Option<&str> {
        self.request_id.as_ref().map(RequestId::as_str)
    }
}

/// An event that passed the checks.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) event: LeadEvent,
    /// Whether its publisher named the event id. Only such an event can be a repeat.
    is_named: bool,
}

/// A checked event, after a look-up among the stored events.
#[derive(Debug)]
pub(crate) struct LookedUp {
    event: LeadEvent,
    /// `None` if no stored event with its id is known.
    known: Option<KnownEvent>,
}

/// An event on its way to the broker.
#[derive(Debug)]
pub(crate) struct Sent {
    event: LeadEvent,
    from: CalledFrom,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// The event was stored before.
    Stored(KnownEvent),
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

    /// The registry, with every change that was made before this call. Publishers rely on a change once it is
    /// confirmed, and an older registry could lack a destination of the event.
    pub(crate) async fn latest(&self) -> Result<Arc<Registry>, PublishError> {
        let unknown =
            |why: FreshnessError| PublishError::Unavailable(format!("the latest configuration is not known: {why}"));
        self.registry.up_to_date().await.map_err(unknown)
    }

    /// Checks that the publisher may publish for the account, and that everything that the event names exists. Returns
    /// the event and stores nothing. A stream may outlive its API key, so the key is checked for each event.
    pub(crate) fn check(registry: &Registry, publisher: &Principal, publish: Publish) -> Result<Checked, PublishError> {
        let now = Timestamp::now();
        registry.key(publisher.id()).ok_or(KeyRefusal::Unknown)?.is_good(now)?;
        publisher.may_touch(&publish.account)?;
        check_names(registry, &publish)?;
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
        let known = if is_named { self.known.look_up(&event).await } else { None };
        LookedUp { event, known }
    }

    /// Sends an event to the broker, unless it was stored before. The broker stores events in the order of these calls.
    pub(crate) async fn send(&self, looked_up: LookedUp, from: &CalledFrom) -> Sent {
        let LookedUp { event, known } = looked_up;
        let from = from.clone();
        if let Some(known) = known {
            return Sent { event, from, way: Way::Stored(known) };
        }
        let (span, trace) = TraceContext::enter(from.trace.as_ref(), || {
            let (account, event_id) = (&event.account, &event.event_id);
            let request_id = from.request_id();
            publishing!(
                StreamName::Leads,
                leadline.account.id = %account,
                leadline.event.id = %event_id,
                leadline.request.id = request_id
            )
        });
        crash::point("before a lead is stored");
        self.known.sent(&event);
        let deliveries = deliveries_at_most(&self.registry.snapshot(), &event);
        let traffic = self.bursts.traffic(&event.account, &event.interface, deliveries, Instant::now());
        let submitted = self.journal.leads().submit(&event, traffic, &trace).instrument(span.clone()).await;
        Sent { event, from, way: Way::Sent { span, submitted } }
    }

    /// Waits until the broker has stored the event.
    pub(crate) async fn stored(&self, sent: Sent) -> Result<Published, PublishError> {
        let protocol = sent.from.protocol();
        let stored = self.stored_or_known(sent).await;
        match &stored {
            Ok(Published { duplicate: false, .. }) => measured::accepted(protocol),
            Ok(Published { duplicate: true, .. }) => measured::duplicate(),
            // The code that answers with the error counts it.
            Err(_) => {}
        }
        stored
    }

    async fn stored_or_known(&self, sent: Sent) -> Result<Published, PublishError> {
        let Sent { event, from, way } = sent;
        let (span, submitted) = match way {
            Way::Stored(known) => return self.repeated(event, known).await,
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
                let known = KnownEvent { lead: event.lead.clone(), sequence: Some(LeadSequence(sequence)) };
                self.repeated(event, known).await
            }
            Err(error) => Err(not_stored(&error, &from)),
        }
    }

    /// The answer to a repeated event. It names the lead of the first call, even if this call names another lead.
    /// Payloads are compared if LEADS still holds the first one.
    async fn repeated(&self, event: LeadEvent, known: KnownEvent) -> Result<Published, PublishError> {
        let first = match known.sequence {
            Some(sequence) => self.journal.leads().get(sequence).await.ok().flatten(),
            None => None,
        };
        let LeadEvent { event_id, payload, .. } = event;
        match first.filter(|first| first.event_id == event_id) {
            Some(first) if !is_same(&first.payload, &payload) => Err(PublishError::Conflict { event_id }),
            Some(first) => Ok(Published { event_id, lead: first.lead, duplicate: true }),
            None => Ok(Published { event_id, lead: known.lead, duplicate: true }),
        }
    }
}

fn check_names(registry: &Registry, publish: &Publish) -> Result<(), PublishError> {
    let (account, interface) = (&publish.account, &publish.interface);
    if registry.account(account).is_none() {
        return Err(PublishError::invalid("account", format!("{account} does not exist")));
    }
    let missing = |field, id: &str| PublishError::invalid(field, format!("{id} does not exist in account {account}"));
    let mut mistakes = Mistakes::default();
    if registry.interface(account, interface).is_none() {
        mistakes.note::<()>(Err(missing("interface", interface.as_str())));
    }
    if let Some(client) = &publish.client
        && registry.client(account, client).is_none()
    {
        mistakes.note::<()>(Err(missing("client", client.as_str())));
    }
    if let Some(id) = &publish.destination
        && registry.destination(id).is_none_or(|destination| destination.account != *account)
    {
        mistakes.note::<()>(Err(missing("destination_id", id.as_str())));
    }
    mistakes.end()
}

/// Whether two payloads are the same JSON. A publisher may serialise its lead again before it repeats a call.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    let parsed = |payload| serde_json::from_slice::<serde_json::Value>(payload).ok();
    a == b || parsed(a).is_some_and(|a| Some(a) == parsed(b))
}

fn not_stored(error: &JournalError, from: &CalledFrom) -> PublishError {
    if !error.is_logged() {
        let request_id = from.request_id();
        tracing::warn!(error = error.chain(), request_id, "cannot store event; the publisher got an error");
    }
    PublishError::Unavailable(error.to_string())
}
