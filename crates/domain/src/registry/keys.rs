//! API keys: who may call, for which account and scopes, and until when.
//!
//! The registry knows only the hash of an API key's secret. A look-up takes one step, however many keys there are, and
//! its time does not depend on how much of a wrong secret is right.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    checks::{check_name, invalid},
    facts::{Change, EntityKind},
    refusal::Refusal,
    state::Registry,
};
use crate::{
    access::{Principal, Scope, Scopes},
    ids::{AccountId, ClientId, KeyId},
};

/// The maximum number of valid API keys of one account, or of the platform.
const MAX_KEYS: usize = 1_000;

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part of the key.
    pub id: KeyId,
    /// `None` if the key is platform-wide.
    pub account: Option<AccountId>,
    /// The client whose leads, deliveries and destinations are all that the key sees; `None` if it is for every client.
    pub client: Option<ClientId>,
    /// Shown to people; at most 200 bytes.
    pub name: String,
    /// What the key permits.
    pub scopes: Scopes,
    /// The hash of its secret.
    pub hash: KeyHash,
    pub created_at: Timestamp,
    pub created_by: String,
    /// `None` if it is valid until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// When the key was revoked, or its account was deleted.
    pub revoked_at: Option<Timestamp>,
}

/// SHA-256 of a secret of 32 random bytes. Such a secret cannot be guessed, so a slow salted hash, which passwords
/// need, would add no protection and slow down every call.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

/// Why an API key is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// There is no key with this id and this secret.
    #[error("the API key is unknown")]
    Unknown,
    /// The key was revoked, or its account was deleted.
    #[error("the API key was revoked")]
    Revoked,
    #[error("the API key has expired")]
    Expired,
}

impl ApiKey {
    /// Whether the key is valid at this time.
    ///
    /// # Errors
    /// Why the key is not valid.
    pub fn is_good(&self, now: Timestamp) -> Result<(), KeyRefusal> {
        if self.revoked_at.is_some() {
            return Err(KeyRefusal::Revoked);
        }
        if self.expires_at.is_some_and(|end| end <= now) {
            return Err(KeyRefusal::Expired);
        }
        Ok(())
    }
}

/// Every API key, including expired and revoked ones.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyRing {
    by_id: BTreeMap<KeyId, Arc<ApiKey>>,
    by_hash: HashMap<KeyHash, KeyId>,
}

impl KeyRing {
    pub(super) fn put(&mut self, key: ApiKey) {
        self.by_hash.insert(key.hash, key.id.clone());
        self.by_id.insert(key.id.clone(), Arc::new(key));
    }

    pub(super) fn revoke(&mut self, id: &KeyId, at: Timestamp) {
        if let Some(key) = self.by_id.get_mut(id) {
            Arc::make_mut(key).revoked_at.get_or_insert(at);
        }
    }

    pub(super) fn revoke_all_of(&mut self, account: &AccountId, at: Timestamp) {
        for key in self.by_id.values_mut().filter(|key| key.account.as_ref() == Some(account)) {
            Arc::make_mut(key).revoked_at.get_or_insert(at);
        }
    }
}

impl Registry {
    /// An API key, valid or not.
    pub fn key(&self, id: &KeyId) -> Option<&Arc<ApiKey>> {
        self.keys.by_id.get(id)
    }

    /// Every API key, valid or not, in the order of their ids.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.keys.by_id.values()
    }

    /// The caller that presents an API key with this id and this hash of its secret.
    ///
    /// # Errors
    /// Why the API key is refused.
    pub fn authenticate(&self, id: &KeyId, hash: &KeyHash, now: Timestamp) -> Result<Principal, KeyRefusal> {
        let known = self.keys.by_hash.get(hash).filter(|known| *known == id);
        let key = known.and_then(|known| self.key(known)).ok_or(KeyRefusal::Unknown)?;
        key.is_good(now)?;
        Ok(Principal::new(Arc::clone(key)))
    }

    /// The caller in a session of an API key, before the bounds of the session.
    ///
    /// # Errors
    /// Why the API key is refused.
    pub fn of_session(&self, id: &KeyId, now: Timestamp) -> Result<Principal, KeyRefusal> {
        let key = self.key(id).ok_or(KeyRefusal::Unknown)?;
        key.is_good(now)?;
        Ok(Principal::new(Arc::clone(key)))
    }

    pub(super) fn decide_create_key(&self, key: ApiKey) -> Result<Change, Refusal> {
        if let Some(account) = &key.account {
            self.must_have_account(account)?;
        }
        match (&key.account, &key.client) {
            (None, Some(_)) => return Err(invalid("client_id", "needs an account_id".into())),
            (Some(account), Some(client)) => self.must_have_client(account, client)?,
            (_, None) => {}
        }
        self.must_be_new(self.key(&key.id).is_some(), EntityKind::Key, key.id.as_str())?;
        check_name(&key.name)?;
        if key.scopes.is_empty() {
            return Err(invalid(
                "scopes",
                "are missing; give at least one of publish, read, operate, admin, payload and form".into(),
            ));
        }
        let is_of_forms = key.scopes.named().any(|scope| scope == Scope::Form);
        if is_of_forms && (key.scopes.named().count() > 1 || key.account.is_none()) {
            let problem = "form stands alone, and needs an account: everybody who sees a form knows its key";
            return Err(invalid("scopes", problem.into()));
        }
        if key.expires_at.is_some_and(|end| end <= key.created_at) {
            return Err(invalid("expires_at", "is in the past".into()));
        }
        let good = self.keys().filter(|other| other.account == key.account && other.is_good(key.created_at).is_ok());
        if good.count() >= MAX_KEYS {
            return Err(Refusal::TooMany { kind: EntityKind::Key, most: MAX_KEYS });
        }
        Ok(Change::KeyCreated(key))
    }

    pub(super) fn decide_revoke_key(&self, id: &KeyId) -> Result<Change, Refusal> {
        let not_found = || Refusal::NotFound { kind: EntityKind::Key, id: id.to_string() };
        let key = self.key(id).ok_or_else(not_found)?;
        Ok(Change::KeyRevoked(key.account.clone(), key.id.clone()))
    }
}
