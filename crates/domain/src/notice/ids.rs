//! The ids of notices, computed from their subjects, so that a repeated decision leads to the same notice.

use super::ProblemAcknowledged;
use crate::ids::{AccountId, DeliveryId, DestinationId, EventId, InterfaceId, NoticeId, computed::computed};

impl NoticeId {
    /// The notice about the failure of `delivery` in its `round`. The first round is 0, and each manual retry starts
    /// the next one.
    pub fn of_failure(delivery: DeliveryId, round: u32) -> Self {
        Self::from_uuid(computed("notice", &[&delivery.to_string(), &round.to_string()]))
    }

    /// The notice about the deactivation of `destination` at `sequence` of REGISTRY.
    pub fn of_deactivation(destination: &DestinationId, sequence: u64) -> Self {
        Self::from_uuid(computed("deactivation", &[destination.as_str(), &sequence.to_string()]))
    }

    /// The notice about further failures of `destination`, the first of them at `sequence` of DELIVERIES.
    pub fn of_further_failures(destination: &DestinationId, sequence: u64) -> Self {
        Self::from_uuid(computed("digest", &[destination.as_str(), &sequence.to_string()]))
    }

    /// The notice that `destination` fails repeatedly, as of `sequence` of DELIVERIES.
    pub fn of_repeated_failures(destination: &DestinationId, sequence: u64) -> Self {
        Self::from_uuid(computed("repeated", &[destination.as_str(), &sequence.to_string()]))
    }

    /// The notice that `destination` works again, as of `sequence` of DELIVERIES.
    pub fn of_recovery(destination: &DestinationId, sequence: u64) -> Self {
        Self::from_uuid(computed("recovery", &[destination.as_str(), &sequence.to_string()]))
    }

    /// The notice about the new lead of an event.
    pub fn of_lead(account: &AccountId, event: &EventId) -> Self {
        Self::from_uuid(computed("lead-notice", &[account.as_str(), event.as_str()]))
    }

    /// The notice about further leads of `interface`, the first of them at `sequence` of LEADS.
    pub fn of_further_leads(account: &AccountId, interface: &InterfaceId, sequence: u64) -> Self {
        Self::from_uuid(computed("lead-digest", &[account.as_str(), interface.as_str(), &sequence.to_string()]))
    }

    /// The mail that asks the owner of `email` to confirm this address, because of the fact at `sequence` of REGISTRY.
    pub fn of_confirmation(account: &AccountId, sequence: u64, email: &str) -> Self {
        Self::from_uuid(computed("confirmation-mail", &[account.as_str(), &sequence.to_string(), email]))
    }

    /// The id of an acknowledgement, which is not a mail.
    pub fn of_acknowledgement(of: &ProblemAcknowledged) -> Self {
        let (cause, at) = (of.cause.to_string(), of.at.as_microsecond().to_string());
        Self::from_uuid(computed("acknowledgement", &[of.destination.as_str(), &cause, &at]))
    }

    /// An id for the mail to one `recipient`: the id of the notice, and eight hexadecimal digits computed from the
    /// recipient.
    pub fn copy_for(&self, recipient: &str) -> String {
        let notice = self.to_string();
        let copy = computed("copy", &[&notice, &recipient.to_lowercase()]).simple().to_string();
        format!("{notice}.{}", &copy[..8])
    }
}
