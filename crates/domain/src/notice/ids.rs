//! The ids of notices, computed from their subjects, so that a repeated decision leads to the same notice.

use super::ProblemAcknowledged;
use crate::ids::{AccountId, DeliveryId, DestinationId, EventId, InterfaceId, NoticeId, computed::computed};

impl NoticeId {
    /// The notice about the failure of `delivery` in its `round`: 0 is the first, and each manual retry starts the
    /// next.
    pub fn of_failure(delivery: DeliveryId, round: u32) -> Self {
        Self::from_uuid(computed("notice", &[&delivery.to_string(), &round.to_string()]))
    }

    /// The notice about the deactivation of `destination` at REGISTRY's `sequence`.
    pub fn of_deactivation(destination: &DestinationId, sequence: u64) -> Self {
        Self::from_uuid(computed("deactivation", &[destination.as_str(), &sequence.to_string()]))
    }

    /// The notice about further failures of `destination`, the first of them at DELIVERIES' `sequence`.
    pub fn of_further_failures(destination: &DestinationId, sequence: u64) -> Self {
        Self::from_uuid(computed("digest", &[destination.as_str(), &sequence.to_string()]))
    }

    /// The notice that `destination` fails again and again, as of DELIVERIES' `sequence`.
    pub fn of_repeated_failures(destination: &DestinationId, sequence: u64) -> Self {
        Self::from_uuid(computed("repeated", &[destination.as_str(), &sequence.to_string()]))
    }

    /// The notice that `destination` works again, as of DELIVERIES' `sequence`.
    pub fn of_recovery(destination: &DestinationId, sequence: u64) -> Self {
        Self::from_uuid(computed("recovery", &[destination.as_str(), &sequence.to_string()]))
    }

    /// The notice about the new lead of an event.
    pub fn of_lead(account: &AccountId, event: &EventId) -> Self {
        Self::from_uuid(computed("lead-notice", &[account.as_str(), event.as_str()]))
    }

    /// The notice about further leads of `interface`, the first of them at LEADS' `sequence`.
    pub fn of_further_leads(account: &AccountId, interface: &InterfaceId, sequence: u64) -> Self {
        Self::from_uuid(computed("lead-digest", &[account.as_str(), interface.as_str(), &sequence.to_string()]))
    }

    /// The request to the owner of `email` to confirm it, as of REGISTRY's `sequence`.
    pub fn of_confirmation(account: &AccountId, sequence: u64, email: &str) -> Self {
        Self::from_uuid(computed("confirmation-mail", &[account.as_str(), &sequence.to_string(), email]))
    }

    /// The id of an acknowledgement. No mail has it.
    pub fn of_acknowledgement(of: &ProblemAcknowledged) -> Self {
        let (cause, at) = (of.cause.to_string(), of.at.as_microsecond().to_string());
        Self::from_uuid(computed("acknowledgement", &[of.destination.as_str(), &cause, &at]))
    }

    /// An id for the copy of `recipient`: the id of the notice, and eight digits for the recipient.
    pub fn copy_for(&self, recipient: &str) -> String {
        let notice = self.to_string();
        let copy = computed("copy", &[&notice, &recipient.to_lowercase()]).simple().to_string();
        format!("{notice}.{}", &copy[..8])
    }
}
