//! API keys in the registry: look-up, authentication of callers, creation and revocation.
//!
//! The registry only knows the hash of an API key's secret. A look-up takes one step for any number of keys, and its
//! time does not depend on how much of a wrong secret is correct.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    access::{Principal, Scope},
    ids::KeyId,
    registry::{
        checks::fields::check_name,
        entities::{
            api_key::{ApiKey, KeyHash, KeyRefusal},
            kind::EntityKind,
        },
        facts::Change,
        refusal::{Refusal, invalid},
        state::fold::Registry,
    },
};

/// The maximum number of valid API keys of one account, or of the platform.
const MAX_KEYS: usize = 1_000;

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

    pub(in crate::registry) fn decide_create_key(&self, key: ApiKey) -> Result<Change, Refusal> {
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
            let problem = "form must be the only scope, and needs an account: every visitor of a form knows its key";
            return Err(invalid("scopes", problem.into()));
        }
        if key.expires_at.is_some_and(|end| end <= key.created_at) {
            return Err(invalid("expires_at", "is in the past".into()));
        }
        let good = self.keys().filter(|other| other.account == key.account && other.is_good(key.created_at).is_ok());
        if good.count() >= MAX_KEYS {
            return Err(Refusal::TooMany { kind: EntityKind::Key, max: MAX_KEYS });
        }
        Ok(Change::KeyCreated(key))
    }

    pub(in crate::registry) fn decide_revoke_key(&self, id: &KeyId) -> Result<Change, Refusal> {
        let not_found = || Refusal::NotFound { kind: EntityKind::Key, id: id.to_string() };
        let key = self.key(id).ok_or_else(not_found)?;
        Ok(Change::KeyRevoked(key.account.clone(), key.id.clone()))
    }
}
