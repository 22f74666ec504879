//! Ids that are computed from other ids, so that a repeated call or decision leads to the same id.

use uuid::Uuid;

use super::{
    AccountId, ConfirmationId, DeliveryId, DestinationId, EventId, JobId, LeadId, OptOutId, RequestId, TokenId,
    event_type::EventType,
};

/// The namespace of every computed id (UUIDv5, RFC 9562).
const NAMESPACE: Uuid = Uuid::from_u128(0x6c65_6164_6c69_4e65_8000_6465_6c69_7665);

pub(crate) fn computed(kind: &str, parts: &[&str]) -> Uuid {
    // Only the last part can contain a '/', so the joined name is unambiguous.
    Uuid::new_v5(&NAMESPACE, format!("{kind}/{}", parts.join("/")).as_bytes())
}

impl DeliveryId {
    /// The id of the delivery of this event to this destination.
    pub fn of(account: &AccountId, event: &EventId, destination: &DestinationId) -> Self {
        Self(computed("delivery", &[account.as_str(), event.as_str(), destination.as_str()]))
    }
}

impl DestinationId {
    /// The id of the destination that a call creates; a repeated call gets the same id.
    pub fn of_request(account: &AccountId, request: &RequestId) -> Self {
        Self(format!("dst_{}", computed("destination", &[account.as_str(), request.as_str()]).simple()).into())
    }
}

impl TokenId {
    /// The id of the token that a call creates; a repeated call gets the same id.
    pub fn of_request(account: &AccountId, request: &RequestId) -> Self {
        Self(format!("tok_{}", computed("token", &[account.as_str(), request.as_str()]).simple()).into())
    }
}

impl JobId {
    /// The id of the job that a call starts; a repeated call gets the same id.
    pub fn of_request(account: &AccountId, request: &RequestId) -> Self {
        Self(computed("job", &[account.as_str(), request.as_str()]))
    }
}

impl OptOutId {
    /// The id of the opt-out of this address from this kind; a repeated opt-out has the same id.
    pub(crate) fn of(email: &str, kind: &str) -> Self {
        Self(format!("opt_{}", computed("opt-out", &[kind, email]).simple()).into())
    }
}

impl ConfirmationId {
    /// The id of the confirmation of this address; a repeated confirmation has the same id.
    pub(crate) fn of(email: &str) -> Self {
        Self(format!("cnf_{}", computed("confirmation", &[email]).simple()).into())
    }
}

impl LeadId {
    /// The lead id of an event whose publisher gives none; a repeated call gets the same id.
    pub fn of_event(account: &AccountId, event: &EventId) -> Self {
        Self(computed("lead", &[account.as_str(), event.as_str()]).to_string().into())
    }
}

impl EventId {
    /// The id of the operational event about the fact on `destination` at `sequence` of DELIVERIES.
    pub fn of_operation(event_type: &EventType, destination: &DestinationId, sequence: u64) -> Self {
        let parts = [event_type.as_str(), destination.as_str(), &sequence.to_string()];
        Self::from_uuid(computed("operation", &parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_id_depends_on_account_event_and_destination_only() {
        let id = |a, e, d| {
            DeliveryId::of(
                &AccountId::parse(a).unwrap(),
                &EventId::parse(e).unwrap(),
                &DestinationId::parse(d).unwrap(),
            )
        };
        assert_eq!(id("a", "e", "d"), id("a", "e", "d"));
        assert_ne!(id("a", "e", "d"), id("b", "e", "d"));
        assert_ne!(id("a", "e", "d"), id("a", "f", "d"));
        assert_ne!(id("a", "e", "d"), id("a", "e", "f"));
        // Ids of deliveries outlive every release, so they must never change.
        assert_eq!(id("a", "e", "d").to_string(), "25d89322-2ca7-5b7e-a91e-99b77a681a4f");
    }
}
