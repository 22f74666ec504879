//! Authorisation: the scopes of API keys, the rules of methods, and principals.
//!
//! An API key is a registry fact ([`crate::registry::ApiKey`]). A caller that presents its secret is a [`Principal`],
//! and so is a [`Person`] who logged in at an identity provider. A [`Rule`] says what a method requires of its caller;
//! [`Principal::may_touch`] checks the account that a call is about.

mod people;

use std::{fmt, sync::Arc};

use jiff::Timestamp;
pub use people::{GroupRule, Holder, NoGroupRule, Person, Rights, rights_of};

use crate::{
    ids::{AccountId, ClientId, KeyId},
    registry::ApiKey,
};

/// A scope of an API key: what the key permits.
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

    /// The scope that a word names.
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

/// What a method requires of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Any valid API key.
    AnyKey,
    /// An API key with this scope.
    Needs(Scope),
    /// A platform-wide API key with this scope.
    Platform(Scope),
}

/// Why a caller with a valid API key may not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The API key lacks the scope.
    #[error("{caller} has only the scope {has}; this call needs the scope {}", .needs.as_str())]
    Scope {
        caller: String,
        has: Scopes,
        /// The missing scope.
        needs: Scope,
    },
    /// The API key may only submit forms.
    #[error("{caller} may submit forms at /v1/forms, and do nothing else")]
    FormsOnly { caller: String },
    /// The API key belongs to an account, and the call needs a platform-wide one.
    #[error("{caller} belongs to account {account}; this call needs a platform-wide API key")]
    NotPlatform { caller: String, account: AccountId },
    /// The API key belongs to another account. The message does not reveal whether the named account exists.
    #[error("{caller} belongs to account {account} and cannot access another account")]
    OtherAccount { caller: String, account: AccountId },
    /// The API key is bound to a client, and the call concerns more than this client.
    #[error("{caller} is bound to client {client}; this call needs an API key of the whole account")]
    OneClient { caller: String, client: ClientId },
    /// A portal session wants to create something that outlives it.
    #[error("{caller} calls from a portal session, which cannot create API keys or portal sessions")]
    FromPortal { caller: String },
}

/// The bounds of a session. They narrow the rights of its API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bounds {
    /// `None` if the session may access every account of the API key.
    pub account: Option<AccountId>,
    /// `None` if the session may access every client.
    pub client: Option<ClientId>,
    pub scopes: Scopes,
    pub until: Timestamp,
    /// The person who has the session; empty if they gave no name.
    pub person: String,
    /// Whether the session is a portal, which is for other people than the holder of the API key.
    pub is_portal: bool,
}

/// The caller, known by an API key that was valid at the time of the call, or by what an identity provider signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The API key; in a session, within the bounds of the session. A person without a key has a substitute.
    key: Arc<ApiKey>,
    /// `None` if the caller has an API key.
    identity: Option<Arc<Person>>,
    person: Option<Arc<str>>,
    is_portal: bool,
}

impl Principal {
    pub(crate) const fn new(key: Arc<ApiKey>) -> Self {
        Self { key, identity: None, person: None, is_portal: false }
    }

    /// The same caller within the bounds of a session. It never has more scopes than its API key has now. `None` if the
    /// API key is not for the account or client of the session.
    #[must_use]
    pub fn within(&self, bounds: &Bounds) -> Option<Self> {
        let own = &self.key;
        let account = match (&own.account, &bounds.account) {
            (Some(own), Some(other)) if own != other => return None,
            (own, other) => own.clone().or_else(|| other.clone()),
        };
        let client = match (&own.client, &bounds.client) {
            (Some(own), Some(other)) if own != other => return None,
            (own, other) => own.clone().or_else(|| other.clone()),
        };
        // Without an account, a client would be that of any account.
        if client.is_some() && account.is_none() {
            return None;
        }
        let scopes = bounds.scopes.named().filter(|scope| own.scopes.include(*scope)).collect();
        let expires_at = Some(own.expires_at.map_or(bounds.until, |end| end.min(bounds.until)));
        let key = ApiKey { account, client, scopes, expires_at, ..ApiKey::clone(own) };
        let person = (!bounds.person.is_empty()).then(|| Arc::from(bounds.person.as_str()));
        let (identity, is_portal) = (self.identity.clone(), self.is_portal || bounds.is_portal);
        Some(Self { key: key.into(), identity, person, is_portal })
    }

