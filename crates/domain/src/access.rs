//! Authorisation: the scopes of API keys, the rules of methods, and principals.
//!
//! An API key is a registry fact ([`crate::registry::ApiKey`]). A caller that presents its secret is a [`Principal`],
//! and so is a [`Person`] who logged in at an identity provider. A [`Rule`] says what a method requires of its caller;
//! [`Principal::may_touch`] checks the account that a call is about.

mod people;
pub(crate) mod scope;

use std::{fmt, sync::Arc};

use jiff::Timestamp;
pub use people::{GroupRule, Holder, NoGroupRule, Person, Rights, rights_of};
pub use scope::{Scope, Scopes};

use crate::{
    ids::{AccountId, ClientId, KeyId},
    registry::{ApiKey, KeyHash},
};

/// What a method requires of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Any valid API key, except one that may only submit forms.
    AnyKey,
    /// An API key with this scope, or with one that includes it.
    Needs(Scope),
    /// A platform-wide API key with this scope, or with one that includes it.
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
    /// The API key; in a session, narrowed to the bounds of the session. A person from an identity provider has a
    /// substitute for a key.
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
        // Without an account, the id of a client would match clients of every account.
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

    /// The id of the key or of its substitute. Limits for each caller count by it.
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

    /// Checks that a caller that is bound to a client may call a method. `open` says whether the method limits its
    /// answers to the caller's client.
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

    /// Checks that the caller meets the rule of a method.
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

    /// Whether the caller may create this API key. The key must belong to the account of the caller, if the caller has
    /// one, and must have no scope that the caller lacks. An administrator may also give the scope `payload`.
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

impl Person {
    /// The person as a caller, until the end of their session; `None` if no id can be made for the person.
    pub fn principal(self: &Arc<Self>, rights: &Rights, until: Timestamp) -> Option<Principal> {
        let key = ApiKey {
            id: self.id()?,
            account: rights.account.clone(),
            client: rights.client.clone(),
            name: if self.name.is_empty() { self.subject.clone() } else { self.name.clone() },
            scopes: rights.scopes,
            // No secret has this hash, and the registry does not know it.
            hash: KeyHash([0; 32]),
            created_at: Timestamp::UNIX_EPOCH,
            created_by: String::new(),
            expires_at: Some(until),
            revoked_at: None,
        };
        Some(Principal { identity: Some(Arc::clone(self)), ..Principal::new(key.into()) })
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
