//! What upstream systems publish.

use bytes::Bytes;
use jiff::Timestamp;

use crate::ids::{AccountId, ClientId, DestinationId, EventId, EventType, InterfaceId, LeadId};

/// One event about one lead, as it is stored in LEADS: the only place where its payload is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadEvent {
    /// Unique in its account; the receiver's `webhook-id`.
    pub event_id: EventId,
    /// The customer.
    pub account: AccountId,
    /// Where the lead came from.
    pub interface: InterfaceId,
    /// The sub-account, if the publisher named one.
    pub client: Option<ClientId>,
    /// The lead that the event is about.
    pub lead: LeadId,
    /// The one destination that it is for, whatever others want it; none: routing decides.
    pub destination: Option<DestinationId>,
    /// What happened.
    pub event_type: EventType,
    /// When it happened, as the publisher says.
    pub occurred_at: Timestamp,
    /// When ingest took it.
    pub received_at: Timestamp,
    /// The registry sequence that ingest knew; a router that knows less waits, so that no destination is missed.
    pub registry_sequence: u64,
    /// The payload: JSON, byte for byte as it was published.
    pub payload: Bytes,
}

impl LeadEvent {
    /// What makes a repeated publish the same publish.
    pub fn message_id(&self) -> String {
        format!("{}/{}", self.account, self.event_id)
    }
}
