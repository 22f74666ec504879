//! Stored lead events.

use bytes::Bytes;
use domain::{AccountId, ClientId, DestinationId, EventId, EventType, InterfaceId, LeadEvent, LeadId};
use prost::Message as _;

use crate::{
    primitives::{message, non_empty, or_empty, parsed, time},
    record::{Record, RecordError},
    stored,
};

impl Record for LeadEvent {
    const NAME: &'static str = "lead event";

    fn encode(&self) -> Bytes {
        lead_to_stored(self).encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        lead_from_stored(Self::NAME, message(Self::NAME, bytes)?)
    }
}

pub(crate) fn lead_to_stored(event: &LeadEvent) -> stored::LeadEvent {
    stored::LeadEvent {
        event_id: event.event_id.to_string(),
        account: event.account.to_string(),
        interface: event.interface.to_string(),
        client: or_empty(event.client.as_ref().map(ClientId::as_str)),
        lead: event.lead.to_string(),
        event_type: event.event_type.to_string(),
        occurred_at: event.occurred_at.as_microsecond(),
        received_at: event.received_at.as_microsecond(),
        registry_sequence: event.registry_sequence,
        destination: or_empty(event.destination.as_ref().map(DestinationId::as_str)),
        payload: event.payload.clone(),
        hops: event.hops,
    }
}

pub(crate) fn lead_from_stored(record: &'static str, stored: stored::LeadEvent) -> Result<LeadEvent, RecordError> {
    Ok(LeadEvent {
        event_id: parsed(record, "event_id", &stored.event_id, EventId::parse)?,
        account: parsed(record, "account", &stored.account, AccountId::parse)?,
        interface: parsed(record, "interface", &stored.interface, InterfaceId::parse)?,
        client: non_empty(&stored.client).map(|text| parsed(record, "client", text, ClientId::parse)).transpose()?,
        lead: parsed(record, "lead", &stored.lead, LeadId::parse)?,
        event_type: parsed(record, "event_type", &stored.event_type, EventType::parse)?,
        occurred_at: time(record, "occurred_at", stored.occurred_at)?,
        received_at: time(record, "received_at", stored.received_at)?,
        registry_sequence: stored.registry_sequence,
        destination: non_empty(&stored.destination)
            .map(|text| parsed(record, "destination", text, DestinationId::parse))
            .transpose()?,
        payload: stored.payload,
        hops: stored.hops,
    })
}
