//! Keyed hashes of the values by which leads are found (HMAC-SHA256). The key is derived from the master key for each
//! account, so equal values of two accounts have different hashes.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::{link::keyed, sealing::MasterKey};

/// The length of a hash. Half of a MAC keeps tables small, and is long enough that among 2^60 values no two have the
/// same hash by chance (RFC 2104 section 5).
const HASH_BYTES: usize = 16;

/// Hashes the values of an account.
#[derive(Clone)]
pub struct SearchKey {
    mac: Hmac<Sha256>,
}

impl SearchKey {
    /// The key for the values of an account.
    pub fn new(key: &MasterKey, account: &str) -> Self {
        // HKDF-Expand (RFC 5869 section 2.3) of one block: the master key cannot be derived from the result.
        let purpose = keyed(key.bytes()).chain_update("leadline search/").chain_update(account);
        Self { mac: keyed(&purpose.chain_update([1]).finalize().into_bytes()) }
    }

    /// The hash of a value of a field. The name of the field must not contain NUL. The hash has 22 characters: letters,
    /// digits, `-` and `_`.
    pub fn hash(&self, field: &str, value: &str) -> String {
        let mac = self.mac.clone().chain_update(field).chain_update([0]).chain_update(value);
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..HASH_BYTES])
    }
}

impl std::fmt::Debug for SearchKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SearchKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_hash_depends_on_master_key_account_field_and_value() {
        let key: MasterKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".parse().unwrap();
        let hash = |key: &MasterKey, account, field, value| SearchKey::new(key, account).hash(field, value);
        let one = hash(&key, "acme", "email", "ada@example.com");
        assert_eq!(one, hash(&key, "acme", "email", "ada@example.com"));
        let others = [
            hash(&MasterKey::generate().unwrap(), "acme", "email", "ada@example.com"),
            hash(&key, "other", "email", "ada@example.com"),
            hash(&key, "acme", "mail", "ada@example.com"),
            hash(&key, "acme", "emaila", "da@example.com"),
            hash(&key, "acme", "email", "bob@example.com"),
        ];
        let all: HashSet<_> = others.iter().chain([&one]).collect();
        assert_eq!(all.len(), others.len() + 1);
        assert!(all.iter().all(|hash| hash.len() == 22), "{all:?}");
        // Read models contain hashes, so the hash of a value must never change.
        assert_eq!(one, "PE_WrI4Vqgwr6-78EpLRUQ");
    }
}
