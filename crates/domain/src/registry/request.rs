//! What a destination's requests look like.

use std::fmt;

use jiff::Timestamp;

use super::{
    compatibility::CompatibilitySignature, content::ContentType, form::Form, model::SealedSecret, oauth2::OAuth2Client,
};
use crate::{
    ids::{DeliveryId, EventId, LeadId},
    outcome::ErrorKind,
    text::quoted,
};

/// The method of a destination's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// POST, which is what webhooks usually are.
    #[default]
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// GET, without a body.
    Get,
    /// DELETE, without a body.
    Delete,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 5] = [Self::Post, Self::Put, Self::Patch, Self::Get, Self::Delete];

    /// Whether its requests have a body.
    pub const fn carries_body(self) -> bool {
        match self {
            Self::Post | Self::Put | Self::Patch => true,
            Self::Get | Self::Delete => false,
        }
    }

    /// The word of HTTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Get => "GET",
            Self::Delete => "DELETE",
        }
    }

    /// The method that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }
}

/// What the body of a destination's requests is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Body {
    /// The payload, byte for byte.
    #[default]
    Payload,
    /// The payload in an envelope with type and time, as Standard Webhooks suggests.
    Envelope,
    /// A message that Slack and its likes understand.
    Slack,
    /// What this template makes of it.
    Template(String),
    /// The fields of the payload as `application/x-www-form-urlencoded`.
    Form,
    /// The fields of the payload as `multipart/form-data`.
    Multipart,
}

/// What the `webhook-id` of a destination's requests is: what a receiver discards repeats by, and a part of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookId {
    /// The event id, which is unique in its account only: two accounts, or two destinations, with one receiver may send the
    /// same. Stored destinations that say nothing have it, because their receivers know it.
    #[default]
    Event,
    /// The delivery id, which nothing else in the world has. It is computed from account, event and destination, so it is
    /// the same on every attempt, retry and recovery.
    Delivery,
}

impl WebhookId {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Event, Self::Delivery];

    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Delivery => "delivery",
        }
    }

    /// The kind that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// How a request says who sends it, besides its signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// In which way.
    pub kind: CredentialKind,
    /// The header that carries them, in lower case.
    pub header: String,
    /// The whole value of that header, sealed; of [`CredentialKind::OAuth2`] the client's secret.
    pub sealed: SealedSecret,
    /// The client that asks for tokens; only of [`CredentialKind::OAuth2`].
    pub oauth2: Option<OAuth2Client>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?} in {})", self.kind, self.header)
    }
}

/// The ways in which a request may say who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `Authorization: Basic …` (RFC 7617).
    Basic,
    /// A header of the receiver's choice.
    Header,
    /// `Authorization: Bearer …` with a token that a token server gives (RFC 6749, 4.4).
    OAuth2,
}

impl CredentialKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Bearer, Self::Basic, Self::Header, Self::OAuth2];

    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "bearer",
            Self::Basic => "basic",
            Self::Header => "header",
            Self::OAuth2 => "oauth2",
        }
    }

    /// The kind that a stored word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// What a destination's requests look like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestShape {
    /// The method.
    pub method: Method,
    /// The body. A method that carries none sends none.
    pub body: Body,
    /// The content type of the body; `None` if it is the usual one of such a body.
    pub content_type: Option<ContentType>,
    /// How a form is written, if the body is one.
    pub form: Form,
    /// Headers besides those that every request has: names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// Credentials.
    pub credentials: Option<Credentials>,
    /// A signature beside that of Standard Webhooks.
    pub compatibility_signature: Option<CompatibilitySignature>,
    /// What the `webhook-id` is.
    pub webhook_id: WebhookId,
}

impl RequestShape {
    /// The most headers of a destination's own.
    pub const MOST_HEADERS: usize = 20;
    /// The longest value of a header, in bytes.
    pub const LONGEST_HEADER: usize = 1_000;
    /// The longest template, in bytes.
    pub const LONGEST_TEMPLATE: usize = 64 * 1024;

    /// Whether a header may be set by a destination: a token of HTTP (RFC 9110, 5.6.2) that is not Leadline's own and
    /// does not say how the message is sent.
    pub fn check_header(name: &str) -> Result<(), String> {
        const RESERVED: [&str; 10] = [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "upgrade",
            "traceparent",
            "tracestate",
        ];
        let token = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "!#$%&'*+-.^_`|~".contains(c);
        if name.is_empty() || name.len() > 100 || !name.chars().all(token) {
            return Err(format!("{} is no name of a header in lower case", quoted(name)));
        }
        let prefixed = ["webhook-", "leadline-", "proxy-"].iter().any(|prefix| name.starts_with(prefix));
        if name == "content-type" {
            return Err("the header \"content-type\" is set by content_type".to_owned());
        }
        if prefixed || RESERVED.contains(&name) {
            return Err(format!("the header {name:?} is set by Leadline itself"));
        }
        Ok(())
    }
}

/// A destination was switched off by a rule, not by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deactivation {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub cause: DeactivationCause,
    /// When the first attempt of the delivery failed that caused it.
    pub first_failed_at: Option<Timestamp>,
    /// The delivery that caused it; `None` if the fact is from before this was recorded.
    pub delivery: Option<DeactivatedBy>,
}

/// The delivery that switched its destination off, and the last answer to it. What the receiver wrote is not part of it: a
/// registry fact is kept for ever, and the text may tell of a lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeactivatedBy {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The lead that it is about.
    pub lead: LeadId,
    /// Its event.
    pub event_id: EventId,
    /// How many attempts were made.
    pub attempts: u32,
    /// The status of the last answer, or 999 if none came.
    pub status_code: u16,
    /// Why no answer came; `None` if one came.
    pub error_kind: Option<ErrorKind>,
}

/// Why a rule switched a destination off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeactivationCause {
    /// A delivery used up all of its attempts.
    Exhausted,
    /// The receiver answered 410: it is gone for good.
    Gone,
}

impl DeactivationCause {
    /// Every cause.
    pub const ALL: [Self; 2] = [Self::Exhausted, Self::Gone];

    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Gone => "gone",
        }
    }

    /// The cause that a stored word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == word)
    }
}
