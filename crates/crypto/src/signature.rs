//! Signatures of webhooks, as Standard Webhooks 1.0 has them (symmetric scheme `v1`).
//!
//! The signed content is `<webhook-id>.<webhook-timestamp>.<body>`, the signature HMAC-SHA256 over exactly those bytes,
//! written `v1,<base64>`. During a rotation there is one signature for each valid secret, separated by blanks.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// How far the clocks of sender and receiver may be apart, in seconds.
pub const TOLERANCE_SECONDS: i64 = 5 * 60;

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The request was signed too long ago, or in the future.
    #[error("the timestamp is more than five minutes away from this clock")]
    Timestamp,
    /// No signature was made with this secret over this content.
    #[error("no signature matches the content and the secret")]
    Signature,
}

fn mac(secret: &Secret, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes keys of every length");
    mac.update(id.as_bytes());
    mac.update(b".");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

/// The value of the header `webhook-signature`; `timestamp` is in seconds since 1970.
pub fn sign<'a>(secrets: impl IntoIterator<Item = &'a Secret>, id: &str, timestamp: i64, body: &[u8]) -> String {
    let one = |secret| format!("v1,{}", STANDARD.encode(mac(secret, id, timestamp, body).finalize().into_bytes()));
    secrets.into_iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Checks a received signature in constant time.
///
/// # Errors
/// When the clocks are too far apart, or none of the signatures is right.
pub fn verify(
    secret: &Secret,
    id: &str,
    timestamp: i64,
    body: &[u8],
    signatures: &str,
    now: i64,
) -> Result<(), Rejection> {
    if now.abs_diff(timestamp) > TOLERANCE_SECONDS.unsigned_abs() {
        return Err(Rejection::Timestamp);
    }
    let matches = |written: &str| {
        let given = written.strip_prefix("v1,").and_then(|base64| STANDARD.decode(base64).ok());
        given.is_some_and(|given| mac(secret, id, timestamp, body).verify_slice(&given).is_ok())
    };
    if signatures.split(' ').any(matches) { Ok(()) } else { Err(Rejection::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the reference libraries of Standard Webhooks test themselves with.
    #[test]
    fn the_published_example_is_reproduced() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let signature = sign([&secret], id, at, body);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(verify(&secret, id, at, body, &signature, at), Ok(()));
    }

    #[test]
    fn every_secret_of_a_rotation_signs_and_others_do_not_match() {
        let [old, new, other] = [0, 1, 2].map(|_| Secret::generate().unwrap());
        let signatures = sign([&new, &old], "evt", 1_000, b"{}");
        for secret in [&old, &new] {
            assert_eq!(verify(secret, "evt", 1_000, b"{}", &signatures, 1_010), Ok(()));
        }
        assert_eq!(verify(&other, "evt", 1_000, b"{}", &signatures, 1_010), Err(Rejection::Signature));
        assert_eq!(verify(&new, "evt", 1_000, b"{ }", &signatures, 1_010), Err(Rejection::Signature));
        assert_eq!(verify(&new, "evt", 1_000, b"{}", &signatures, 1_301), Err(Rejection::Timestamp));
        assert_eq!(verify(&new, "evt", 1_000, b"{}", "rubbish v1,%%% v2,x", 1_000), Err(Rejection::Signature));
    }
}
