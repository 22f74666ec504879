//! Lead events as they are stored.

use bytes::Bytes;
use domain::{AccountId, ClientId, DestinationId, EventId, EventType, InterfaceId, LeadEvent, LeadId};
use prost::Message as _;

use crate::{
    Record, WireError, events,
    primitives::{message, non_empty, or_empty, parsed, time},
};

impl Record for LeadEvent {
    const NAME: &'static str = "lead event";

    fn encode(&self) -> Bytes {
        let stored = events::LeadEvent {
            event_id: self.event_id.to_string(),
            account: self.account.to_string(),
            interface: self.interface.to_string(),
            client: or_empty(self.client.as_ref().map(ClientId::as_str)),
            lead: self.lead.to_string(),
            event_type: self.event_type.to_string(),
            occurred_at: self.occurred_at.as_microsecond(),
            received_at: self.received_at.as_microsecond(),
            registry_sequence: self.registry_sequence,
            destination: or_empty(self.destination.as_ref().map(DestinationId::as_str)),
            payload: self.payload.clone(),
        };
        stored.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, WireError> {
        let stored: events::LeadEvent = message(Self::NAME, bytes)?;
        Ok(Self {
            event_id: parsed(Self::NAME, "event_id", &stored.event_id, EventId::parse)?,
            account: parsed(Self::NAME, "account", &stored.account, AccountId::parse)?,
            interface: parsed(Self::NAME, "interface", &stored.interface, InterfaceId::parse)?,
            client: non_empty(&stored.client)
                .map(|text| parsed(Self::NAME, "client", text, ClientId::parse))
                .transpose()?,
            lead: parsed(Self::NAME, "lead", &stored.lead, LeadId::parse)?,
            event_type: parsed(Self::NAME, "event_type", &stored.event_type, EventType::parse)?,
            occurred_at: time(Self::NAME, "occurred_at", stored.occurred_at)?,
            received_at: time(Self::NAME, "received_at", stored.received_at)?,
            registry_sequence: stored.registry_sequence,
            destination: non_empty(&stored.destination)
                .map(|text| parsed(Self::NAME, "destination", text, DestinationId::parse))
                .transpose()?,
            payload: stored.payload,
        })
    }
}
