//! The compatibility signature: a second signature, in the form that another webhook sender uses.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto::{
    Secret, Signer,
    compatibility::{self, mac},
};
use domain::registry::{CompatibilitySignature, Encoding, Hash, SignedContent};

/// The names and values of the signature's headers. The newest secret comes first in `signers`; Ed25519 keys are
/// ignored.
pub(crate) fn headers<'a>(
    how: &'a CompatibilitySignature,
    signers: &[Signer],
    timestamp: i64,
    body: &[u8],
) -> Vec<(&'a str, String)> {
    let secrets: Vec<_> = signers.iter().filter_map(hmac_secret).collect();
    // A receiver compares this header with one value, and has only the old secret until its owner changes it.
    let Some(oldest) = secrets.last() else { return vec![] };
    let timestamp = timestamp.to_string();
    let with_timestamp: [&[u8]; 3] = [timestamp.as_bytes(), b".", body];
    let plain = |content: &[&[u8]]| format!("{}{}", how.prefix, signature(how, oldest, content));
    match &how.content {
        SignedContent::Body => vec![(how.header.as_str(), plain(&[body]))],
        SignedContent::TimestampInHeader(header) => {
            vec![(how.header.as_str(), plain(&with_timestamp)), (header.as_str(), timestamp.clone())]
        }
        SignedContent::TimestampInSignature => {
            let mut value = format!("t={timestamp}");
            for secret in secrets {
                value.push_str(&format!(",v1={}", signature(how, secret, &with_timestamp)));
            }
            vec![(how.header.as_str(), value)]
        }
    }
}

const fn hmac_secret(signer: &Signer) -> Option<&Secret> {
    match signer {
        Signer::Hmac(secret) => Some(secret),
        Signer::Ed25519(_) => None,
    }
}

fn signature(how: &CompatibilitySignature, secret: &Secret, content: &[&[u8]]) -> String {
    let hash = match how.hash {
        Hash::Sha1 => compatibility::Hash::Sha1,
        Hash::Sha256 => compatibility::Hash::Sha256,
        Hash::Sha512 => compatibility::Hash::Sha512,
    };
    let bytes = mac(hash, secret, content);
    match how.encoding {
        Encoding::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Encoding::Base64 => STANDARD.encode(bytes),
    }
}

#[cfg(test)]
mod tests {
    use crypto::RawFormat;

    use super::*;

    fn signer(text: &str) -> Signer {
        Signer::Hmac(Secret::import_raw(text, RawFormat::Utf8).unwrap())
    }

    fn how(content: SignedContent) -> CompatibilitySignature {
        let (header, prefix) = ("x-signature".to_owned(), "sha256=".to_owned());
        CompatibilitySignature { header, hash: Hash::Sha256, encoding: Encoding::Hex, prefix, content }
    }

    #[test]
    fn a_single_signature_uses_the_oldest_secret() {
        let (new, old) = (signer("new secret"), signer("old secret"));
        let plain = how(SignedContent::Body);
        let of_old = headers(&plain, std::slice::from_ref(&old), 7, b"{}");
        assert_eq!(headers(&plain, &[new.clone(), old.clone()], 7, b"{}"), of_old);
        assert!(of_old[0].1.starts_with("sha256=") && of_old[0].1.len() == 7 + 64, "{of_old:?}");
        let list = CompatibilitySignature { prefix: String::new(), ..how(SignedContent::TimestampInSignature) };
        let made = headers(&list, &[new.clone(), old], 7, b"{}");
        let value = &made[0].1;
        assert!(value.starts_with("t=7,v1=") && value.matches(",v1=").count() == 2, "{value}");
        assert!(value.contains(&headers(&list, &[new], 7, b"{}")[0].1["t=7,".len()..]), "{value}");
    }

    #[test]
    fn the_timestamp_header_is_signed_and_sent() {
        let how = how(SignedContent::TimestampInHeader("x-timestamp".into()));
        let made = headers(&how, &[signer("a secret")], 1_700_000_000, b"body");
        assert_eq!(made[1], ("x-timestamp", "1700000000".to_owned()));
        let body_alone = CompatibilitySignature { content: SignedContent::Body, ..how.clone() };
        let of_text = headers(&body_alone, &[signer("a secret")], 0, b"1700000000.body");
        assert_eq!(made[0], of_text[0]);
        assert_eq!(headers(&how, &[], 1, b""), []);
    }
}
