//! Encryption of secrets at rest: AES-256-GCM with the installation's master key (NIST SP 800-38D).
//!
//! A sealed secret is one byte of format, a random nonce of 12 bytes, and the ciphertext with its tag. The name of its
//! owner (a token, or a setting of a destination) is authenticated with it, so a sealed secret cannot be moved to
//! another owner.

use std::{fmt, str::FromStr};

use aes_gcm::{
    Aes256Gcm, Key, Nonce,
    aead::{Aead, KeyInit, Payload},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::secret::Secret;

const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 12;
const KEY_BYTES: usize = 32;

/// Seals every secret of an installation: 32 bytes, written as base64.
#[derive(Clone)]
pub struct MasterKey([u8; KEY_BYTES]);

/// The text is not a master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key is base64 of 32 bytes; create one with: head -c 32 /dev/urandom | base64")]
pub struct KeyError;

/// Why a sealed secret cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The format is not one of this version.
    #[error("the format of the sealed secret is unknown")]
    Format,
    /// The secret was sealed with another key or for another owner, or was changed.
    #[error("the sealed secret does not open: it was sealed with another master key, or changed")]
    Key,
}

impl MasterKey {
    /// Creates a key from random numbers of the operating system.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The key as text, for the file that keeps it.
    pub fn reveal(&self) -> String {
        STANDARD.encode(self.0)
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(&Key::<Aes256Gcm>::from(self.0))
    }

    pub(crate) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Seals a secret for its owner.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn seal(&self, secret: &Secret, belongs_to: &str) -> Result<Vec<u8>, getrandom::Error> {
        self.seal_bytes(secret.bytes(), belongs_to)
    }

    /// Opens a secret that [`MasterKey::seal`] sealed for the same owner.
    ///
    /// # Errors
    /// When it was sealed with another key, for another owner, or was changed.
    pub fn open(&self, sealed: &[u8], belongs_to: &str) -> Result<Secret, OpenError> {
        Secret::from_sealed(self.open_bytes(sealed, belongs_to)?).map_err(|_| OpenError::Format)
    }

    /// Seals any bytes, like [`MasterKey::seal`].
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn seal_bytes(&self, bytes: &[u8], belongs_to: &str) -> Result<Vec<u8>, getrandom::Error> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let payload = Payload { msg: bytes, aad: belongs_to.as_bytes() };
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), payload);
        let sealed = sealed.expect("AES-GCM refuses only messages of many gigabytes");
        Ok([&[FORMAT][..], &nonce, &sealed].concat())
    }

    /// Opens bytes that [`MasterKey::seal_bytes`] sealed for the same owner.
    ///
    /// # Errors
    /// When they were sealed with another key, for another owner, or were changed.
    pub fn open_bytes(&self, sealed: &[u8], belongs_to: &str) -> Result<Vec<u8>, OpenError> {
        let rest = sealed.strip_prefix(&[FORMAT]).ok_or(OpenError::Format)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(OpenError::Format)?;
        let payload = Payload { msg: sealed, aad: belongs_to.as_bytes() };
        self.cipher().decrypt(&Nonce::from(*nonce), payload).map_err(|_| OpenError::Key)
    }
}

impl FromStr for MasterKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError)?;
        bytes.try_into().map(Self).map_err(|_| KeyError)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_secret_opens_with_its_key_for_its_owner_only() {
        let (key, secret) = (MasterKey::generate().unwrap(), Secret::generate().unwrap());
        let mut sealed = key.seal(&secret, "tok_1").unwrap();
        assert_eq!(key.open(&sealed, "tok_1"), Ok(secret));
        assert_eq!(key.open(&sealed, "tok_2"), Err(OpenError::Key));
        assert_eq!(MasterKey::generate().unwrap().open(&sealed, "tok_1"), Err(OpenError::Key));
        *sealed.last_mut().unwrap() ^= 1;
        assert_eq!(key.open(&sealed, "tok_1"), Err(OpenError::Key));
        assert_eq!(key.open(&[9], "tok_1"), Err(OpenError::Format));
    }

    #[test]
    fn a_master_key_survives_writing_and_reading() {
        let key = MasterKey::generate().unwrap();
        assert_eq!(key.reveal().parse::<MasterKey>().unwrap().0, key.0);
        assert!("c2hvcnQ=".parse::<MasterKey>().is_err());
        assert_eq!(format!("{key:?}"), "MasterKey(…)");
    }
}
