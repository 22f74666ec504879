//! Signing secrets. New secrets follow Standard Webhooks: `whsec_` and base64 of 24 to 64 random bytes. An imported
//! secret may have any bytes that another sender signs with.

use std::{fmt, ops::RangeInclusive};

use base64::{
    Engine as _,
    alphabet::{Alphabet, STANDARD as STANDARD_ALPHABET, URL_SAFE},
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD},
    },
};

/// The prefix of a written secret.
const PREFIX: &str = "whsec_";
/// The length of a new secret.
const NEW_SECRET_BYTES: usize = 32;
/// The length that Standard Webhooks requires.
const STANDARD_BYTES: RangeInclusive<usize> = 24..=64;
/// The length of a secret of another sender. A shorter secret can be guessed. A longer one adds no protection, because
/// HMAC first hashes a secret that exceeds a block (128 bytes for SHA-512).
const RAW_BYTES: RangeInclusive<usize> = 8..=256;

#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// The text is not a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a secret of the form whsec_<base64 of 24 to 64 bytes>")]
pub struct SecretError;

/// The notation of a secret of another sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawFormat {
    /// The text itself is the secret.
    Utf8,
    /// Hexadecimal digits.
    Hex,
    /// Base64 with the standard or the URL-safe alphabet, with or without padding.
    Base64,
}

/// Why a secret cannot be imported. The error does not contain any part of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The text is not in the notation that the error names.
    #[error("is not {0}")]
    Encoding(&'static str),
    /// The secret is too short or too long.
    #[error("has {bytes} bytes, and must have {min} to {max}")]
    Length { bytes: usize, min: usize, max: usize },
}

impl Secret {
    /// Imports a secret that receivers already have, in the form of Standard Webhooks: `whsec_…`.
    ///
    /// # Errors
    /// When it is not base64 of 24 to 64 bytes with this prefix.
    pub fn import_whsec(text: &str) -> Result<Self, ImportError> {
        const FORM: &str =
            "whsec_ and base64; if another sender signs with the text as it is (Stripe does), import it as utf8";
        let bytes = text.strip_prefix(PREFIX).and_then(decoded).ok_or(ImportError::Encoding(FORM))?;
        Self::of_length(bytes, STANDARD_BYTES)
    }

    /// Imports a secret that another sender signs with.
    ///
    /// # Errors
    /// When the text is not in this notation, or the secret does not have 8 to 256 bytes.
    pub fn import_raw(text: &str, format: RawFormat) -> Result<Self, ImportError> {
        let bytes = match format {
            RawFormat::Utf8 => text.as_bytes().to_vec(),
            RawFormat::Hex => unhex(text).ok_or(ImportError::Encoding("an even number of hexadecimal digits"))?,
            RawFormat::Base64 => decoded(text).ok_or(ImportError::Encoding("base64"))?,
        };
        Self::of_length(bytes, RAW_BYTES)
    }

    fn of_length(bytes: Vec<u8>, range: RangeInclusive<usize>) -> Result<Self, ImportError> {
        if range.contains(&bytes.len()) {
            return Ok(Self(bytes));
        }
        Err(ImportError::Length { bytes: bytes.len(), min: *range.start(), max: *range.end() })
    }

    /// Creates a secret from random numbers of the operating system.
    ///
    /// # Errors
    /// When the operating system has no random numbers.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = vec![0; NEW_SECRET_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Parses a written secret, with or without its prefix.
    ///
    /// # Errors
    /// When the text is not base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| SecretError)?;
        Self::from_bytes(bytes)
    }

    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Result<Self, SecretError> {
        Self::of_length(bytes, STANDARD_BYTES).map_err(|_| SecretError)
    }

    /// Accepts the bytes of any secret that was sealed, whether it was created or imported.
    pub(crate) fn from_sealed(bytes: Vec<u8>) -> Result<Self, ImportError> {
        Self::of_length(bytes, RAW_BYTES)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text (`whsec_…`), only for the answer that shows it once.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let decode = |alphabet: &Alphabet| GeneralPurpose::new(alphabet, config).decode(text).ok();
    decode(&STANDARD_ALPHABET).or_else(|| decode(&URL_SAFE))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.chars().map(|c| c.to_digit(16)).collect::<Option<Vec<_>>>()?;
    let pairs = digits.chunks_exact(2);
    let byte = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair[1]).ok();
    pairs.remainder().is_empty().then(|| digits.chunks_exact(2).map(byte).collect()).flatten()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_standard_webhooks_is_imported_as_it_is() {
        let written = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(Secret::import_whsec(written).unwrap().reveal(), written);
        let of = |bytes: usize| Secret::import_whsec(&format!("whsec_{}", STANDARD.encode(vec![7; bytes])));
        assert!(of(24).is_ok() && of(64).is_ok());
        assert_eq!(of(23), Err(ImportError::Length { bytes: 23, min: 24, max: 64 }));
        assert_eq!(of(65), Err(ImportError::Length { bytes: 65, min: 24, max: 64 }));
        for text in ["", "whsec_", "whsec_a b", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%%"] {
            assert!(Secret::import_whsec(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_secret_of_another_sender_is_its_bytes() {
        use RawFormat::{Base64, Hex, Utf8};
        let bytes = |text: &str, format| Secret::import_raw(text, format).map(|secret| secret.0);
        assert_eq!(bytes("whsec_as-it-is", Utf8).unwrap(), b"whsec_as-it-is");
        assert_eq!(bytes("00ffA0b1c2d3e4f5", Hex).unwrap(), [0, 0xff, 0xa0, 0xb1, 0xc2, 0xd3, 0xe4, 0xf5]);
        for text in ["+/+/+/+/+/8=", "+/+/+/+/+/8", "-_-_-_-_-_8", "-_-_-_-_-_8="] {
            assert_eq!(bytes(text, Base64).unwrap(), [0xfb, 0xff, 0xbf, 0xfb, 0xff, 0xbf, 0xfb, 0xff], "{text}");
        }
        assert_eq!(bytes("seven 7", Utf8), Err(ImportError::Length { bytes: 7, min: 8, max: 256 }));
        assert_eq!(bytes(&"x".repeat(257), Utf8), Err(ImportError::Length { bytes: 257, min: 8, max: 256 }));
        assert!(bytes(&"x".repeat(256), Utf8).is_ok());
        for (text, format) in
            [("00f", Hex), ("zz00112233445566", Hex), ("é0112233445566", Hex), ("a b c d e f g", Base64)]
        {
            assert!(matches!(bytes(text, format), Err(ImportError::Encoding(_))), "{text}");
        }
    }

    #[test]
    fn no_refusal_shows_the_secret() {
        let error = Secret::import_whsec("whsec_hunter2").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert_eq!(format!("{:?}", Secret::import_raw("hunter2hunter2", RawFormat::Utf8)), "Ok(Secret(…))");
    }
}
