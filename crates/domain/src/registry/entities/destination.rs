//! Destinations, and the tokens that sign their requests.

use std::{fmt, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use crate::{
    condition::Condition,
    delivery::state::Switch,
    ids::{AccountId, ClientId, DestinationId, EventType, IdError, InterfaceId, TokenId},
    policy::RetryPolicy,
    registry::{
        entities::secret::SealedSecret,
        request::{
            shape::{Deactivation, RequestShape},
            transport::Transport,
        },
    },
};

/// The leads that a destination is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The leads of the whole account.
    Account,
    /// The leads of one client.
    Client(ClientId),
    /// The leads of one interface.
    Interface(InterfaceId),
}

impl Scope {
    /// The range of [`level`](Self::level).
    pub const LEVELS: std::ops::RangeInclusive<u8> = 0..=2;

    /// 0 is the highest level. If a destination wants an event, destinations of lower levels do not get it, unless the
    /// account routes to all.
    pub const fn level(&self) -> u8 {
        match self {
            Self::Account => 0,
            Self::Client(_) => 1,
            Self::Interface(_) => 2,
        }
    }
}

/// A pattern over event types: `*`, a type, or the beginning of types such as `email.*`.
///
/// `*` matches every type that publishers may use. Types of operational events, such as `leadline.delivery.failed`,
/// need the type itself or its beginning (`leadline.*`) as a pattern.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventTypePattern(String);

impl EventTypePattern {
    /// The pattern `*`.
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Parses a pattern.
    ///
    /// # Errors
    /// If the text is neither `*`, nor an event type, nor an event type followed by `.*`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text != "*" {
            EventType::parse(text.strip_suffix(".*").unwrap_or(text))
                .map_err(|e| IdError { kind: "event type pattern", problem: e.problem })?;
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a type matches. `email.*` matches `email.open` and `email.link.click`, and not `email`.
    pub fn matches(&self, event_type: &EventType) -> bool {
        match self.0.strip_suffix('*') {
            Some("") => !event_type.is_operational(),
            Some(beginning) => event_type.as_str().starts_with(beginning),
            None => self.0 == event_type.as_str(),
        }
    }
}

impl fmt::Debug for EventTypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A webhook endpoint with its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub account: AccountId,
    /// Its id, unique in the installation.
    pub id: DestinationId,
    /// Shown to people; at most 200 bytes.
    pub name: String,
    /// The leads that the destination is for.
    pub scope: Scope,
    pub url: String,
    /// The types of events that the destination wants; never empty.
    pub event_types: Vec<EventTypePattern>,
    /// The payloads that the destination wants; `None` if it wants all.
    pub condition: Option<Condition>,
    /// The time within which the receiver must answer; 100 ms to 60 s.
    pub timeout: Duration,
    /// The concurrency limit; 1 to 1,000.
    pub concurrency: u32,
    /// How failed attempts are repeated.
    pub retry: RetryPolicy,
    /// The rate limit, in requests a second; `None` if there is no limit.
    pub rate: Option<u32>,
    /// The number of transport failures in a row that open the breaker; 0 if it never opens. Each failure before that
    /// lowers the concurrency.
    pub breaker_failures: u32,
    /// Whether the destination is ordered: it gets the events of each lead in the order in which they were stored, each
    /// after the earlier deliveries have ended.
    pub ordered: bool,
    pub request: RequestShape,
    /// The settings of its connections. Only destinations with equal settings share connections.
    pub transport: Arc<Transport>,
    /// The token that signs its requests; `None` if they are not signed.
    pub token: Option<TokenId>,
    /// `false` if a person disabled the destination; its deliveries are held meanwhile.
    pub enabled: bool,
    /// Set if a rule deactivated the destination; its deliveries are held meanwhile.
    pub deactivated: Option<Deactivation>,
    /// Held deliveries that were requested before this time are not sent, because a person enabled the destination with
    /// `skip_held`.
    pub skip_held_before: Option<Timestamp>,
    /// The pending deliveries of a deleted destination are abandoned.
    pub deleted: bool,
}

