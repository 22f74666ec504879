//! An API key, and the collection of all API keys.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    access::scope::Scopes,
    ids::{AccountId, ClientId, KeyId},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part of the key.
    pub id: KeyId,
    /// `None` if the key is platform-wide.
    pub account: Option<AccountId>,
    /// The client that the key is bound to. Its caller sees only leads, deliveries and destinations of this client.
    /// `None` if the key is for every client.
    pub client: Option<ClientId>,
    /// Shown to people; at most 200 bytes.
    pub name: String,
    pub scopes: Scopes,
    /// The hash of the secret part of the key.
    pub hash: KeyHash,
    pub created_at: Timestamp,
    pub created_by: String,
    /// `None` if the key is valid until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// When the key was revoked, or its account was deleted; `None` if neither happened.
    pub revoked_at: Option<Timestamp>,
}

/// SHA-256 of a secret of 32 random bytes. Such a secret cannot be guessed. A slow salted hash, which passwords need,
/// would add no protection and slow down every call.
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
    /// No key has this id and this secret.
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
pub(in crate::registry) struct KeyRing {
    pub(in crate::registry) by_id: BTreeMap<KeyId, Arc<ApiKey>>,
    pub(in crate::registry) by_hash: HashMap<KeyHash, KeyId>,
}

impl KeyRing {
    pub(in crate::registry) fn put(&mut self, key: ApiKey) {
        self.by_hash.insert(key.hash, key.id.clone());
        self.by_id.insert(key.id.clone(), Arc::new(key));
    }

    pub(in crate::registry) fn revoke(&mut self, id: &KeyId, at: Timestamp) {
        if let Some(key) = self.by_id.get_mut(id) {
            Arc::make_mut(key).revoked_at.get_or_insert(at);
        }
    }

    pub(in crate::registry) fn revoke_all_of(&mut self, account: &AccountId, at: Timestamp) {
        for key in self.by_id.values_mut().filter(|key| key.account.as_ref() == Some(account)) {
            Arc::make_mut(key).revoked_at.get_or_insert(at);
        }
    }
}
