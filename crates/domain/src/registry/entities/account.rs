//! Accounts, and their clients, interfaces and API users.

use std::time::Duration;

use super::portal::Portal;
use crate::{
    ids::{AccountId, ApiUserId, ClientId, InterfaceId},
    search::SearchField,
};

/// The owner of leads and configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    /// Shown to people; at most 200 bytes.
    pub name: String,
    /// The brand in mails of the account; `None` if the brand of the installation is used.
    pub brand: Option<String>,
    /// The recipients of notices about failures.
    pub notification_emails: Vec<String>,
    /// The recipients of notices about deactivations, besides the API users. If there are neither, these notices go to
    /// the recipients of notices about failures.
    pub api_user_emails: Vec<String>,
    /// How an event is routed if several destinations want it.
    pub routing: Routing,
    /// How long the deliveries, leads and jobs of the account are kept. The limit of the installation is the maximum.
    /// `None` if that limit applies.
    pub keep_history: Option<Duration>,
    pub portal: Portal,
    /// The unconfirmed addresses of the account, in lower case. An API key of the account set them, and their owners have
    /// not confirmed them.
    pub unconfirmed: Vec<String>,
    /// If an account is deleted, everything that belongs to it is deleted, too.
    pub deleted: bool,
}

impl Account {
    /// The minimum history: a day.
    pub const MIN_HISTORY: Duration = Duration::from_secs(24 * 60 * 60);
    /// The maximum history: 3,650 days.
    pub const MAX_HISTORY: Duration = Self::MIN_HISTORY.saturating_mul(3_650);
}

/// How an event is routed if several destinations want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Routing {
    /// Of the destinations that want an event, only those of the highest level get it.
    #[default]
    Override,
    /// All destinations that want the event get it.
    All,
}

impl Routing {
    pub const ALL: [Self; 2] = [Self::Override, Self::All];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::All => "all",
        }
    }

    /// The routing that a word names; the empty word names the default.
    pub fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::default()) } else { Self::ALL.into_iter().find(|way| way.as_str() == word) }
    }
}

/// A customer of an account. Publishers may name the client of a lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    pub account: AccountId,
    /// Its id, unique in its account.
    pub id: ClientId,
    /// Shown to people; at most 200 bytes.
    pub name: String,
    /// Events that name a deleted client are refused.
    pub deleted: bool,
}

/// The form, page or campaign that leads come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub account: AccountId,
    /// Its id, unique in its account.
    pub id: InterfaceId,
    /// Shown to people; at most 200 bytes.
    pub name: String,
    /// The time until leads of the interface are anonymised; `None` if they are never anonymised.
    pub retention: Option<Duration>,
    /// The recipients of notices about new leads; at most 20.
    pub lead_notification_emails: Vec<String>,
    /// The values inside payloads by which its leads are found; at most 8.
    pub searchable: Vec<SearchField>,
    /// The unconfirmed addresses of the interface, in lower case. An API key of the account set them, and their owners
    /// have not confirmed them.
    pub unconfirmed: Vec<String>,
    /// A deleted interface accepts no events, and its leads cannot be sent again.
    pub deleted: bool,
}

impl Interface {
    /// The minimum retention: a day.
    pub const MIN_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
    /// The maximum retention: 3,650 days, which is ten years.
    pub const MAX_RETENTION: Duration = Self::MIN_RETENTION.saturating_mul(3_650);
}

/// A person or program that uses the API for an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUser {
    pub account: AccountId,
    /// Its id, unique in its account.
    pub id: ApiUserId,
    /// Shown to people; at most 200 bytes.
    pub name: String,
    /// The address for its notices.
    pub email: String,
    pub role: Role,
    /// Contains the address, in lower case, if an API key of the account set it and its owner has not confirmed it;
    /// empty otherwise.
    pub unconfirmed: Vec<String>,
    pub deleted: bool,
}

impl ApiUser {
    /// The maximum number of API users of an account, because each may get a mail about each deactivation.
    pub const MAX: usize = 100;
}

/// The rights of an API user. Each role includes the previous ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// May look at everything.
    Viewer,
    /// May also retry deliveries, and enable and disable destinations.
    Operator,
    /// May also change the configuration.
    Admin,
}

impl Role {
    /// Every role, the one with the fewest rights first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}
