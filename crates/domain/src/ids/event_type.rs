//! The types of lead events.

use std::{fmt, str::FromStr, sync::Arc};

use super::parse::IdError;
use crate::text::quoted;

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

    /// Whether this is the type of test deliveries.
    pub fn is_test(&self) -> bool {
        self.as_str() == Self::WEBHOOK_TEST
    }

    /// Whether this is the type of an operational event, which is about Leadline's own work and not about a lead.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_types_are_lower_case_words_joined_by_dots() {
        for good in ["lead.created", "email.link_click", "ping", "a.b.c9"] {
            assert_eq!(EventType::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "lead.", "Lead.created", "lead created", "lead..x"] {
            assert!(EventType::parse(bad).is_err(), "{bad:?}");
        }
    }
}
