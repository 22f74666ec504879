//! What is recorded about the configuration.

use jiff::Timestamp;

use super::{
    account::{Account, ApiUser, Client, Interface},
    confirmation::Confirmation,
    keys::ApiKey,
    model::{Destination, Token},
    opt_out::OptOut,
    request::Deactivation,
};
use crate::ids::{AccountId, ApiUserId, ClientId, DestinationId, InterfaceId, KeyId, OptOutId, TokenId};

/// A change of the configuration: who made it, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryFact {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// What.
    pub change: Change,
}

/// What was changed. Facts of creation and update carry the whole new state, so that the last one of a subject is
/// enough to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An account is new.
    AccountCreated(Account),
    /// An account is different.
    AccountUpdated(Account),
    /// An account is gone.
    AccountDeleted(AccountId),
    /// A client is new.
    ClientCreated(Client),
    /// A client is different.
    ClientUpdated(Client),
    /// A client is gone.
    ClientDeleted(AccountId, ClientId),
    /// An interface is new.
    InterfaceCreated(Interface),
    /// An interface is different.
    InterfaceUpdated(Interface),
    /// An interface is gone.
    InterfaceDeleted(AccountId, InterfaceId),
    /// An API user is new.
    ApiUserCreated(ApiUser),
    /// An API user is different.
    ApiUserUpdated(ApiUser),
    /// An API user is gone.
    ApiUserDeleted(AccountId, ApiUserId),
    /// A destination is new.
    DestinationCreated(Destination),
    /// A destination is different.
    DestinationUpdated(Destination),
    /// A person switched a destination on. What is held for it since before the given time is not to be sent.
    DestinationEnabled(AccountId, DestinationId, Option<Timestamp>),
    /// A rule switched a destination off.
    DestinationDeactivated(AccountId, DestinationId, Deactivation),
    /// A person switched a destination off.
    DestinationDisabled(AccountId, DestinationId),
    /// A destination is gone.
    DestinationDeleted(AccountId, DestinationId),
    /// A token is new.
    TokenCreated(Token),
    /// A token has another name or other secrets.
    TokenUpdated(Token),
    /// A token is gone.
    TokenDeleted(AccountId, TokenId),
    /// Somebody does not want mails of a kind.
    OptOutCreated(OptOut),
    /// He is to get them again.
    OptOutDeleted(AccountId, OptOutId),
    /// The owner of an address agreed to get mails.
    EmailConfirmed(Confirmation),
    /// A key is new.
    KeyCreated(ApiKey),
    /// A key is good no more. It stays known: facts name it.
    KeyRevoked(Option<AccountId>, KeyId),
}

/// The kinds of things that are configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityKind {
    /// An account.
    Account,
    /// A client.
    Client,
    /// An interface.
    Interface,
    /// An API user.
    ApiUser,
    /// A destination.
    Destination,
    /// A token.
    Token,
    /// Somebody who does not want mails of a kind.
    OptOut,
    /// A key of the API.
    Key,
    /// The consent of an address's owner.
    Confirmation,
}

impl EntityKind {
    /// Every kind.
    #[rustfmt::skip]
    pub const ALL: [Self; 9] = [
        Self::Account, Self::Client, Self::Interface, Self::ApiUser, Self::Destination, Self::Token, Self::OptOut,
        Self::Key, Self::Confirmation,
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
        }
    }
}

impl Change {
    /// What was done, in a word.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::AccountCreated(_)
            | Self::ClientCreated(_)
            | Self::InterfaceCreated(_)
            | Self::ApiUserCreated(_)
            | Self::DestinationCreated(_)
            | Self::TokenCreated(_)
            | Self::OptOutCreated(_)
            | Self::EmailConfirmed(_)
            | Self::KeyCreated(_) => "created",
            Self::AccountUpdated(_)
            | Self::ClientUpdated(_)
            | Self::InterfaceUpdated(_)
            | Self::ApiUserUpdated(_)
            | Self::DestinationUpdated(_)
            | Self::TokenUpdated(_) => "updated",
            Self::AccountDeleted(_)
            | Self::ClientDeleted(..)
            | Self::InterfaceDeleted(..)
            | Self::ApiUserDeleted(..)
            | Self::DestinationDeleted(..)
            | Self::TokenDeleted(..)
            | Self::OptOutDeleted(..) => "deleted",
            Self::KeyRevoked(..) => "revoked",
            Self::DestinationEnabled(..) => "enabled",
            Self::DestinationDisabled(..) => "disabled",
            Self::DestinationDeactivated(..) => "deactivated",
        }
    }

    /// What was changed: whose it is, its kind and its id. A platform-wide key is no account's.
    pub fn entity(&self) -> (Option<&AccountId>, EntityKind, &str) {
        let (account, kind, id) = match self {
            Self::KeyCreated(key) => return (key.account.as_ref(), EntityKind::Key, key.id.as_str()),
            Self::KeyRevoked(account, id) => return (account.as_ref(), EntityKind::Key, id.as_str()),
            Self::AccountCreated(a) | Self::AccountUpdated(a) => (&a.id, EntityKind::Account, a.id.as_str()),
            Self::AccountDeleted(id) => (id, EntityKind::Account, id.as_str()),
            Self::ClientCreated(c) | Self::ClientUpdated(c) => (&c.account, EntityKind::Client, c.id.as_str()),
            Self::ClientDeleted(account, id) => (account, EntityKind::Client, id.as_str()),
            Self::InterfaceCreated(i) | Self::InterfaceUpdated(i) => (&i.account, EntityKind::Interface, i.id.as_str()),
            Self::InterfaceDeleted(account, id) => (account, EntityKind::Interface, id.as_str()),
            Self::ApiUserCreated(u) | Self::ApiUserUpdated(u) => (&u.account, EntityKind::ApiUser, u.id.as_str()),
            Self::ApiUserDeleted(account, id) => (account, EntityKind::ApiUser, id.as_str()),
            Self::DestinationCreated(d) | Self::DestinationUpdated(d) => {
                (&d.account, EntityKind::Destination, d.id.as_str())
            }
            Self::DestinationEnabled(account, id, _)
            | Self::DestinationDeactivated(account, id, _)
            | Self::DestinationDisabled(account, id)
            | Self::DestinationDeleted(account, id) => (account, EntityKind::Destination, id.as_str()),
            Self::TokenCreated(t) | Self::TokenUpdated(t) => (&t.account, EntityKind::Token, t.id.as_str()),
            Self::TokenDeleted(account, id) => (account, EntityKind::Token, id.as_str()),
            Self::OptOutCreated(o) => (&o.account, EntityKind::OptOut, o.id.as_str()),
            Self::OptOutDeleted(account, id) => (account, EntityKind::OptOut, id.as_str()),
            Self::EmailConfirmed(c) => (&c.account, EntityKind::Confirmation, c.id.as_str()),
        };
        (Some(account), kind, id)
    }
}
