//! Ids. Each has its own type, and is parsed once at the edge and trusted afterwards.
//!
//! Accounts, clients, interfaces, API users, destinations, tokens and keys are *subject-safe*: they are tokens of
//! broker subjects.
//! Event and lead ids come from upstream systems and may also use `:`; they may not use `.`, because the signed content
//! of a webhook is `id.timestamp.body` and has to be unambiguous (Standard Webhooks).

use std::{fmt, str::FromStr, sync::Arc};

use uuid::Uuid;

use crate::text::quoted;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {problem}")]
pub struct IdError {
    /// The expected kind of id, e.g. `account id`.
    pub kind: &'static str,
    /// The problem, worded to follow the kind.
    pub problem: String,
}

fn parse_token(kind: &'static str, text: &str, max_bytes: usize, also: &str) -> Result<Arc<str>, IdError> {
    let refuse = |problem: String| Err(IdError { kind, problem });
    if text.is_empty() {
        return refuse("is empty".into());
    }
    if text.len() > max_bytes {
        return refuse(format!("is {} bytes long, and {max_bytes} is the limit", text.len()));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || *c == '_' || *c == '-' || also.contains(*c))) {
        Some(c) => refuse(format!("contains {c:?}; letters, digits, '_', '-'{} are allowed", listed(also))),
        None => Ok(text.into()),
    }
}

