//! An account, and who and what belongs to it besides its destinations and tokens.

use std::time::Duration;

use crate::ids::{AccountId, ApiUserId, ClientId, InterfaceId};

/// A customer of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// For people; at most 200 bytes.
    pub name: String,
    /// The brand that its emails speak for; none: that of the installation.
    pub brand: Option<String>,
    /// Who is told about failures.
    pub notification_emails: Vec<String>,
    /// Who is told that a destination was deactivated, besides its API users; if there is neither: the same as of
    /// failures.
    pub api_user_emails: Vec<String>,
    /// Which of the destinations that want an event get it.
    pub routing: Routing,
    /// How long its deliveries, leads and jobs are kept; `None` if as long as those of the installation, which is the
    /// longest.
    pub keep_history: Option<Duration>,
    /// Those of its addresses that were set with an account's own key and whose owners have not agreed, in lower case.
    pub unconfirmed: Vec<String>,
    /// It is gone, and with it all that belongs to it.
    pub deleted: bool,
}

impl Account {
    /// The shortest history: a day.
    pub const MIN_HISTORY: Duration = Duration::from_secs(24 * 60 * 60);
    /// The longest history: 3,650 days.
    pub const MAX_HISTORY: Duration = Self::MIN_HISTORY.saturating_mul(3_650);
}

/// Which of the destinations that want an event get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Routing {
    /// Those of the highest level: a higher level overrides the lower ones until it is removed.
    #[default]
    Override,
    /// All of them, whatever their level.
    All,
}

impl Routing {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Override, Self::All];

    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Override => "override",
            Self::All => "all",
        }
    }

    /// The way that a word names; none names the usual one.
    pub fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::default()) } else { Self::ALL.into_iter().find(|way| way.as_str() == word) }
    }
}

/// A sub-account: a customer of the customer. Publishers may say whose a lead is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Whose it is.
    pub account: AccountId,
    /// Its id, unique in its account.
    pub id: ClientId,
    /// For people; at most 200 bytes.
    pub name: String,
    /// It is gone: no lead can be its.
    pub deleted: bool,
}

/// A form, page or campaign that produces leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Whose it is.
    pub account: AccountId,
    /// Its id, unique in its account.
    pub id: InterfaceId,
    /// For people; at most 200 bytes.
    pub name: String,
    /// After how long its leads are to be anonymised; none: never.
    pub retention: Option<Duration>,
    /// Who is told about each of its leads; at most 20.
    pub lead_notification_emails: Vec<String>,
    /// Those of its addresses that were set with an account's own key and whose owners have not agreed, in lower case.
    pub unconfirmed: Vec<String>,
    /// It is gone: it takes no leads, and its leads cannot be sent again.
    pub deleted: bool,
}

impl Interface {
    /// The shortest retention: a day.
    pub const SHORTEST_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
    /// The longest retention: 3,650 days, which is ten years.
    pub const LONGEST_RETENTION: Duration = Self::SHORTEST_RETENTION.saturating_mul(3_650);
}

/// A person or program behind the API of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUser {
    /// Whose API.
    pub account: AccountId,
    /// Its id, unique in its account.
    pub id: ApiUserId,
    /// For people; at most 200 bytes.
    pub name: String,
    /// Where it is told what concerns it.
    pub email: String,
    /// What it may do.
    pub role: Role,
    /// Its address, if it was set with an account's own key and its owner has not agreed, in lower case.
    pub unconfirmed: Vec<String>,
    /// It is gone.
    pub deleted: bool,
}

impl ApiUser {
    /// The most API users of an account: each may get a mail about each deactivation.
    pub const MOST: usize = 100;
}

/// What somebody may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Look at everything.
    Viewer,
    /// Keep deliveries going: retry, enable, disable.
    Operator,
    /// Configure.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word that is stored and shown.
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
