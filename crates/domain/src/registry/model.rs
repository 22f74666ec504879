//! Destinations, and the tokens that sign their requests.

use std::{fmt, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{
    request::{Deactivation, RequestShape},
    transport::Transport,
};
use crate::{
    condition::Condition,
    delivery::Switch,
    ids::{AccountId, ClientId, DestinationId, EventType, IdError, InterfaceId, TokenId},
    policy::RetryPolicy,
};

/// Which leads a destination is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of the whole account.
    Account,
    /// Those of one client.
    Client(ClientId),
    /// Those of one interface.
    Interface(InterfaceId),
}

impl Scope {
    /// Every [`level`](Self::level).
    pub const LEVELS: std::ops::RangeInclusive<u8> = 0..=2;

    /// 0 is the highest; a higher level overrides the lower ones, unless its account wants otherwise.
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
/// `*` is every type that publishers may use: what Leadline tells of its own work (`leadline.delivery.failed` and the like)
/// has to be asked for by its type, or by its beginning (`leadline.*`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventTypePattern(String);

impl EventTypePattern {
    /// The pattern that every type of the publishers matches.
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Takes a text as a pattern.
    ///
    /// # Errors
    /// When it is neither `*`, nor an event type, nor an event type followed by `.*`.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text != "*" {
            EventType::parse(text.strip_suffix(".*").unwrap_or(text))
                .map_err(|e| IdError { kind: "event type pattern", problem: e.problem })?;
        }
        Ok(Self(text.into()))
    }

    /// The pattern as text.
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

/// A webhook: where deliveries go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Whose it is.
    pub account: AccountId,
    /// Its id, unique in the installation.
    pub id: DestinationId,
    /// For people; at most 200 bytes.
    pub name: String,
    /// Which leads it is for.
    pub scope: Scope,
    /// Where requests go.
    pub url: String,
    /// Which events it wants; never empty.
    pub event_types: Vec<EventTypePattern>,
    /// Which of them it wants, by their payload; `None` if it wants all.
    pub condition: Option<Condition>,
    /// How long the receiver may take to answer; 100 ms to 60 s.
    pub timeout: Duration,
    /// How many requests may be under way at once; 1 to 1,000.
    pub concurrency: u32,
    /// How failed attempts are repeated.
    pub retry: RetryPolicy,
    /// How many requests may begin in one second; none: as many as it answers.
    pub rate: Option<u32>,
    /// After how many transport failures in a row requests stop but for a probe, each of them taking its part of the
    /// concurrency; 0: never.
    pub breaker_failures: u32,
    /// Whether the events of each lead arrive in the order in which they were stored: the next one is sent when those
    /// before it have ended.
    pub ordered: bool,
    /// What its requests look like.
    pub request: RequestShape,
    /// How its receiver is reached and recognised. Connections are shared only by destinations with equal settings.
    pub transport: Arc<Transport>,
    /// The token that signs its requests; none: they are not signed.
    pub token: Option<TokenId>,
    /// A person can switch it off; its deliveries are held meanwhile.
    pub enabled: bool,
    /// A rule switched it off; its deliveries are held meanwhile.
    pub deactivated: Option<Deactivation>,
    /// Of what is held for it, what was requested before this time is not sent: a person decided so.
    pub skip_held_before: Option<Timestamp>,
    /// It is gone; what waits for it is abandoned.
    pub deleted: bool,
}

impl Destination {
    /// Whether a person or a rule switched it off: its deliveries are held.
    pub const fn is_off(&self) -> bool {
        !self.enabled || self.deactivated.is_some()
    }

    /// Whether it takes anything.
    pub const fn switch(&self) -> Switch {
        match (self.is_off(), self.ordered) {
            (false, _) => Switch::On,
            (true, false) => Switch::Off,
            (true, true) => Switch::OffInOrder,
        }
    }

    /// What a sealed credential is bound to, so that it cannot be moved to another destination.
    pub fn belongs_to(account: &AccountId, id: &DestinationId) -> String {
        format!("{account}/{id}")
    }

    /// The highest rate, in requests a second.
    pub const HIGHEST_RATE: u32 = 10_000;
    /// After how many transport failures in a row its breaker opens unless the destination says otherwise.
    pub const DEFAULT_BREAKER_FAILURES: u32 = 20;
    /// The most transport failures that a breaker waits for.
    pub const MOST_BREAKER_FAILURES: u32 = 1_000;
    /// How long a receiver may take unless its destination says otherwise.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(15);
    /// The shortest timeout.
    pub const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
    /// The longest timeout.
    pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);
    /// How many requests may be under way unless the destination says otherwise.
    pub const DEFAULT_CONCURRENCY: u32 = 32;
    /// The most requests that may be under way.
    pub const MOST_CONCURRENCY: u32 = 1_000;
}

/// A secret as it is stored: sealed with the master key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SealedSecret(pub Vec<u8>);

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedSecret({} bytes)", self.0.len())
    }
}

/// One secret of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSecret {
    /// The secret, sealed.
    pub sealed: SealedSecret,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it still signs, once a newer one has taken its place.
    pub expires_at: Option<Timestamp>,
}

/// How a token signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    /// HMAC-SHA256, Standard Webhooks `v1`: the receiver has the same secret.
    #[default]
    HmacSha256,
    /// Ed25519, Standard Webhooks `v1a`: the receiver has the public key only.
    Ed25519,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::HmacSha256, Self::Ed25519];

    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::Ed25519 => "ed25519",
        }
    }

    /// The algorithm that a word names; none names the usual one.
    pub fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::default()) } else { Self::ALL.into_iter().find(|a| a.as_str() == word) }
    }
}

/// A shared token: what signs requests so that a receiver can check their sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is.
    pub account: AccountId,
    /// Its id.
    pub id: TokenId,
    /// For people; at most 200 bytes.
    pub name: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Its secrets, the newest first; never empty.
    pub secrets: Vec<TokenSecret>,
    /// It is gone; destinations that use it cannot be called.
    pub deleted: bool,
}

impl Token {
    /// What a sealed secret is bound to, so that it cannot be moved to another token.
    pub fn belongs_to(account: &AccountId, id: &TokenId) -> String {
        format!("{account}/{id}")
    }

    /// The token with a new secret; the ones before it still sign for `overlap`. At most [`Token::MOST_SECRETS`] are
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
        self.secrets.truncate(Self::MOST_SECRETS);
        self
    }

    /// How many secrets may sign at once: the header grows with each.
    pub const MOST_SECRETS: usize = 4;

    /// The secrets that sign at this time, the newest first.
    pub fn valid_secrets(&self, now: Timestamp) -> impl Iterator<Item = &TokenSecret> {
        self.secrets.iter().filter(move |secret| secret.expires_at.is_none_or(|end| now < end))
    }
}
