//! The scopes of API keys: what a key permits.

use std::fmt;

/// One right of an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Publishing lead events, and nothing else.
    Publish,
    /// Reading leads, deliveries and the configuration.
    Read,
    /// Retrying and recovering deliveries, and enabling, disabling and testing destinations; reading is included.
    Operate,
    /// Everything except payloads, including the creation of API keys.
    Admin,
    /// Submitting HTML forms, and nothing else. Such a key is public, because web pages contain it.
    Form,
    /// Reading the payloads of leads. No other scope includes it.
    Payload,
}

impl Scope {
    pub const ALL: [Self; 6] = [Self::Publish, Self::Read, Self::Operate, Self::Admin, Self::Form, Self::Payload];

    /// The word that facts and messages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
            Self::Form => "form",
            Self::Payload => "payload",
        }
    }

    /// The scope that a word names; `None` if it names none.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The scopes that this scope permits, itself included, as bits.
    const fn includes(self) -> u8 {
        match self {
            Self::Publish | Self::Read | Self::Form | Self::Payload => self.bit(),
            Self::Operate => self.bit() | Self::Read.bit(),
            Self::Admin => !Self::Payload.bit(),
        }
    }

    /// The scopes that a key with this scope may give to the keys that it creates, as bits. An administrator may give
    /// `payload` without having it.
    const fn grants(self) -> u8 {
        match self {
            Self::Admin => u8::MAX,
            _ => self.includes(),
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// The scopes that were granted by name, in their order; included scopes are not listed.
    pub fn named(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }

    /// Whether the set has no scope.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set has this scope, or one that includes it.
    pub fn include(self, scope: Scope) -> bool {
        self.named().any(|own| own.includes() & scope.bit() != 0)
    }

    /// Whether a key with these scopes may give this one to a key that it creates.
    pub fn grant(self, scope: Scope) -> bool {
        self.named().any(|own| own.grants() & scope.bit() != 0)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<T: IntoIterator<Item = Scope>>(scopes: T) -> Self {
        Self(scopes.into_iter().fold(0, |set, scope| set | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.named().map(Scope::as_str).collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}
