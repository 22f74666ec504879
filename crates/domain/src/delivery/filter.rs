//! The filter by which deliveries are listed, counted and retried.

use jiff::Timestamp;

use super::{facts::FailureReason, state::DeliveryStatus};
use crate::{
    ids::{AccountId, ClientId, DestinationId, EventId, InterfaceId, LeadId},
    registry::EventTypePattern,
};

/// A choice among deliveries; every field that is set must match.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct DeliveryFilter {
    pub account: Option<AccountId>,
    pub interface: Option<InterfaceId>,
    pub client: Option<ClientId>,
    pub destination: Option<DestinationId>,
    pub lead: Option<LeadId>,
    pub event_id: Option<EventId>,
    pub event_type: Option<EventTypePattern>,
    /// Matches any of these statuses; empty if all match.
    pub statuses: Vec<DeliveryStatus>,
    /// The reason of the failure.
    pub failure: Option<FailureReason>,
    /// The status of the latest attempt.
    pub http_status: Option<u16>,
    /// Requested at this time or later.
    pub requested_from: Option<Timestamp>,
    /// Requested before this time.
    pub requested_before: Option<Timestamp>,
}
