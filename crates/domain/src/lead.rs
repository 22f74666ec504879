//! Lead events, as publishers send them.

use bytes::Bytes;
use jiff::Timestamp;

use crate::ids::{AccountId, ClientId, DestinationId, EventId, EventType, InterfaceId, LeadId, LeadSequence};

/// The header that counts hops. Each request of a delivery has the number of deliveries that led to it, including this
/// one. Ingest refuses an event after too many hops, because a receiver that publishes to Leadline may send a lead in a
/// loop.
pub const HOPS: &str = "leadline-hops";

/// One event about one lead, as it is stored in LEADS. No other stream has its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadEvent {
    /// Unique in its account. Every request has it as `leadline-event-id`.
    pub event_id: EventId,
    pub account: AccountId,
    pub interface: InterfaceId,
    /// `None` if the publisher named no client.
    pub client: Option<ClientId>,
    pub lead: LeadId,
    /// The only destination that gets the event; `None` if routing decides.
    pub destination: Option<DestinationId>,
    pub event_type: EventType,
    /// When the event happened, according to the publisher.
    pub occurred_at: Timestamp,
    /// When ingest accepted the event.
    pub received_at: Timestamp,
    /// The registry sequence that ingest knew. A router whose registry view is older waits, so that it misses no
    /// destination.
    pub registry_sequence: u64,
    /// The number of deliveries, one after another, that led to this event; 0 unless a receiver published it with the
    /// header of a delivery.
    pub hops: u32,
    /// JSON, byte for byte as published.
    pub payload: Bytes,
}

impl LeadEvent {
    /// The message id. Of several appends with the same id, the broker stores only the first.
    pub fn message_id(&self) -> String {
        Self::message_id_of(&self.account, &self.event_id)
    }

    /// The message id of the event with this id.
    pub fn message_id_of(account: &AccountId, event_id: &EventId) -> String {
        format!("{account}/{event_id}")
    }
}

/// A lead event that was stored before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEvent {
    pub lead: LeadId,
    /// The sequence of the event in LEADS, which may no longer contain it. `None` if a process of an older version
    /// looked up the event.
    pub sequence: Option<LeadSequence>,
}
