//! HMACs in the formats of other senders of webhooks (RFC 2104). This module uses ring, because ring has all three hash
//! functions. All other HMACs of this crate use SHA-256.

use ring::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, HMAC_SHA512};

use crate::secret::Secret;

/// The hash function of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// For receivers that support nothing else.
    Sha1,
    Sha256,
    Sha512,
}

/// The HMAC of these parts in the given order, as if they were one text.
pub fn mac(hash: Hash, secret: &Secret, content: &[&[u8]]) -> Vec<u8> {
    let algorithm = match hash {
        Hash::Sha1 => HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => HMAC_SHA256,
        Hash::Sha512 => HMAC_SHA512,
    };
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, secret.bytes()));
    content.iter().for_each(|part| context.update(part));
    context.sign().as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RawFormat;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Test cases 3 and 4 of RFC 2202 and RFC 4231: their keys have 20 and 25 bytes.
    #[test]
    fn the_published_examples_are_reproduced() {
        let key = Secret::import_raw(&"aa".repeat(20), RawFormat::Hex).unwrap();
        let content: &[&[u8]] = &[&[0xdd; 20], &[0xdd; 30]];
        assert_eq!(hex(&mac(Hash::Sha1, &key, content)), "125d7342b9ac11cd91a39af48aa17b4f63f175d3");
        assert_eq!(
            hex(&mac(Hash::Sha256, &key, content)),
            "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
        );
        assert_eq!(
            hex(&mac(Hash::Sha512, &key, content)),
            "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39\
             bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb"
        );
    }

    /// The example in GitHub's documentation of its webhooks: a secret, a body, and the expected signature.
    #[test]
    fn the_example_of_github_is_reproduced() {
        let secret = Secret::import_raw("It's a Secret to Everybody", RawFormat::Utf8).unwrap();
        let signature = hex(&mac(Hash::Sha256, &secret, &[b"Hello, World!"]));
        assert_eq!(signature, "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    }
}
