//! What deliveries are listed, counted and retried by.

use jiff::Timestamp;

use super::{facts::FailureReason, state::DeliveryStatus};
use crate::{
    ids::{AccountId, ClientId, DestinationId, EventId, InterfaceId, LeadId},
    registry::EventTypePattern,
};

/// A choice among deliveries; every condition that is set has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct DeliveryFilter {
    /// Whose they are.
    pub account: Option<AccountId>,
    /// Where their leads came from.
    pub interface: Option<InterfaceId>,
    /// The sub-account.
    pub client: Option<ClientId>,
    /// Where they go.
    pub destination: Option<DestinationId>,
    /// What their events are about.
    pub lead: Option<LeadId>,
    /// Their event.
    pub event_id: Option<EventId>,
    /// The types of their events.
    pub event_type: Option<EventTypePattern>,
    /// Where they stand: any of these; none: all.
    pub statuses: Vec<DeliveryStatus>,
    /// Failed for this reason.
    pub failure: Option<FailureReason>,
    /// The status of the latest attempt.
    pub http_status: Option<u16>,
    /// Requested at this time or later.
    pub requested_from: Option<Timestamp>,
    /// Requested before this time.
    pub requested_before: Option<Timestamp>,
}
