//! Keys of the API: `ll_<id>_<secret>`, the secret being 32 random bytes.
//!
//! What is stored of one is SHA-256 of its secret. That is enough because the secret is random: there is nothing to
//! guess, so nothing is gained by a slow hash with salt, which passwords need.

use std::{fmt, fmt::Write as _, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

/// What a written key begins with.
const PREFIX: &str = "ll_";
/// How many random bytes its secret has.
const SECRET_BYTES: usize = 32;
/// How many random bytes its id is made of.
const ID_BYTES: usize = 8;
/// The longest id, in bytes; what is longer is not looked at.
const LONGEST_ID: usize = 64;

/// A key of the API.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    id: String,
    secret: [u8; SECRET_BYTES],
}

/// Why a text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API key has the form ll_<id>_<secret>, as it was shown when it was made")]
pub struct ApiKeyError;

impl ApiKey {
    /// A new key, from the operating system's random numbers.
    ///
    /// # Errors
    /// When the operating system has none to give.
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

    /// The part of it that is no secret.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it is known by.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }

    /// The key in writing. For the one answer, or the one file, that shows it.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, URL_SAFE_NO_PAD.encode(self.secret))
    }
}

impl FromStr for ApiKey {
    type Err = ApiKeyError;

    fn from_str(text: &str) -> Result<Self, ApiKeyError> {
        let (id, secret) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_')).ok_or(ApiKeyError)?;
        let sound = !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
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
    fn a_written_key_is_read_again_and_no_two_are_alike() {
        let (one, two) = (ApiKey::generate().unwrap(), ApiKey::generate().unwrap());
        assert_eq!(one.reveal().parse(), Ok(one.clone()));
        assert_ne!(one.id(), two.id());
        assert_ne!(one.hash(), two.hash());
        assert_eq!(one.reveal().len(), "ll_".len() + 16 + "_".len() + 43);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let good = ApiKey::generate().unwrap().reveal();
        let shorter = &good[..good.len() - 1];
        let longer = format!("{good}A");
        let nameless = format!("ll_{}", &good[good.rfind('_').unwrap()..]);
        for bad in ["", "ll_", "ll_a_b", "whsec_x", shorter, &longer, &good[1..], &nameless, &format!(" {good}")] {
            assert_eq!(bad.parse::<ApiKey>(), Err(ApiKeyError), "{bad:?}");
        }
    }

    #[test]
    fn it_does_not_print_its_secret() {
        let key = ApiKey::generate().unwrap();
        let secret = URL_SAFE_NO_PAD.encode(key.secret);
        assert!(!format!("{key:?}").contains(&secret));
    }
}
