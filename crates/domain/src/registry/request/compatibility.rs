//! A second signature, in the format of another sender of webhooks. An account that moves from that sender to Leadline
//! need not change its receivers.

use crate::text::quoted;

/// The format of the second signature. The destination's token makes both signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompatibilitySignature {
    /// The header of the signature, in lower case.
    pub header: String,
    /// The hash function of the HMAC (RFC 2104).
    pub hash: Hash,
    /// The encoding of the signature's bytes.
    pub encoding: Encoding,
    /// The text before the signature, such as `sha256=`.
    pub prefix: String,
    pub content: SignedContent,
}

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hash {
    #[default]
    Sha256,
    /// HMAC-SHA1, for receivers that support nothing else.
    Sha1,
    Sha512,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// Two hexadecimal digits in lower case for each byte.
    #[default]
    Hex,
    /// Base64 with padding (RFC 4648, 4).
    Base64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedContent {
    Body,
    /// `<timestamp>.<body>`; the timestamp, in seconds since 1970, is in this header.
    TimestampInHeader(String),
    /// `<timestamp>.<body>`; the header of the signature is `t=<timestamp>,v1=<signature>`, as Stripe writes it.
    TimestampInSignature,
}

impl Hash {
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha1, Self::Sha512];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "hmac-sha256",
            Self::Sha1 => "hmac-sha1",
            Self::Sha512 => "hmac-sha512",
        }
    }

    /// The function that a word names; the empty word names the default.
    pub fn parse(word: &str) -> Option<Self> {
        if word.is_empty() { Some(Self::default()) } else { Self::ALL.into_iter().find(|hash| hash.as_str() == word) }
    }
}

impl Encoding {
    pub const ALL: [Self; 2] = [Self::Hex, Self::Base64];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hex => "hex",
            Self::Base64 => "base64",
        }
    }

    /// The encoding that a word names; the empty word names the default.
    pub fn parse(word: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        if word.is_empty() { Some(Self::default()) } else { all.find(|encoding| encoding.as_str() == word) }
    }
}

impl SignedContent {
    /// The word for content without a timestamp.
    pub const BODY: &'static str = "body";
    /// The word for content with a timestamp.
    pub const TIMESTAMP_BODY: &'static str = "timestamp.body";

    /// The content that a word names, with the header of its timestamp. Both texts may be empty.
    ///
    /// # Errors
    /// Why the two texts do not fit together.
    pub fn parse(word: &str, timestamp_header: &str) -> Result<Self, String> {
        match (word, timestamp_header) {
            ("" | Self::BODY, "") => Ok(Self::Body),
            ("" | Self::BODY, _) => {
                Err(format!("timestamp_header is only for the content {:?}; leave it out", Self::TIMESTAMP_BODY))
            }
            (Self::TIMESTAMP_BODY, "") => Ok(Self::TimestampInSignature),
            (Self::TIMESTAMP_BODY, header) => Ok(Self::TimestampInHeader(header.to_owned())),
            (other, _) => Err(format!("content {} is neither body nor timestamp.body", quoted(other))),
        }
    }

    /// The word that facts and the API use.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Body => Self::BODY,
            Self::TimestampInHeader(_) | Self::TimestampInSignature => Self::TIMESTAMP_BODY,
        }
    }

    /// The header of the timestamp; `None` if the timestamp has no separate header.
    pub fn timestamp_header(&self) -> Option<&str> {
        match self {
            Self::TimestampInHeader(header) => Some(header),
            Self::Body | Self::TimestampInSignature => None,
        }
    }
}

impl CompatibilitySignature {
    /// The maximum length of the prefix, in bytes.
    pub const MAX_PREFIX: usize = 100;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_the_signed_content() {
        for content in [
            SignedContent::Body,
            SignedContent::TimestampInSignature,
            SignedContent::TimestampInHeader("x-timestamp".into()),
        ] {
            let header = content.timestamp_header().unwrap_or_default();
            assert_eq!(SignedContent::parse(content.as_str(), header), Ok(content.clone()));
        }
        assert_eq!(SignedContent::parse("", ""), Ok(SignedContent::Body));
        assert!(SignedContent::parse("body", "x-timestamp").is_err());
        assert!(SignedContent::parse("all", "").is_err());
        assert!(Hash::ALL.into_iter().all(|hash| Hash::parse(hash.as_str()) == Some(hash)));
        assert!(Encoding::ALL.into_iter().all(|encoding| Encoding::parse(encoding.as_str()) == Some(encoding)));
    }
}
