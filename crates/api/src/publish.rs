//! What a publisher asks for, whether it came over HTTP or gRPC, and what may be wrong with it.

use std::time::Duration;

use bytes::Bytes;
use domain::{
    AccountId, ClientId, EventId, EventType, InterfaceId, LeadId, access::Denial, ids::IdError, lead::HOPS,
    registry::KeyRefusal, text::bounded,
};
use jiff::Timestamp;

use crate::{primitives::non_empty, timestamp};

/// A lead event as its publisher gives it: parsed, not yet checked against the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The customer.
    pub account: AccountId,
    /// Where the lead came from.
    pub interface: InterfaceId,
    /// The sub-account.
    pub client: Option<ClientId>,
    /// What makes a repeated call the same call; none: one is made.
    pub event_id: Option<EventId>,
    /// The lead; none: its id is computed from the event's.
    pub lead: Option<LeadId>,
    /// What happened.
    pub event_type: EventType,
    /// When it happened; none: now.
    pub occurred_at: Option<Timestamp>,
    /// JSON, as it came.
    pub payload: Bytes,
    /// How many deliveries led to the request, which its header says.
    pub hops: u32,
}

/// Why an event is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// A field is wrong. Repeating the call does not help.
    #[error("{field}: {problem}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The account is none of the publisher's business.
    #[error("account: {0}")]
    Denied(#[from] Denial),
    /// The key of a publisher ended while it published.
    #[error("{0}")]
    KeyEnded(#[from] KeyRefusal),
    /// Too many deliveries led to the request, one after another. Repeating the call does not help.
    #[error(
        "{HOPS}: loop: {hops} deliveries led to this request, one after another, and {max_hops} is the limit \
         (--max-hops); a destination publishes to Leadline itself: change its URL or delete it"
    )]
    Loop {
        /// How many led to it.
        hops: u32,
        /// How many may.
        max_hops: u32,
    },
    /// The account publishes too fast. The call can be repeated later.
    #[error(
        "account: {account} publishes faster than {per_second} events a second, which is the limit (--publish-rate); \
         nothing was stored; call again in {retry_after:.1?} with the same event_id"
    )]
    TooFast {
        /// The account.
        account: AccountId,
        /// The limit.
        per_second: u32,
        /// When the same call would be taken.
        retry_after: Duration,
    },
    /// Nothing is wrong with the event, but it could not be stored. The call can be repeated with the same event id.
    #[error("the event was not stored: {0}; call again with the same event_id")]
    Unavailable(String),
}

impl PublishError {
    /// A wrong field. The problem may quote what a publisher sent; a long one is cut.
    pub fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid { field, problem: bounded(problem.into()) }
    }

    /// The field that is wrong, if one is.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            Self::Invalid { field, .. } => Some(field),
            Self::Denied(_) | Self::TooFast { .. } => Some("account"),
            Self::Loop { .. } => Some(HOPS),
            Self::KeyEnded(_) | Self::Unavailable(_) => None,
        }
    }
}

/// The fields as texts, empty where the publisher gave none.
#[derive(Debug, Clone, Default)]
pub struct Fields<'a> {
    /// See [`Publish::account`].
    pub account: &'a str,
    /// See [`Publish::interface`].
    pub interface: &'a str,
    /// See [`Publish::client`].
    pub client: &'a str,
    /// See [`Publish::event_id`].
    pub event_id: &'a str,
    /// See [`Publish::lead`].
    pub lead_id: &'a str,
    /// See [`Publish::event_type`].
    pub event_type: &'a str,
    /// See [`Publish::occurred_at`].
    pub occurred_at: Option<Timestamp>,
    /// See [`Publish::payload`].
    pub payload: Bytes,
}

impl Fields<'_> {
    /// Takes the texts as what they have to be.
    ///
    /// # Errors
    /// The first field that is wrong, by its name in the API.
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
            event_id: &request.event_id,
            lead_id: &request.lead_id,
            event_type: &request.r#type,
            occurred_at,
            payload: request.payload,
        }
        .parse()
    }
}