impl Destination {
    /// Whether a person or a rule switched the destination off, so that its deliveries are held.
    pub const fn is_off(&self) -> bool {
        !self.enabled || self.deactivated.is_some()
    }

    /// Whether the destination accepts deliveries.
    pub const fn switch(&self) -> Switch {
        match (self.is_off(), self.ordered) {
            (false, _) => Switch::On,
            (true, false) => Switch::Off,
            (true, true) => Switch::OffInOrder,
        }
    }

    /// The context that a sealed credential is bound to, so that it cannot move to another destination.
    pub fn belongs_to(account: &AccountId, id: &DestinationId) -> String {
        format!("{account}/{id}")
    }

    /// The maximum rate limit, in requests a second.
    pub const MAX_RATE: u32 = 10_000;
    /// The default number of transport failures in a row that open the breaker.
    pub const DEFAULT_BREAKER_FAILURES: u32 = 20;
    /// The maximum number of transport failures that open a breaker.
    pub const MAX_BREAKER_FAILURES: u32 = 1_000;
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
    /// The minimum timeout.
    pub const MIN_TIMEOUT: Duration = Duration::from_millis(100);
    /// The maximum timeout.
    pub const MAX_TIMEOUT: Duration = Duration::from_secs(60);
    /// The default concurrency limit.
    pub const DEFAULT_CONCURRENCY: u32 = 32;
    /// The maximum concurrency limit.
    pub const MAX_CONCURRENCY: u32 = 1_000;
}

/// One secret of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSecret {
    pub sealed: SealedSecret,
    pub created_at: Timestamp,
    /// When the secret stops signing; `None` if no newer secret has replaced it.
    pub expires_at: Option<Timestamp>,
}

/// How a token signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// HMAC-SHA256, Standard Webhooks `v1`. The receiver has the same secret.
    #[default]
    HmacSha256,
    /// Ed25519, Standard Webhooks `v1a`. The receiver has the public key only.
    Ed25519,
}

impl Algorithm {
    pub const ALL: [Self; 2] = [Self::HmacSha256, Self::Ed25519];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm that a word names; the empty word names the default.
    pub fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::default()) } else { Self::ALL.into_iter().find(|a| a.as_str() == word) }
    }
}

/// A signing secret. It signs requests, so that receivers can verify the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub account: AccountId,
    pub id: TokenId,
    /// Shown to people; at most 200 bytes.
    pub name: String,
    pub algorithm: Algorithm,
    /// Its secrets, the newest first; never empty.
    pub secrets: Vec<TokenSecret>,
    /// Destinations with a deleted token cannot be called.
    pub deleted: bool,
}

impl Token {
    /// The context that a sealed secret is bound to, so that it cannot move to another token.
    pub fn belongs_to(account: &AccountId, id: &TokenId) -> String {
        format!("{account}/{id}")
    }

    /// The token with a new secret. The older secrets still sign for `overlap`. At most [`Token::MAX_SECRETS`] are
    /// kept.
    #[must_use]
    pub fn rotated(mut self, sealed: SealedSecret, now: Timestamp, overlap: Duration) -> Self {
        let end = SignedDuration::try_from(overlap).ok().and_then(|overlap| now.checked_add(overlap).ok());
        let end = end.unwrap_or(Timestamp::MAX);
        self.secrets.retain(|secret| secret.expires_at.is_none_or(|expires_at| now < expires_at));
        for secret in &mut self.secrets {
            secret.expires_at = Some(secret.expires_at.map_or(end, |expires_at| expires_at.min(end)));
        }
        self.secrets.insert(0, TokenSecret { sealed, created_at: now, expires_at: None });
        self.secrets.truncate(Self::MAX_SECRETS);
        self
    }

    /// The maximum number of secrets that sign at once, because each makes the header longer.
    pub const MAX_SECRETS: usize = 4;

    /// The secrets that sign at this time, the newest first.
    pub fn valid_secrets(&self, now: Timestamp) -> impl Iterator<Item = &TokenSecret> {
        self.secrets.iter().filter(move |secret| secret.expires_at.is_none_or(|end| now < end))
    }
}
