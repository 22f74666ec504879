//! The request to publish a lead event, over HTTP or gRPC, and its errors.

pub(crate) mod error;

use bytes::Bytes;
use domain::{AccountId, ClientId, DestinationId, EventId, EventType, InterfaceId, LeadId};
use jiff::Timestamp;

pub use error::PublishError;

use crate::request::{optional, required, time};

/// A lead event from a publisher: parsed, but not yet checked against the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    pub account: AccountId,
    pub interface: InterfaceId,
    pub client: Option<ClientId>,
    /// The only destination that the event is for; `None` if routing decides.
    pub destination: Option<DestinationId>,
    /// Identifies a repeated call; `None` if ingest makes an id.
    pub event_id: Option<EventId>,
    /// `None` if the id of the lead is computed from that of the event.
    pub lead: Option<LeadId>,
    pub event_type: EventType,
    /// `None` if the event happened now.
    pub occurred_at: Option<Timestamp>,
    /// JSON, byte for byte as received.
    pub payload: Bytes,
    /// How many deliveries led to the request, according to its header.
    pub hops: u32,
}

/// Collects the invalid fields of an event, so that its publisher learns all of them at once.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<(&'static str, String)>);

impl Mistakes {
    /// Returns the value, or notes why there is none. An error without a field is noted for the field `body`.
    pub fn note<T>(&mut self, checked: Result<T, impl Into<PublishError>>) -> Option<T> {
        match checked.map_err(Into::into) {
            Ok(value) => return Some(value),
            Err(PublishError::Invalid(mistakes)) => self.0.extend(mistakes),
            Err(error) => self.0.push((error.field().unwrap_or("body"), error.to_string())),
        }
        None
    }

    /// # Errors
    /// If a field was noted. The error has all of them.
    pub fn end(self) -> Result<(), PublishError> {
        if self.0.is_empty() { Ok(()) } else { Err(PublishError::Invalid(self.0)) }
    }
}

/// The fields as texts, empty if the publisher gave none.
#[derive(Debug, Clone, Default)]
pub struct Fields<'a> {
    pub account: &'a str,
    pub interface: &'a str,
    pub client: &'a str,
    pub destination_id: &'a str,
    pub event_id: &'a str,
    pub lead_id: &'a str,
    pub event_type: &'a str,
    pub occurred_at: Option<Timestamp>,
    pub payload: Bytes,
}

impl Fields<'_> {
    /// Parses the texts.
    ///
    /// # Errors
    /// Every invalid field, by its name in the API.
    pub fn parse(self) -> Result<Publish, PublishError> {
        let mut mistakes = Mistakes::default();
        let account = mistakes.note(required("account", self.account, AccountId::parse));
        let interface = mistakes.note(required("interface", self.interface, InterfaceId::parse));
        let client = mistakes.note(optional("client", self.client, ClientId::parse)).flatten();
        let destination =
            mistakes.note(optional("destination_id", self.destination_id, DestinationId::parse)).flatten();
        let event_id = mistakes.note(optional("event_id", self.event_id, EventId::parse)).flatten();
        let lead = mistakes.note(optional("lead_id", self.lead_id, LeadId::parse)).flatten();
        let event_type = mistakes.note(event_type(self.event_type));
        mistakes.note(check_payload(&self.payload));
        mistakes.end()?;
        let parsed = account.zip(interface).zip(event_type);
        let ((account, interface), event_type) =
            parsed.ok_or_else(|| PublishError::invalid("body", "is incomplete"))?;
        Ok(Publish {
            account,
            interface,
            client,
            destination,
            event_id,
            lead,
            event_type,
            occurred_at: self.occurred_at,
            payload: self.payload,
            hops: 0,
        })
    }
}

fn check_payload(payload: &Bytes) -> Result<(), PublishError> {
    if payload.is_empty() {
        return Err(PublishError::invalid("payload", "is missing"));
    }
    if !domain::payload::is_shallow(payload) {
        let max = domain::payload::MAX_DEPTH;
        let problem = format!("is nested more than {max} levels deep, which is the limit");
        return Err(PublishError::invalid("payload", problem));
    }
    Ok(())
}

fn event_type(text: &str) -> Result<EventType, PublishError> {
    let event_type = optional("type", text, EventType::parse)?.unwrap_or_else(EventType::lead_created);
    if event_type.is_reserved() {
        let how = if event_type.is_test() { "DeliveryService/SendTestDelivery sends one" } else { "use another type" };
        let problem = format!("{event_type} is reserved for events of Leadline itself; {how}");
        return Err(PublishError::invalid("type", problem));
    }
    Ok(event_type)
}

impl TryFrom<crate::PublishLeadRequest> for Publish {
    type Error = PublishError;

    fn try_from(request: crate::PublishLeadRequest) -> Result<Self, PublishError> {
        let mut mistakes = Mistakes::default();
        let occurred_at = mistakes.note(time("occurred_at", request.occurred_at.as_ref())).flatten();
        let fields = Fields {
            account: &request.account,
            interface: &request.interface,
            client: &request.client,
            destination_id: &request.destination_id,
            event_id: &request.event_id,
            lead_id: &request.lead_id,
            event_type: &request.r#type,
            occurred_at,
            payload: request.payload,
        };
        let publish = mistakes.note(fields.parse());
        mistakes.end()?;
        publish.ok_or_else(|| PublishError::invalid("body", "is incomplete"))
    }
}
