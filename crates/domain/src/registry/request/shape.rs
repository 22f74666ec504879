//! The shape of a destination's requests.

use std::fmt;

use jiff::Timestamp;

use crate::{
    ids::{DeliveryId, EventId, LeadId},
    outcome::ErrorKind,
    registry::{
        entities::secret::SealedSecret,
        request::{
            compatibility::CompatibilitySignature,
            content::{ContentType, Format},
            form::Form,
            oauth2::OAuth2Client,
        },
    },
    text::quoted,
};

/// The method of a destination's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// POST, the usual method of webhooks.
    #[default]
    Post,
    Put,
    Patch,
    /// GET, without a body.
    Get,
    /// DELETE, without a body.
    Delete,
}

impl Method {
    pub const ALL: [Self; 5] = [Self::Post, Self::Put, Self::Patch, Self::Get, Self::Delete];

    /// Whether its requests have a body.
    pub const fn carries_body(self) -> bool {
        match self {
            Self::Post | Self::Put | Self::Patch => true,
            Self::Get | Self::Delete => false,
        }
    }

    /// The name of the method in HTTP.
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

/// The body of a destination's requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Body {
    /// The payload, byte for byte.
    #[default]
    Payload,
    /// The payload in an envelope with type and time, as Standard Webhooks suggests.
    Envelope,
    /// A message for Slack and compatible receivers.
    Slack,
    /// The result of this template.
    Template(String),
    /// The fields of the payload as `application/x-www-form-urlencoded`.
    Form,
    /// The fields of the payload as `multipart/form-data`.
    Multipart,
}

/// The value of `webhook-id` in a destination's requests. Receivers use it to discard repeated requests, and the
/// signature covers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebhookId {
    /// The event id, which is unique only in its account. Two accounts, or two destinations, with one receiver may send
    /// the same id. Destinations stored without this setting use it, because their receivers rely on it.
    #[default]
    Event,
    /// The delivery id, which is globally unique. It is computed from account, event and destination, so every attempt,
    /// retry and recovery has the same id.
    Delivery,
}

impl WebhookId {
    pub const ALL: [Self; 2] = [Self::Event, Self::Delivery];

    /// The word that facts and the API use.
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

/// The trace context in a destination's requests (W3C Trace Context and Baggage).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SentTrace {
    /// `traceparent` and `tracestate`. Destinations stored without this setting use it, because their receivers may
    /// rely on it.
    #[default]
    Unset,
    /// No trace context.
    None,
    /// A new trace, to which the span of the attempt links. No ids and no content of the publisher's trace are sent.
    Restart,
    /// `traceparent`, `tracestate` and `baggage`, which continue the publisher's trace.
    Continue,
}

impl SentTrace {
    pub const ALL: [Self; 4] = [Self::Unset, Self::None, Self::Restart, Self::Continue];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "",
            Self::None => "none",
            Self::Restart => "restart",
            Self::Continue => "continue",
        }
    }

    /// The setting that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// How a request authenticates its sender, besides its signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub kind: CredentialKind,
    /// The header that carries them, in lower case.
    pub header: String,
    /// The whole value of that header, sealed; for [`CredentialKind::OAuth2`] the client's secret.
    pub sealed: SealedSecret,
    /// The client that requests access tokens; only for [`CredentialKind::OAuth2`].
    pub oauth2: Option<OAuth2Client>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?} in {})", self.kind, self.header)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer,
    /// `Authorization: Basic …` (RFC 7617).
    Basic,
    /// A header that the receiver requires.
    Header,
    /// `Authorization: Bearer …` with an access token of a token server (RFC 6749, 4.4).
    OAuth2,
}

impl CredentialKind {
    pub const ALL: [Self; 4] = [Self::Bearer, Self::Basic, Self::Header, Self::OAuth2];

    /// The word that facts and the API use.
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

/// The shape of a destination's requests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestShape {
    pub method: Method,
    /// The body; ignored if the method carries no body.
    pub body: Body,
    /// The content type of the body; `None` if the default for the body is used.
    pub content_type: Option<ContentType>,
    /// The settings of the form, if the body is one.
    pub form: Form,
    /// Headers besides those that every request has: names in lower case, and values.
    pub headers: Vec<(String, String)>,
    pub credentials: Option<Credentials>,
    /// A signature besides that of Standard Webhooks.
    pub compatibility_signature: Option<CompatibilitySignature>,
    pub webhook_id: WebhookId,
    pub trace_context: SentTrace,
}

impl RequestShape {
    /// The maximum number of headers that a destination may add.
    pub const MAX_HEADERS: usize = 20;
    /// The maximum length of the value of a header, in bytes.
    pub const MAX_HEADER: usize = 1_000;
    /// The maximum size of a template, in bytes.
    pub const MAX_TEMPLATE: usize = 64 * 1024;

    /// The format of values in the body.
    pub fn format(&self) -> Format {
        match (&self.content_type, &self.body) {
            (Some(content_type), _) => content_type.format(),
            (None, Body::Form) => Format::Form,
            (None, Body::Multipart) => Format::Multipart,
            (None, _) => Format::Json,
        }
    }

    /// Checks that a destination may set a header. The name must be a token of HTTP (RFC 9110, 5.6.2) in lower case. It
    /// must not be a header that Leadline sets, or one that describes the transfer of the message.
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
            return Err(format!("{} is not the name of a header in lower case", quoted(name)));
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

/// The deactivation of a destination, by a rule and not by a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deactivation {
    pub at: Timestamp,
    pub cause: DeactivationCause,
    /// When the delivery that caused the deactivation first failed.
    pub first_failed_at: Option<Timestamp>,
    /// The delivery that caused the deactivation; `None` if the fact is older than this field.
    pub delivery: Option<DeactivatedBy>,
}

/// The delivery that deactivated its destination, and the last response. The text of the response is left out, because
/// a registry fact is kept for ever, and the text may contain data of a lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeactivatedBy {
    pub delivery: DeliveryId,
    pub lead: LeadId,
    pub event_id: EventId,
    /// The number of attempts.
    pub attempts: u32,
    /// The status of the last response, or 999 if no response came.
    pub status_code: u16,
    /// Why no response came; `None` if a response came.
    pub error_kind: Option<ErrorKind>,
}

/// Why a rule deactivated a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeactivationCause {
    /// A delivery used up all of its attempts.
    Exhausted,
    /// The receiver answered 410, which means that it is gone for good.
    Gone,
}

impl DeactivationCause {
    pub const ALL: [Self; 2] = [Self::Exhausted, Self::Gone];

    /// The word that facts and the API use.
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
