//! Imported secrets of receivers: they sign and are never shown.

use std::fs;

use api::{DeliveryStatus, imported_secret::Secret};
use testkit::Receiver;
use tonic::Code;

use crate::{
    python::python,
    world::{ACCOUNT, World, is_readable_in},
};

/// Signs with Python's standard library, with a key in hexadecimal digits.
const SIGN: &str = r#"
import base64, hashlib, hmac, sys
key, id, timestamp = sys.argv[1:4]
signed = f"{id}.{timestamp}.".encode() + sys.stdin.buffer.read()
print("v1," + base64.b64encode(hmac.new(bytes.fromhex(key), signed, hashlib.sha256).digest()).decode())
"#;

fn create(imported: Secret, algorithm: &str) -> api::CreateTokenRequest {
    api::CreateTokenRequest {
        account_id: ACCOUNT.into(),
        name: "crm".into(),
        algorithm: algorithm.into(),
        imported: Some(api::ImportedSecret { secret: Some(imported) }),
        ..api::CreateTokenRequest::default()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn imported_secret_signs_and_is_never_shown() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let destination_id = world.destination(&receiver.url()).await;
    let raw = "whsec_of another sender";
    let (whsec, bytes) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0");
    for (n, (secret, key)) in [
        (Secret::Whsec(whsec.into()), bytes.to_owned()),
        (Secret::Utf8(raw.into()), hex(raw.as_bytes())),
        (Secret::Hex("00FF00ff00ff00ff".into()), "00ff00ff00ff00ff".to_owned()),
        (Secret::Base64("-_-_-_-_-_8".into()), "fbffbffbffbffbff".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let made = world.registry().create_token(create(secret, "")).await.unwrap().into_inner();
        assert_eq!(made.secret, "");
        let token_id = made.token.unwrap().token_id;
        let assign =
            api::AssignTokenRequest { account_id: ACCOUNT.into(), destination_id: destination_id.clone(), token_id };
        world.registry().assign_token(assign).await.unwrap();
        let event = format!("e{n}");
        world.publish(&event).await;
        world.delivery_is(&event, DeliveryStatus::Succeeded).await;
        let request = receiver.requests().remove(n);
        let expected =
            python(SIGN, &[&key, request.header("webhook-id"), request.header("webhook-timestamp")], &request.body);
        assert_eq!(request.header("webhook-signature"), expected);
    }
    for text in [whsec, raw, "00FF00ff00ff00ff", "-_-_-_-_-_8"] {
        assert!(!world.process.output().contains(text), "{text} is logged");
        assert!(!is_readable_in(&world.home.data(), text.as_bytes()), "{text} is readable on disk");
    }
    assert!(!is_readable_in(&world.home.data(), &[0, 255, 0, 255, 0, 255, 0, 255]));
}

#[tokio::test]
async fn invalid_secret_is_refused_without_repeating_it() {
    let world = World::start().await;
    let whsec = |base64: &str| Secret::Whsec(format!("whsec_{base64}"));
    for (secret, algorithm, fragment) in [
        (whsec("aHVudGVyMg=="), "", "imported.whsec: has 7 bytes, and must have 24 to 64"),
        (whsec(&"AAAA".repeat(22)), "", "imported.whsec: has 66 bytes"),
        (whsec("hunter2 hunter2"), "", "imported.whsec: is not whsec_ and base64; if another sender signs"),
        (Secret::Utf8("hunter2".into()), "", "imported.utf8: has 7 bytes, and must have 8 to 256"),
        (Secret::Utf8("hunter2 ".repeat(40)), "", "imported.utf8: has 320 bytes"),
        (Secret::Hex("hunter2".into()), "", "imported.hex: is not an even number of hexadecimal digits"),
        (Secret::Base64("hunter2 hunter2".into()), "", "imported.base64: is not base64"),
        (Secret::Utf8("hunter2 hunter2".into()), "ed25519", "imported: is a secret that sender and receiver share"),
    ] {
        let refused = world.registry().create_token(create(secret, algorithm)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().contains(fragment) && !refused.message().contains("hunter2"), "{refused}");
    }
}

#[tokio::test]
async fn command_line_imports_secrets_from_file_or_stdin() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let file = world.home.data().join("secret.txt");
    fs::write(&file, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
    let made = world
        .run(&["tokens", "create", "crm", "--assign", "CRM", "--secret-file", file.to_str().unwrap()])
        .await
        .well();
    assert!(made.out.contains("signs with the imported secret") && !made.out.contains("whsec_"), "{made:?}");
    let rotate = ["destinations", "rotate-secret", "CRM", "--secret-file", "-", "--secret-format", "utf-8"];
    let rotated = world.run_with(&rotate, "a secret of another sender\n").await.well();
    assert!(rotated.out.contains("signs with the imported secret"), "{rotated:?}");
    assert!(!format!("{rotated:?}").contains("another sender"), "{rotated:?}");
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let request = receiver.requests().remove(0);
    let (id, timestamp) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    let signatures: Vec<_> = request.header("webhook-signature").split(' ').collect();
    let keys = [hex(b"a secret of another sender"), "31f290f6bf06298aab4f08d43c3f082cf648a362da2da4b0".to_owned()];
    let expected = keys.map(|key| python(SIGN, &[&key, id, timestamp], &request.body));
    assert_eq!(signatures, expected);

    let refused = world.run_with(&["tokens", "create", "x", "--secret-file", "-"], "hunter2").await;
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("imported.whsec: ") && !refused.err.contains("hunter2"), "{refused:?}");
}
