//! What upstream systems publish.

use bytes::Bytes;
use jiff::Timestamp;

use crate::ids::{AccountId, ClientId, DestinationId, EventId, EventType, InterfaceId, LeadId};

/// The header that counts hops. The request of a delivery says how many deliveries led to it, itself included; ingest
/// reads the header and refuses an event after too many hops, because a destination that publishes to Leadline itself may
/// send a lead round and round.
pub const HOPS: &str = "leadline-hops";

/// One event about one lead, as it is stored in LEADS: the only place where its payload is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadEvent {
    /// Unique in its account; every request has it as `leadline-event-id`.
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
    /// How many deliveries led to this event, one after another: 0 unless it was published by the request of a delivery.
    pub hops: u32,
    /// The payload: JSON, byte for byte as it was published.
    pub payload: Bytes,
}

impl LeadEvent {
    /// What makes a repeated publish the same publish.
    pub fn message_id(&self) -> String {
        format!("{}/{}", self.account, self.event_id)
    }
}
