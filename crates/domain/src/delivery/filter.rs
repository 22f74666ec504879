//! The filter by which deliveries are listed, counted and retried.

use jiff::Timestamp;

use super::{facts::FailureReason, state::DeliveryStatus};
use crate::{
    ids::{AccountId, ClientId, DestinationId, EventId, InterfaceId, LeadId},
    outcome::HttpStatusClass,
    registry::EventTypePattern,
};

/// Selects deliveries. Every field that is set must match.
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
    /// The class of the status of the latest attempt.
    pub http_status_class: Option<HttpStatusClass>,
    /// Requested at this time or later.
    pub requested_from: Option<Timestamp>,
    /// Requested before this time.
    pub requested_before: Option<Timestamp>,
}

impl DeliveryFilter {
    /// Whether the latest attempt matches. `status` is 0 if there is no attempt, and 999 if it got no answer.
    pub fn matches_answer(&self, status: u16) -> bool {
        self.http_status.is_none_or(|wanted| wanted == status)
            && self.http_status_class.is_none_or(|class| class.statuses().contains(&status))
    }

    /// Whether the conditions about the latest attempt exclude every success.
    pub fn is_of_failed_attempts(&self) -> bool {
        self.http_status.is_some_and(|status| !HttpStatusClass::SUCCESS.statuses().contains(&status))
            || self.http_status_class.is_some_and(|class| class != HttpStatusClass::SUCCESS)
    }
}
