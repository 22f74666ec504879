//! Signatures against the reference library of Standard Webhooks, in both directions.
#![allow(clippy::unwrap_used)] // helpers of tests may panic

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto::{Secret, Signer, Verifier, sign, verify};
use http::HeaderMap;
use proptest::prelude::*;
use standardwebhooks::Webhook;

fn secret(bytes: &[u8]) -> Secret {
    Secret::parse(&format!("whsec_{}", STANDARD.encode(bytes))).unwrap()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

fn headers(id: &str, timestamp: i64, signatures: &str) -> HeaderMap {
    let timestamp = timestamp.to_string();
    let headers = [("webhook-id", id), ("webhook-timestamp", &timestamp), ("webhook-signature", signatures)];
    headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
}

proptest! {
    #[test]
    fn each_library_accepts_signatures_of_the_other(
        bytes in prop::collection::vec(any::<u8>(), 24..=64),
        id in "[A-Za-z0-9_:-]{1,64}",
        // The library accepts text only.
        body in any::<String>(),
        late_by in -200_i64..=200,
    ) {
        let signer = Signer::Hmac(secret(&bytes));
        let shared = signer.reveal_for_receiver();
        let (library, at, body) = (Webhook::new(&shared).unwrap(), now() + late_by, body.as_bytes());
        let ours = sign([&signer], &id, at, body);
        prop_assert_eq!(&library.sign(&id, at, body).unwrap(), &ours);
        prop_assert!(library.verify(body, &headers(&id, at, &ours)).is_ok());
        let verifier: Verifier = shared.parse().unwrap();
        prop_assert_eq!(verify(&verifier, &id, at, body, &library.sign(&id, at, body).unwrap(), now()), Ok(()));
    }

    #[test]
    fn reference_library_finds_its_signature_during_a_rotation(
        olds in prop::collection::vec(prop::collection::vec(any::<u8>(), 32), 2..=4),
    ) {
        let signers: Vec<_> = olds.iter().map(|bytes| Signer::Hmac(secret(bytes))).collect();
        let ed25519 = Signer::Ed25519(secret(&[7; 32]));
        let at = now();
        let (body, other_body) = (b"{}", b"{ }");
        let signatures = sign(signers.iter().chain([&ed25519]), "evt", at, body);
        let headers = headers("evt", at, &signatures);
        for signer in &signers {
            let library = Webhook::new(&signer.reveal_for_receiver()).unwrap();
            prop_assert!(library.verify(body, &headers).is_ok());
            prop_assert!(library.verify(other_body, &headers).is_err());
        }
        let stranger = Webhook::from_bytes(vec![9; 24]).unwrap();
        prop_assert!(stranger.verify(body, &headers).is_err());
    }
}
