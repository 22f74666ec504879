//! Ids. Each kind of id has its own type. An id is parsed once at the edge and trusted afterwards.
//!
//! The ids of accounts, clients, interfaces, API users, destinations, tokens and keys are *subject-safe*: they can be
//! tokens of NATS subjects. Event and lead ids come from publishers and may also contain `:`. They may not contain `.`,
//! because the signed content of a webhook is `id.timestamp.body` and has to be unambiguous (Standard Webhooks).

pub(crate) mod computed;
mod event_type;
mod parse;

use std::{fmt, str::FromStr, sync::Arc};

use uuid::Uuid;

pub use event_type::EventType;
pub use parse::IdError;
use parse::parse_token;

use crate::text::quoted;

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
text_id!(/** A person or program that uses the API for an account. */ ApiUserId, "api user id", 64, "");
text_id!(/** A webhook endpoint with its settings. */ DestinationId, "destination id", 64, "");
text_id!(/** A signing secret of an account. */ TokenId, "token id", 64, "");
text_id!(/** The opt-out of one address from mails of a kind. */ OptOutId, "opt-out id", 64, "");
text_id!(/** The consent of an address's owner to mails about an account. */ ConfirmationId, "confirmation id", 64, "");
text_id!(/** The public part of an API key. */ KeyId, "key id", 64, "");
text_id!(/** The id that its publisher gave an event; unique in its account. Requests have it as `leadline-event-id`. */
    EventId, "event id", 128, ":");
text_id!(/** The id that its caller gave a call. A second call with the same id creates nothing. */
    RequestId, "request id", 128, ":");
text_id!(/** The id that its publisher gave a lead. Many events may be about it. */ LeadId, "lead id", 128, ":");

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The id with this UUID.
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
uuid_id!(/** One execution of an attempt. The dispatcher makes the id. */ AttemptId, "attempt id");
uuid_id!(/** A bulk retry or a recovery; computed from the call that starts it. */ JobId, "job id");
uuid_id!(/** One notice; computed from its subject, so that people get it once. */ NoticeId, "notice id");

impl RequestId {
    /// A new id for a call whose caller gives none.
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid.to_string().into())
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

    /// Whether the id is reserved for Leadline, so that no account can have such an interface.
    pub fn is_reserved(&self) -> bool {
        self.is_tests() || self.as_str() == Self::OPERATIONS
    }
}

impl EventId {
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
}
