//! Who may do what: the scopes of keys, the rules of methods, and the one who calls.
//!
//! A key is a registry fact ([`crate::registry::ApiKey`]); whoever shows its secret is a [`Principal`]. A [`Rule`] says
//! what a method asks of its caller; which account it is about, the caller is asked with [`Principal::may_touch`].

use std::{fmt, sync::Arc};

use crate::{
    ids::{AccountId, KeyId},
    registry::ApiKey,
};

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Publishing lead events, and nothing else.
    Publish,
    /// Seeing leads, deliveries and the configuration.
    Read,
    /// Repeating deliveries, holding and releasing them, changing destinations; reading is included.
    Operate,
    /// Everything, also making keys.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Read, Self::Operate, Self::Admin];

    /// The word that facts and messages use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// The scope of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// What whoever has this scope may do: itself, and what it includes.
    const fn includes(self) -> u8 {
        match self {
            Self::Publish | Self::Read => self.bit(),
            Self::Operate => self.bit() | Self::Read.bit(),
            Self::Admin => u8::MAX,
        }
    }
}

/// A set of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scopes(u8);

impl Scopes {
    /// The scopes that were given by name, in their order; what they include is not named.
    pub fn named(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this scope is among them or included in one of them.
    pub fn include(self, scope: Scope) -> bool {
        self.named().any(|own| own.includes() & scope.bit() != 0)
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

/// What a method asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Any key that is good.
    AnyKey,
    /// A key with this scope.
    Needs(Scope),
    /// A key with this scope that is platform-wide.
    Platform(Scope),
}

/// Why a caller whose key is good may not do something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The key has not the scope.
    #[error("{caller} has the scope {has} only, and this needs {}", .needs.as_str())]
    Scope {
        /// Who.
        caller: String,
        /// Its scopes.
        has: Scopes,
        /// The one that is missing.
        needs: Scope,
    },
    /// The key belongs to an account, and this is the platform's business.
    #[error("{caller} belongs to account {account}, and this needs a platform-wide key")]
    NotPlatform {
        /// Who.
        caller: String,
        /// Its account.
        account: AccountId,
    },
    /// The key belongs to another account. Whether the account that was named exists is not said.
    #[error("{caller} belongs to account {account} and has no business with another one")]
    OtherAccount {
        /// Who.
        caller: String,
        /// Its account.
        account: AccountId,
    },
}

/// Somebody who calls, known by a key that was good when he called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal(Arc<ApiKey>);

impl Principal {
    pub(crate) const fn new(key: Arc<ApiKey>) -> Self {
        Self(key)
    }

    /// The key.
    pub fn key(&self) -> &ApiKey {
        &self.0
    }

    /// The id of the key.
    pub fn id(&self) -> &KeyId {
        &self.0.id
    }

    /// The only account that it has to do with; none: it is platform-wide.
    pub fn account(&self) -> Option<&AccountId> {
        self.0.account.as_ref()
    }

    /// Whether the rule of a method lets it in.
    ///
    /// # Errors
    /// What it lacks.
    pub fn may(&self, rule: Rule) -> Result<(), Denial> {
        let needs = match rule {
            Rule::AnyKey => return Ok(()),
            Rule::Needs(scope) | Rule::Platform(scope) => scope,
        };
        if !self.0.scopes.include(needs) {
            return Err(Denial::Scope { caller: self.to_string(), has: self.0.scopes, needs });
        }
        match (rule, self.account()) {
            (Rule::Platform(_), Some(account)) => {
                Err(Denial::NotPlatform { caller: self.to_string(), account: account.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Whether what belongs to an account is its business.
    ///
    /// # Errors
    /// When the key belongs to another one.
    pub fn may_touch(&self, account: &AccountId) -> Result<(), Denial> {
        match self.account() {
            Some(own) if own != account => Err(Denial::OtherAccount { caller: self.to_string(), account: own.clone() }),
            _ => Ok(()),
        }
    }

    /// Whether it may make this key: one of its own account if it has one, and with nothing that it may not do itself.
    ///
    /// # Errors
    /// What it lacks.
    pub fn may_make(&self, key: &ApiKey) -> Result<(), Denial> {
        match (&key.account, self.account()) {
            (Some(account), _) => self.may_touch(account)?,
            (None, Some(own)) => {
                return Err(Denial::NotPlatform { caller: self.to_string(), account: own.clone() });
            }
            (None, None) => {}
        }
        match key.scopes.named().find(|scope| !self.0.scopes.include(*scope)) {
            Some(needs) => Err(Denial::Scope { caller: self.to_string(), has: self.0.scopes, needs }),
            None => Ok(()),
        }
    }
}

/// What facts say about who caused them: `key <id>`, and what it is called.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} ({})", self.0.id, self.0.name)
    }
}
