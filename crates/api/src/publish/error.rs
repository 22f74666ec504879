//! The errors of publishing, with texts for publishers.

use std::time::Duration;

use domain::{AccountId, EventId, access::Denial, lead::HOPS, registry::KeyRefusal, text::bounded};

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Fields are invalid, each with its problem. A repeated call fails again.
    #[error("{}", list(.0))]
    Invalid(Vec<(&'static str, String)>),
    /// Another event was stored with the same id. A repeated call fails again.
    #[error(
        "event_id: {event_id} was stored before with another payload; give another event another event_id, or leave it out"
    )]
    Conflict { event_id: EventId },
    /// The publisher may not act on the account.
    #[error("account: {0}")]
    Denied(Denial),
    /// The API key of the publisher expired or was revoked during the call.
    #[error(transparent)]
    KeyEnded(#[from] KeyRefusal),
    /// Too many deliveries led to the request, one after another. A repeated call fails again.
    #[error(
        "{HOPS}: loop: {hops} deliveries led to this request, one after another, and {max_hops} is the limit \
         (--max-hops); a destination publishes to Leadline itself: change its URL or delete it"
    )]
    Loop {
        /// The deliveries that led to the request.
        hops: u32,
        /// The maximum number of these deliveries.
        max_hops: u32,
    },
    /// The account exceeds its rate limit. The caller can repeat the call later.
    #[error(
        "account: {account} publishes faster than {per_second} events a second, which is the limit (--publish-rate); \
         nothing was stored; call again in {retry_after:.1?} with the same event_id"
    )]
    TooFast {
        account: AccountId,
        per_second: u32,
        /// The time until the same call is accepted.
        retry_after: Duration,
    },
    /// The event is valid, but could not be stored. The caller can repeat the call with the same event id.
    #[error("the event was not accepted: {0}; call again with the same event_id")]
    Unavailable(String),
}

impl PublishError {
    /// An invalid field. The problem may quote a publisher's text; a long problem is cut.
    pub fn invalid(field: &'static str, problem: impl Into<String>) -> Self {
        Self::Invalid(vec![(field, bounded(problem.into()))])
    }

    /// The first invalid field; `None` if the error is not about a field.
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::Invalid(mistakes) => mistakes.first().map(|(field, _)| *field),
            Self::Conflict { .. } => Some("event_id"),
            Self::Denied(_) | Self::TooFast { .. } => Some("account"),
            Self::Loop { .. } => Some(HOPS),
            Self::KeyEnded(_) | Self::Unavailable(_) => None,
        }
    }
}

/// `Display` prints the denial, so the denial must not be the source as well.
impl From<Denial> for PublishError {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

fn list(mistakes: &[(&'static str, String)]) -> String {
    bounded(mistakes.iter().map(|(field, problem)| format!("{field}: {problem}")).collect::<Vec<_>>().join("; "))
}
