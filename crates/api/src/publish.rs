//! The request to publish a lead event, over HTTP or gRPC, and its errors.

use std::time::Duration;

use bytes::Bytes;
use domain::{
    AccountId, ClientId, DestinationId, EventId, EventType, InterfaceId, LeadId, access::Denial, ids::IdError,
    lead::HOPS, registry::KeyRefusal, text::bounded,
};
use jiff::Timestamp;

use crate::{primitives::non_empty, timestamp};

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

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A field is invalid. A repeated call fails again.
    #[error("{field}: {problem}")]
    Invalid { field: &'static str, problem: String },
    /// The publisher may not act on the account.
    #[error("account: {0}")]
    Denied(#[from] Denial),
    /// The API key of the publisher expired or was revoked during the call.
    #[error("{0}")]
    KeyEnded(#[from] KeyRefusal),
    /// Too many deliveries led to the request, one after another. A repeated call fails again.
    #[error(
        "{HOPS}: loop: {hops} deliveries led to this request, one after another, and {max_hops} is the limit \
         (--max-hops); a destination publishes to Leadline itself: change its URL or delete it"
    )]
    Loop {
        /// The deliveries that led to the request.
        hops: u32,
        /// The maximum number of them.
        max_hops: u32,
    },
    /// The account exceeds its rate limit. The caller can repeat the call later.
    #[error(
        "account: {account} publishes faster than {per_second} events a second, which is the limit (--publish-rate); \
         nothing was stored; call again in {retry_after:.1?} with the same event_id"
    )]
    TooFast {
        account: AccountId,
        per_second: u32,
        /// The time until the same call is accepted.
        retry_after: Duration,
    },
    /// The event is valid, but could not be stored. The caller can repeat the call with the same event id.
    #[error("the event was not stored: {0}; call again with the same event_id")]
    Unavailable(String),
}

impl PublishError {
    /// An invalid field. The problem may quote a publisher's text; a long problem is cut.
    pub fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: bounded(problem.into()) }
    }

    /// The invalid field; `None` if the error is not about a field.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { field, .. } => Some(field),
            Self::Denied(_) | Self::TooFast { .. } => Some("account"),
            Self::Loop { .. } => Some(HOPS),
            Self::KeyEnded(_) | Self::Unavailable(_) => None,
        }
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
    /// The first invalid field, by its name in the API.
    pub fn parse(self) -> Result<Publish, PublishError> {
        if self.payload.is_empty() {
            return Err(PublishError::invalid("payload", "is missing"));
        }
        if !domain::payload::is_shallow(&self.payload) {
            let most = domain::payload::MAX_DEPTH;
            let problem =
                format!("is nested more than {most} levels deep, the limit, so no destination could be sent it");
            return Err(PublishError::invalid("payload", problem));
        }
        let event_type = optional("type", self.event_type, EventType::parse)?.unwrap_or_else(EventType::lead_created);
        if event_type.is_reserved() {
            let how =
                if event_type.is_test() { "DeliveryService/SendTestDelivery sends one" } else { "use another type" };
            let problem = format!("{event_type} is reserved for events of Leadline itself; {how}");
            return Err(PublishError::invalid("type", problem));
        }
        Ok(Publish {
            account: required("account", self.account, AccountId::parse)?,
            interface: required("interface", self.interface, InterfaceId::parse)?,
            client: optional("client", self.client, ClientId::parse)?,
            destination: optional("destination_id", self.destination_id, DestinationId::parse)?,
            event_id: optional("event_id", self.event_id, EventId::parse)?,
            lead: optional("lead_id", self.lead_id, LeadId::parse)?,
            event_type,
            occurred_at: self.occurred_at,
            payload: self.payload,
            hops: 0,
        })
    }
}

fn required<T>(
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<T, PublishError> {
    if text.is_empty() {
        return Err(PublishError::invalid(field, "is missing"));
    }
    parse(text).map_err(|e| PublishError::invalid(field, e.to_string()))
}

fn optional<T>(
    field: &'static str,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, IdError>,
) -> Result<Option<T>, PublishError> {
    non_empty(text).map(|text| required(field, text, parse)).transpose()
}

impl TryFrom<crate::PublishLeadRequest> for Publish {
    type Error = PublishError;

    fn try_from(request: crate::PublishLeadRequest) -> Result<Self, PublishError> {
        let out_of_range = || PublishError::invalid("occurred_at", "is out of range");
        let occurred_at = request.occurred_at.as_ref().map(|at| timestamp(at).ok_or_else(out_of_range)).transpose()?;
        Fields {
            account: &request.account,
            interface: &request.interface,
            client: &request.client,
            destination_id: &request.destination_id,
            event_id: &request.event_id,
            lead_id: &request.lead_id,
            event_type: &request.r#type,
            occurred_at,
            payload: request.payload,
        }
        .parse()
    }
}
