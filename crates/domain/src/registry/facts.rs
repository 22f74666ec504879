//! Facts about the configuration.

use jiff::Timestamp;

use crate::{
    ids::{AccountId, ApiUserId, ClientId, DestinationId, EventId, InterfaceId, KeyId, LeadId, OptOutId, TokenId},
    registry::{
        entities::{
            account::{Account, ApiUser, Client, Interface},
            api_key::ApiKey,
            confirmation::Confirmation,
            destination::{Destination, Token},
            kind::EntityKind,
            opt_out::OptOut,
        },
        request::shape::Deactivation,
    },
};

/// A change of the configuration: who made it, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryFact {
    pub at: Timestamp,
    pub by: String,
    pub change: Change,
}

/// The change. Facts of creation and update carry the whole new state, so that the last fact of a subject is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    AccountCreated(Account),
    AccountUpdated(Account),
    AccountDeleted(AccountId),
    ClientCreated(Client),
    ClientUpdated(Client),
    ClientDeleted(AccountId, ClientId),
    InterfaceCreated(Interface),
    InterfaceUpdated(Interface),
    InterfaceDeleted(AccountId, InterfaceId),
    ApiUserCreated(ApiUser),
    ApiUserUpdated(ApiUser),
    ApiUserDeleted(AccountId, ApiUserId),
    DestinationCreated(Destination),
    DestinationUpdated(Destination),
    /// A person enabled a destination. Held deliveries that were requested before the given time are not sent.
    DestinationEnabled(AccountId, DestinationId, Option<Timestamp>),
    /// A rule deactivated a destination.
    DestinationDeactivated(AccountId, DestinationId, Deactivation),
    /// A person disabled a destination.
    DestinationDisabled(AccountId, DestinationId),
    DestinationDeleted(AccountId, DestinationId),
    TokenCreated(Token),
    /// The name or the secrets of a token changed.
    TokenUpdated(Token),
    TokenDeleted(AccountId, TokenId),
    /// An address opted out of mails of a kind.
    OptOutCreated(OptOut),
    /// An address gets mails of a kind again.
    OptOutDeleted(AccountId, OptOutId),
    /// The owner of an address confirmed it.
    EmailConfirmed(Confirmation),
    KeyCreated(ApiKey),
    /// An API key was revoked. The registry keeps it, because facts name it.
    KeyRevoked(Option<AccountId>, KeyId),
    /// A caller read the payload of an event. The audit log shows it. The registry stays unchanged, and stores no
    /// version of the event, because there may be many views.
    PayloadViewed(AccountId, EventId, LeadId),
}

impl Change {
    /// The word for what happened to the entity.
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
            Self::PayloadViewed(..) => "viewed",
            Self::DestinationEnabled(..) => "enabled",
            Self::DestinationDisabled(..) => "disabled",
            Self::DestinationDeactivated(..) => "deactivated",
        }
    }

    /// The changed entity: its account, kind and id. A platform-wide API key has no account.
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
            Self::PayloadViewed(account, event, _) => (account, EntityKind::Event, event.as_str()),
        };
        (Some(account), kind, id)
    }

    /// The mail addresses that a fact lists, and the unconfirmed ones among them.
    pub fn emails(&self) -> (Vec<&String>, &[String]) {
        match self {
            Self::AccountCreated(account) | Self::AccountUpdated(account) => {
                (account.emails().collect(), &account.unconfirmed)
            }
            Self::InterfaceCreated(interface) | Self::InterfaceUpdated(interface) => {
                (interface.lead_notification_emails.iter().collect(), &interface.unconfirmed)
            }
            Self::ApiUserCreated(user) | Self::ApiUserUpdated(user) => (vec![&user.email], &user.unconfirmed),
            _ => (vec![], &[]),
        }
    }
}
