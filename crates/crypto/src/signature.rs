//! Signatures of webhooks, as in Standard Webhooks 1.0: symmetric (`v1`, HMAC-SHA256) or asymmetric (`v1a`, Ed25519).
//!
//! The signed content is `<webhook-id>.<webhook-timestamp>.<body>`, and a signature is written `<version>,<base64>`.
//! During a rotation there is one signature for each valid secret, separated by spaces.

use std::str::FromStr;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use ring::signature::{ED25519, ED25519_PUBLIC_KEY_LEN, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::Sha256;

use crate::secret::Secret;

/// The maximum difference between the clocks of sender and receiver, in seconds.
pub const TOLERANCE_SECONDS: i64 = 5 * 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The timestamp is too old, or in the future.
    #[error("the timestamp is more than five minutes away from this clock")]
    Timestamp,
    /// No signature matches the content and the secret.
    #[error("no signature matches the content and the secret")]
    Signature,
}

/// The signing key of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// HMAC-SHA256 (`v1`): the receiver has the same secret.
    Hmac(Secret),
    /// Ed25519 (`v1a`): the first 32 bytes of the secret are the seed, and the receiver has the public key.
    Ed25519(Secret),
}

/// The key that a receiver verifies with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verifier {
    /// The shared secret, `whsec_…`.
    Hmac(Secret),
    /// The public key, `whpk_…`.
    Ed25519([u8; ED25519_PUBLIC_KEY_LEN]),
}

/// The text is not a key to verify with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a secret (whsec_…) nor a public key (whpk_…) of Standard Webhooks")]
pub struct VerifierError;

/// The prefix of a written public key.
const PUBLIC_PREFIX: &str = "whpk_";
/// The length of an Ed25519 seed (RFC 8032).
const SEED_BYTES: usize = 32;

impl Signer {
    /// One signature of the content, with its version.
    fn sign(&self, content: &[u8]) -> String {
        match self {
            Self::Hmac(secret) => format!("v1,{}", STANDARD.encode(mac(secret, content).finalize().into_bytes())),
            Self::Ed25519(seed) => format!("v1a,{}", STANDARD.encode(pair(seed).sign(content))),
        }
    }

    /// The key that the receiver verifies with, as text, only for the answer that shows it once.
    pub fn reveal_for_receiver(&self) -> String {
        match self {
            Self::Hmac(secret) => secret.reveal(),
            Self::Ed25519(seed) => format!("{PUBLIC_PREFIX}{}", STANDARD.encode(pair(seed).public_key())),
        }
    }
}

impl FromStr for Verifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, VerifierError> {
        match text.strip_prefix(PUBLIC_PREFIX) {
            Some(base64) => {
                let key = STANDARD.decode(base64).ok().and_then(|bytes| bytes.try_into().ok());
                key.map(Self::Ed25519).ok_or(VerifierError)
            }
            None => Secret::parse(text).map(Self::Hmac).map_err(|_| VerifierError),
        }
    }
}

impl Verifier {
    fn accepts(&self, content: &[u8], written: &str) -> bool {
        let given = |prefix| written.strip_prefix(prefix).and_then(|base64| STANDARD.decode(base64).ok());
        match self {
            Self::Hmac(secret) => given("v1,").is_some_and(|given| mac(secret, content).verify_slice(&given).is_ok()),
            Self::Ed25519(key) => {
                given("v1a,").is_some_and(|given| UnparsedPublicKey::new(&ED25519, key).verify(content, &given).is_ok())
            }
        }
    }
}

fn mac(secret: &Secret, content: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes keys of every length");
    mac.update(content);
    mac
}

fn pair(seed: &Secret) -> Ed25519KeyPair {
    // A secret has at least 24 bytes; secrets of Ed25519 tokens have 32.
    let mut bytes = [0; SEED_BYTES];
    let length = seed.bytes().len().min(SEED_BYTES);
    bytes[..length].copy_from_slice(&seed.bytes()[..length]);
    Ed25519KeyPair::from_seed_unchecked(&bytes).expect("any 32 bytes are a seed")
}

/// The signed content: id, time and body, joined by dots. It is unambiguous, because an id contains no dot.
fn content(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body].concat()
}

/// The value of the header `webhook-signature`; `timestamp` is in seconds since 1970.
pub fn sign<'a>(signers: impl IntoIterator<Item = &'a Signer>, id: &str, timestamp: i64, body: &[u8]) -> String {
    let content = content(id, timestamp, body);
    signers.into_iter().map(|signer| signer.sign(&content)).collect::<Vec<_>>().join(" ")
}

/// Verifies a received signature in constant time.
///
/// # Errors
/// When the clocks differ too much, or no signature matches.
pub fn verify(
    verifier: &Verifier,
    id: &str,
    timestamp: i64,
    body: &[u8],
    signatures: &str,
    now: i64,
) -> Result<(), Rejection> {
    if now.abs_diff(timestamp) > TOLERANCE_SECONDS.unsigned_abs() {
        return Err(Rejection::Timestamp);
    }
    let content = content(id, timestamp, body);
    let accepted = signatures.split(' ').any(|written| verifier.accepts(&content, written));
    if accepted { Ok(()) } else { Err(Rejection::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The example from the tests of the Standard Webhooks reference libraries.
    #[test]
    fn the_published_example_is_reproduced() {
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let signature = sign([&Signer::Hmac(Secret::parse(SECRET).unwrap())], id, at, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(verify(&SECRET.parse().unwrap(), id, at, body, &signature, at), Ok(()));
    }

    /// Test 1 of RFC 8032, 7.1: the public key of a seed.
    #[test]
    fn a_public_key_is_that_of_its_seed() {
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let signer = Signer::Ed25519(Secret::from_bytes(seed).unwrap());
        let written = signer.reveal_for_receiver();
        assert_eq!(written.parse(), Ok(Verifier::Ed25519(public.try_into().unwrap())));
    }

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn every_secret_of_a_rotation_signs_and_others_do_not_match() {
        for kind in [Signer::Hmac, Signer::Ed25519] {
            let [old, new, other] = [0, 1, 2].map(|_| kind(Secret::generate().unwrap()));
            let verifier = |signer: &Signer| signer.reveal_for_receiver().parse::<Verifier>().unwrap();
            let signatures = sign([&new, &old], "evt", 1_000, b"{}");
            let check = |signer, body: &[u8], now| verify(&verifier(signer), "evt", 1_000, body, &signatures, now);
            assert_eq!(check(&old, b"{}", 1_010), Ok(()));
            assert_eq!(check(&new, b"{}", 1_010), Ok(()));
            assert_eq!(check(&other, b"{}", 1_010), Err(Rejection::Signature));
            assert_eq!(check(&new, b"{ }", 1_010), Err(Rejection::Signature));
            assert_eq!(check(&new, b"{}", 1_301), Err(Rejection::Timestamp));
            let rubbish = "rubbish v1,%%% v2,x v1a,AAAA v1a,%";
            let refused = verify(&verifier(&new), "evt", 1_000, b"{}", rubbish, 1_000);
            assert_eq!(refused, Err(Rejection::Signature));
        }
    }

    #[test]
    fn a_malformed_verifier_is_refused() {
        for rubbish in ["", "whpk_", "whpk_AAAA", "whpk_%", "whsec_", "whsec_short"] {
            assert_eq!(rubbish.parse::<Verifier>(), Err(VerifierError), "{rubbish:?}");
        }
    }
}
