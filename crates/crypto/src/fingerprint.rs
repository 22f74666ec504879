//! Fingerprints of master keys. They show whether two keys are the same, and reveal nothing else about them.

use hmac::Mac as _;

use crate::{link::keyed, sealing::MasterKey};

/// Long enough that no two keys of an installation share a fingerprint.
const FINGERPRINT_BYTES: usize = 8;

impl MasterKey {
    /// The fingerprint of this key in hexadecimal digits: the beginning of HKDF-Expand (RFC 5869, section 2.3) for this
    /// purpose alone. A key is random, so its fingerprint does not help to guess it.
    pub fn fingerprint(&self) -> String {
        let block = keyed(self.bytes()).chain_update("leadline master key fingerprint").chain_update([1]).finalize();
        block.into_bytes()[..FINGERPRINT_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_keys_have_different_fingerprints() {
        let key: MasterKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".parse().unwrap();
        assert_eq!(key.fingerprint(), key.reveal().parse::<MasterKey>().unwrap().fingerprint());
        assert_ne!(key.fingerprint(), MasterKey::generate().unwrap().fingerprint());
        // Installations store fingerprints, so the fingerprint of a key must never change.
        assert_eq!(key.fingerprint(), "da796f956359e483");
    }
}