    pub fn key(&self) -> &ApiKey {
        &self.key
    }

    /// The id of the key or of its substitute, by which limits count.
    pub fn id(&self) -> &KeyId {
        &self.key.id
    }

    /// The holder of sessions that this caller starts.
    pub fn holder(&self) -> Holder {
        match &self.identity {
            Some(person) => Holder::Person(Arc::clone(person)),
            None => Holder::Key(self.key.id.clone()),
        }
    }

    /// The account that the API key belongs to; `None` if the API key is platform-wide.
    pub fn account(&self) -> Option<&AccountId> {
        self.key.account.as_ref()
    }

    /// The client that the API key is bound to; `None` if it is for every client.
    pub fn client(&self) -> Option<&ClientId> {
        self.key.client.as_ref()
    }

    /// The person who has the session; `None` if they gave no name, or there is no session.
    pub fn person(&self) -> Option<&str> {
        self.person.as_deref()
    }

    pub const fn is_portal(&self) -> bool {
        self.is_portal
    }

    /// Checks that a caller that is bound to a client may call a method. `open` says whether the method keeps to the
    /// caller's client.
    ///
    /// # Errors
    /// If the caller is bound to a client, and the method is not open to such callers.
    pub fn may_as_client(&self, open: bool) -> Result<(), Denial> {
        match self.client() {
            Some(client) if !open => Err(Denial::OneClient { caller: self.to_string(), client: client.clone() }),
            _ => Ok(()),
        }
    }

    /// Whether the caller may create things that outlive its session.
    ///
    /// # Errors
    /// If the session is a portal.
    pub fn may_leave_session(&self) -> Result<(), Denial> {
        if self.is_portal { Err(Denial::FromPortal { caller: self.to_string() }) } else { Ok(()) }
    }

    /// Whether the rule of a method admits the caller.
    ///
    /// # Errors
    /// The right that the caller lacks.
    pub fn may(&self, rule: Rule) -> Result<(), Denial> {
        let needs = match rule {
            // Every visitor of a form knows its key, and must not learn who created the key.
            Rule::AnyKey if self.key.scopes.named().eq([Scope::Form]) => {
                return Err(Denial::FormsOnly { caller: self.to_string() });
            }
            Rule::AnyKey => return Ok(()),
            Rule::Needs(scope) | Rule::Platform(scope) => scope,
        };
        if !self.key.scopes.include(needs) {
            return Err(Denial::Scope { caller: self.to_string(), has: self.key.scopes, needs });
        }
        match (rule, self.account()) {
            (Rule::Platform(_), Some(account)) => {
                Err(Denial::NotPlatform { caller: self.to_string(), account: account.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Whether the caller may act on the things of this account.
    ///
    /// # Errors
    /// If the API key belongs to another account.
    pub fn may_touch(&self, account: &AccountId) -> Result<(), Denial> {
        match self.account() {
            Some(own) if own != account => Err(Denial::OtherAccount { caller: self.to_string(), account: own.clone() }),
            _ => Ok(()),
        }
    }

    /// Whether the caller may create this API key: within its own account if it has one, and with no scope that it
    /// lacks itself. An administrator may also give the scope `payload`.
    ///
    /// # Errors
    /// The right that the caller lacks.
    pub fn may_make(&self, key: &ApiKey) -> Result<(), Denial> {
        self.may_leave_session()?;
        match (&key.account, self.account()) {
            (Some(account), _) => self.may_touch(account)?,
            (None, Some(own)) => {
                return Err(Denial::NotPlatform { caller: self.to_string(), account: own.clone() });
            }
            (None, None) => {}
        }
        match key.scopes.named().find(|scope| !self.key.scopes.grant(*scope)) {
            Some(needs) => Err(Denial::Scope { caller: self.to_string(), has: self.key.scopes, needs }),
            None => Ok(()),
        }
    }
}

/// How facts name the caller: `key <id>` and the name of the API key, or `person <subject>` and their mail address.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.identity {
            Some(person) => write!(f, "person {} ({})", person.subject, self.key.name),
            None => write!(f, "key {} ({})", self.key.id, self.key.name),
        }
    }
}
