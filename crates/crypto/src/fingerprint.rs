//! What tells two master keys apart and says nothing else about them.

use hmac::Mac as _;

use crate::{MasterKey, link::keyed};

/// How many bytes a fingerprint has: enough that two keys of an installation never share one.
const FINGERPRINT_BYTES: usize = 8;

impl MasterKey {
    /// The fingerprint of this key in hexadecimal digits: the beginning of HKDF-Expand (RFC 5869, section 2.3) for this
    /// purpose alone. A key is random, so its fingerprint cannot be used to guess it.
    pub fn fingerprint(&self) -> String {
        let block = keyed(self.bytes()).chain_update("leadline master key fingerprint").chain_update([1]).finalize();
        block.into_bytes()[..FINGERPRINT_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_fingerprint_and_another_key_another() {
        let key: MasterKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".parse().unwrap();
        assert_eq!(key.fingerprint(), key.reveal().parse::<MasterKey>().unwrap().fingerprint());
        assert_ne!(key.fingerprint(), MasterKey::generate().unwrap().fingerprint());
        // Stored by installations, so it never changes.
        assert_eq!(key.fingerprint(), "da796f956359e483");
    }
}