fn listed(also: &str) -> String {
    also.chars().map(|c| format!(", '{c}'")).collect()
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $max_bytes:literal, $also:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The maximum length, in bytes.
            pub const MAX_BYTES: usize = $max_bytes;

            /// Parses the id.
            ///
            /// # Errors
            /// If the text is empty, too long, or contains a character that is not allowed.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                parse_token($kind, text, Self::MAX_BYTES, $also).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::parse(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id!(/** The owner of leads and of the configuration. */ AccountId, "account id", 64, "");
text_id!(/** A form, page or campaign that produces leads. */ InterfaceId, "interface id", 64, "");
text_id!(/** A customer of an account. */ ClientId, "client id", 64, "");
text_id!(/** A person or program behind the API of an account. */ ApiUserId, "api user id", 64, "");
text_id!(/** A webhook endpoint with its settings. */ DestinationId, "destination id", 64, "");
text_id!(/** A signing secret of an account. */ TokenId, "token id", 64, "");
text_id!(/** The opt-out of one address from mails of a kind. */ OptOutId, "opt-out id", 64, "");
text_id!(/** The consent of an address's owner to mails about an account. */ ConfirmationId, "confirmation id", 64, "");
text_id!(/** The public part of an API key. */ KeyId, "key id", 64, "");
text_id!(/** One event, as its publisher names it; unique in its account; the `leadline-event-id` of every request. */
    EventId, "event id", 128, ":");
text_id!(/** One call, as its caller names it; a repeated call creates nothing more. */
    RequestId, "request id", 128, ":");
text_id!(/** One lead, as its publisher names it; many events may concern it. */ LeadId, "lead id", 128, ":");

/// The type of a lead event: words of lower-case letters, digits and `_`, joined by dots, such as `lead.created`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventType(Arc<str>);

impl EventType {
    /// The maximum length, in bytes.
    pub const MAX_BYTES: usize = 64;
    /// The type of a lead event whose publisher names none.
    pub const LEAD_CREATED: &'static str = "lead.created";
    /// The type of the event of a test delivery; publishers may not use it.
    pub const WEBHOOK_TEST: &'static str = "webhook.test";

    /// The prefix of the types of operational events, which are about Leadline's own work; publishers may not use any
    /// of them.
    pub(crate) const OPERATIONAL: &'static str = "leadline.";
    /// The type of the event about a failed delivery.
    pub const DELIVERY_FAILED: &'static str = "leadline.delivery.failed";
    /// The type of the event about a deactivated destination.
    pub const DESTINATION_DEACTIVATED: &'static str = "leadline.destination.deactivated";
    /// The type of the event about a destination that works again.
    pub const DESTINATION_RECOVERED: &'static str = "leadline.destination.recovered";

    /// Parses an event type.
    ///
    /// # Errors
    /// If the text is not words of `a`–`z`, `0`–`9` and `_` joined by dots, or too long.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let refuse = |problem: String| Err(IdError { kind: "event type", problem });
        if text.len() > Self::MAX_BYTES {
            return refuse(format!("is {} bytes long, and {} is the limit", text.len(), Self::MAX_BYTES));
        }
        let word =
            |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !text.split('.').all(word) {
            return refuse(format!("{} is not lower-case words joined by dots, like lead.created", quoted(text)));
        }
        Ok(Self(text.into()))
    }

    pub fn lead_created() -> Self {
        Self(Self::LEAD_CREATED.into())
    }

    pub fn webhook_test() -> Self {
        Self(Self::WEBHOOK_TEST.into())
    }

    /// Whether it is the type of test deliveries.
    pub fn is_test(&self) -> bool {
        self.as_str() == Self::WEBHOOK_TEST
    }

    /// Whether it is the type of an operational event, which is about Leadline's own work and not about a lead.
    pub fn is_operational(&self) -> bool {
        self.as_str().starts_with(Self::OPERATIONAL)
    }

    /// Whether only Leadline itself may publish events of this type.
    pub fn is_reserved(&self) -> bool {
        self.is_test() || self.is_operational()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventType {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps an existing id.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Parses the id.
            ///
            /// # Errors
            /// If the text is not a UUID.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                Uuid::parse_str(text)
                    .map(Self)
                    .map_err(|e| IdError { kind: $kind, problem: format!("{} is not a UUID: {e}", quoted(text)) })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_id!(/** One lead event for one destination; computed from both. */ DeliveryId, "delivery id");
uuid_id!(/** One execution of an attempt; the dispatcher makes it. */ AttemptId, "attempt id");
uuid_id!(/** A bulk retry or a recovery; computed from the call that starts it. */ JobId, "job id");
uuid_id!(/** One notice; computed from its subject, so that people get it once. */ NoticeId, "notice id");

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

impl RequestId {
    /// The id of a call whose caller gives none.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid.to_string().into())
    }
}

impl LeadId {
    /// The lead id of an event whose publisher gives none; a repeated call gets the same id.
    pub fn of_event(account: &AccountId, event: &EventId) -> Self {
        Self(computed("lead", &[account.as_str(), event.as_str()]).to_string().into())
    }
}

impl InterfaceId {
    /// The id of the interface of test deliveries; no interface of an account may have it.
    pub const TESTS: &'static str = "webhook-test";

    /// The interface of test deliveries.
    pub fn tests() -> Self {
        Self(Self::TESTS.into())
    }

    /// Whether it is the interface of test deliveries.
    pub fn is_tests(&self) -> bool {
        self.as_str() == Self::TESTS
    }

    /// The id of the interface of operational events; no interface of an account may have it.
    pub const OPERATIONS: &'static str = "webhook-events";

    /// The interface of operational events.
    pub fn operations() -> Self {
        Self(Self::OPERATIONS.into())
    }

    /// Whether Leadline reserves the id, so that no account can have such an interface.
    pub fn is_reserved(&self) -> bool {
        self.is_tests() || self.as_str() == Self::OPERATIONS
    }
}

impl EventId {
    /// The id of the operational event about the fact on `destination` at `sequence` of DELIVERIES.
    pub fn of_operation(event_type: &EventType, destination: &DestinationId, sequence: u64) -> Self {
        let parts = [event_type.as_str(), destination.as_str(), &sequence.to_string()];
        Self::from_uuid(computed("operation", &parts))
    }

    /// An event id from a UUID, for a publisher that gives none.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid.to_string().into())
    }
}

/// The sequence of a lead event in the stream LEADS, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeadSequence(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_an_id_names_the_problem() {
        let problem = |text: &str| AccountId::parse(text).unwrap_err().to_string();
        assert_eq!(problem(""), "account id is empty");
        assert_eq!(problem("a.b"), "account id contains '.'; letters, digits, '_', '-' are allowed");
        assert_eq!(problem(&"x".repeat(65)), "account id is 65 bytes long, and 64 is the limit");
        assert!(EventId::parse("crm:42").is_ok());
        assert!(EventId::parse("crm.42").is_err());
    }

    #[test]
    fn event_types_are_lower_case_words_joined_by_dots() {
        for good in ["lead.created", "email.link_click", "ping", "a.b.c9"] {
            assert_eq!(EventType::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "lead.", "Lead.created", "lead created", "lead..x"] {
            assert!(EventType::parse(bad).is_err(), "{bad:?}");
        }
    }

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
