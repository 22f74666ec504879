//! The kinds of entities, and the words for them.

/// The kinds of entities in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityKind {
    Account,
    Client,
    Interface,
    ApiUser,
    Destination,
    Token,
    /// The opt-out of an address from mails of a kind.
    OptOut,
    /// An API key.
    Key,
    /// The consent of the owner of an address.
    Confirmation,
    /// A lead event. The registry contains no events, but the audit log names the events whose payload was read.
    Event,
}

impl EntityKind {
    #[rustfmt::skip]
    pub const ALL: [Self; 10] = [
        Self::Account, Self::Client, Self::Interface, Self::ApiUser, Self::Destination, Self::Token, Self::OptOut,
        Self::Key, Self::Confirmation, Self::Event,
    ];

    /// The kind that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The word that subjects and messages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Client => "client",
            Self::Interface => "interface",
            Self::ApiUser => "api_user",
            Self::Destination => "destination",
            Self::Token => "token",
            Self::OptOut => "opt_out",
            Self::Key => "key",
            Self::Confirmation => "confirmation",
            Self::Event => "event",
        }
    }
}
