//! A lead event for tests.

use bytes::Bytes;
use domain::{AccountId, EventId, EventType, InterfaceId, LeadEvent, LeadId};
use jiff::Timestamp;

pub(crate) fn event() -> LeadEvent {
    LeadEvent {
        event_id: EventId::parse("evt-1").unwrap(),
        account: AccountId::parse("acme").unwrap(),
        interface: InterfaceId::parse("form").unwrap(),
        client: None,
        lead: LeadId::parse("lead-1").unwrap(),
        destination: None,
        event_type: EventType::lead_created(),
        occurred_at: Timestamp::UNIX_EPOCH,
        received_at: Timestamp::UNIX_EPOCH,
        registry_sequence: 0,
        hops: 0,
        payload: Bytes::new(),
    }
}
