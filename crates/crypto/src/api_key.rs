//! API keys: `ll_<id>_<secret>`, where the secret is 32 random bytes.
//!
//! Only the SHA-256 of the secret is stored. That is enough, because the secret is random and cannot be guessed. A slow
//! hash with salt, which passwords need, would add no protection.

use std::{fmt, fmt::Write as _, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// The prefix of a written key.
const PREFIX: &str = "ll_";
const SECRET_BYTES: usize = 32;
const ID_BYTES: usize = 8;
/// The maximum length of an id, in bytes; a longer text is not parsed.
const MAX_ID: usize = 64;

#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    id: String,
    secret: [u8; SECRET_BYTES],
}

/// The text is not an API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API key has the form ll_<id>_<secret>, as it was shown when it was created")]
pub struct ApiKeyError;

impl ApiKey {
    /// Creates a key from random numbers of the operating system.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let (mut name, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
        getrandom::fill(&mut name)?;
        getrandom::fill(&mut secret)?;
        let id = name.iter().fold(String::new(), |mut id, byte| {
            let _ = write!(id, "{byte:02x}");
            id
        });
        Ok(Self { id, secret })
    }

    /// The part of the key that is not secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The stored hash of the secret.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// The key as text, only for the answer or the file that shows it once.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, URL_SAFE_NO_PAD.encode(self.secret))
    }
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let (id, secret) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(ApiKeyError)?;
        let sound = !id.is_empty() && id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let mut bytes = [0; SECRET_BYTES];
        match URL_SAFE_NO_PAD.decode_slice(secret, &mut bytes) {
            Ok(SECRET_BYTES) if sound => Ok(Self { id: id.to_owned(), secret: bytes }),
            _ => Err(ApiKeyError),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}, …)", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_key_is_read_back_and_keys_differ() {
        let (one, two) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        assert_eq!(one.reveal().parse(), Ok(one.clone()));
        assert_ne!(one.id(), two.id());
        assert_ne!(one.hash(), two.hash());
        assert_eq!(one.reveal().len(), "ll_".len() + 16 + "_".len() + 43);
    }

    #[test]
    fn a_malformed_key_is_refused() {
        let good = ApiKey::generate().unwrap().reveal();
        let shorter = &good[..good.len() - 1];
        let longer = format!("{good}A");
        let nameless = format!("ll_{}", &good[good.rfind('_').unwrap()..]);
        for bad in ["", "ll_", "ll_a_b", "whsec_x", shorter, &longer, &good[1..], &nameless, &format!(" {good}")] {
            assert_eq!(bad.parse::<ApiKey>(), Err(ApiKeyError), "{bad:?}");
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let key = ApiKey::generate().unwrap();
        let secret = URL_SAFE_NO_PAD.encode(key.secret);
        assert!(!format!("{key:?}").contains(&secret));
    }
}
