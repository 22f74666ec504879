//! A second signature in the format of another sender, verified as the receivers of that sender do it.

use std::time::Duration;

use api::{CompatibilitySignature, DeliveryStatus, duration_to_api, imported_secret::Secret};
use prost_types::FieldMask;
use testkit::{Receiver, receiver::Seen};
use tonic::Code;

use crate::{
    python::python,
    world::{ACCOUNT, World, some_destination},
};

const OLD: &str = "whsec_as it is";
const NEW: &str = "a newer secret";

/// Computes an HMAC of the standard input with Python's standard library.
const MAC: &str = r#"
import base64, hashlib, hmac, sys
key, hash, encoding = sys.argv[1:4]
made = hmac.new(key.encode(), sys.stdin.buffer.read(), getattr(hashlib, hash))
print(made.hexdigest() if encoding == "hex" else base64.b64encode(made.digest()).decode())
"#;

fn mac(key: &str, hash: &str, encoding: &str, content: &[u8]) -> String {
    python(MAC, &[key, hash, encoding], content)
}

async fn token(world: &World) -> String {
    let imported = Some(api::ImportedSecret { secret: Some(Secret::Utf8(OLD.into())) });
    let request = api::CreateTokenRequest { account_id: ACCOUNT.into(), imported, ..Default::default() };
    world.registry().create_token(request).await.unwrap().into_inner().token.unwrap().token_id
}

async fn rotate(world: &World, token_id: &str) {
    let imported = Some(api::ImportedSecret { secret: Some(Secret::Utf8(NEW.into())) });
    let overlap = Some(duration_to_api(Duration::from_secs(3_600)));
    let request = api::RotateTokenRequest { account_id: ACCOUNT.into(), token_id: token_id.into(), overlap, imported };
    world.registry().rotate_token(request).await.unwrap();
}

/// The request that a destination with this signature gets.
async fn sent(world: &World, token_id: &str, event: &str, signature: CompatibilitySignature) -> Seen {
    let receiver = Receiver::start().await;
    let destination = api::Destination {
        url: receiver.url(),
        token_id: token_id.into(),
        compatibility_signature: Some(signature),
        ..some_destination()
    };
    let id = world.destination_with(destination).await;
    world.publish(event).await;
    world.delivery_is(event, DeliveryStatus::Succeeded).await;
    world.delete(&id).await;
    receiver.requests().remove(0)
}

#[tokio::test]
async fn receivers_of_other_senders_accept_compatibility_signatures() {
    let world = World::start().await;
    let token_id = token(&world).await;

    // The format of GitHub.
    let header = "X-Hub-Signature-256".to_owned();
    let github = CompatibilitySignature { header, prefix: "sha256=".into(), ..Default::default() };
    let request = sent(&world, &token_id, "github", github).await;
    let expected = format!("sha256={}", mac(OLD, "sha256", "hex", &request.body));
    assert_eq!(request.header("x-hub-signature-256"), expected);
    assert!(request.header("webhook-signature").starts_with("v1,"), "the signature of Standard Webhooks is there, too");

    // The format of Shopify.
    let (header, encoding) = ("X-Shopify-Hmac-Sha256".to_owned(), "base64".to_owned());
    let request =
        sent(&world, &token_id, "shopify", CompatibilitySignature { header, encoding, ..Default::default() }).await;
    assert_eq!(request.header("x-shopify-hmac-sha256"), mac(OLD, "sha256", "base64", &request.body));

    // The format of Stripe.
    let (header, content) = ("Stripe-Signature".to_owned(), "timestamp.body".to_owned());
    let request =
        sent(&world, &token_id, "stripe", CompatibilitySignature { header, content, ..Default::default() }).await;
    let timestamp = request.header("webhook-timestamp").to_owned();
    let signed = [timestamp.as_bytes(), b".", &request.body].concat();
    let expected = format!("t={timestamp},v1={}", mac(OLD, "sha256", "hex", &signed));
    assert_eq!(request.header("stripe-signature"), expected);

    // With the timestamp in a separate header, and with the other hash functions.
    for (algorithm, hash) in [("hmac-sha1", "sha1"), ("hmac-sha512", "sha512")] {
        let signature = CompatibilitySignature {
            header: "x-signature".into(),
            algorithm: algorithm.into(),
            content: "timestamp.body".into(),
            timestamp_header: "X-Timestamp".into(),
            ..Default::default()
        };
        let request = sent(&world, &token_id, hash, signature).await;
        let signed = [request.header("x-timestamp").as_bytes(), b".", &request.body].concat();
        assert_eq!(request.header("x-timestamp"), request.header("webhook-timestamp"));
        assert_eq!(request.header("x-signature"), mac(OLD, hash, "hex", &signed));
    }
}

#[tokio::test]
async fn old_secret_still_signs_during_a_rotation() {
    let world = World::start().await;
    let token_id = token(&world).await;
    rotate(&world, &token_id).await;
    let plain = CompatibilitySignature { header: "x-signature".into(), ..Default::default() };
    let request = sent(&world, &token_id, "plain", plain).await;
    assert_eq!(request.header("x-signature"), mac(OLD, "sha256", "hex", &request.body));

    let (header, content) = ("x-signatures".to_owned(), "timestamp.body".to_owned());
    let request =
        sent(&world, &token_id, "list", CompatibilitySignature { header, content, ..Default::default() }).await;
    let timestamp = request.header("webhook-timestamp");
    let signed = [timestamp.as_bytes(), b".", &request.body].concat();
    let [new, old] = [NEW, OLD].map(|key| mac(key, "sha256", "hex", &signed));
    assert_eq!(request.header("x-signatures"), format!("t={timestamp},v1={new},v1={old}"));
}

#[tokio::test]
async fn invalid_compatibility_signatures_are_refused() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let destination_id = world.destination(&receiver.url()).await;
    let update = async |destination: api::Destination, fields: &[&str]| {
        let paths = fields.iter().map(|field| (*field).to_owned()).collect();
        let named =
            api::Destination { account_id: ACCOUNT.into(), destination_id: destination_id.clone(), ..destination };
        let request = api::UpdateDestinationRequest {
            destination: Some(named),
            update_mask: Some(FieldMask { paths }),
            ..Default::default()
        };
        world.registry().update_destination(request).await.map(tonic::Response::into_inner)
    };
    let with = |signature: CompatibilitySignature| api::Destination {
        compatibility_signature: Some(signature),
        headers: vec![api::Header { name: "x-tenant".into(), value: "7".into() }],
        ..api::Destination::default()
    };
    let named = |header: &str| CompatibilitySignature { header: header.into(), ..Default::default() };
    let both = ["compatibility_signature", "headers"];
    for (signature, fragment) in [
        (named(""), "is not the name of a header"),
        (named("Webhook-Signature"), "is set by Leadline itself"),
        (named("leadline-signature"), "is set by Leadline itself"),
        (named("Content-Type"), "is set by content_type"),
        (named("X-Tenant"), "is set by headers or auth already"),
        (
            CompatibilitySignature { algorithm: "md5".into(), ..named("x-s") },
            "algorithm \"md5\" is not one of hmac-sha256",
        ),
        (CompatibilitySignature { encoding: "base32".into(), ..named("x-s") }, "encoding \"base32\" is not one of hex"),
        (CompatibilitySignature { content: "url".into(), ..named("x-s") }, "is neither body nor timestamp.body"),
        (CompatibilitySignature { timestamp_header: "x-t".into(), ..named("x-s") }, "timestamp_header is only for"),
    ] {
        let refused = update(with(signature), &both).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("compatibility_signature: "), "{refused}");
        assert!(refused.message().contains(fragment), "{fragment}: {refused}");
    }
    let request = api::CreateTokenRequest {
        account_id: ACCOUNT.into(),
        algorithm: "ed25519".into(),
        ..api::CreateTokenRequest::default()
    };
    let token_id = world.registry().create_token(request).await.unwrap().into_inner().token.unwrap().token_id;
    update(with(named("x-s")), &both).await.unwrap();
    let assign =
        api::AssignTokenRequest { account_id: ACCOUNT.into(), destination_id: destination_id.clone(), token_id };
    let refused = world.registry().assign_token(assign).await.unwrap_err();
    assert!(refused.message().contains("names an ed25519 token"), "{refused}");
    // Without a token there is no signature at all.
    world.publish("unsigned").await;
    world.delivery_is("unsigned", DeliveryStatus::Succeeded).await;
    let request = receiver.requests().remove(0);
    assert!(!request.headers.contains_key("x-s") && !request.headers.contains_key("webhook-signature"));
}

#[tokio::test]
async fn command_line_sets_shows_and_removes_compatibility_signatures() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    let update = ["destinations", "update", "CRM", "--signature-header"];
    let github =
        world.run(&[&update[..], &["X-Hub-Signature-256", "--signature-prefix", "sha256="]].concat()).await.well();
    assert_eq!(github.fact("compatibility"), "x-hub-signature-256: sha256=hex of hmac-sha256 over body");
    let stripe =
        world.run(&[&update[..], &["Stripe-Signature", "--signature-content", "timestamp.body"]].concat()).await;
    assert_eq!(stripe.well().fact("compatibility"), "stripe-signature: t=…,v1=hex of hmac-sha256 over timestamp.body");
    let removed = world.run(&[&update[..], &[""]].concat()).await.well();
    assert!(!removed.out.contains("compatibility"), "{removed:?}");
    let wrong = world.run(&[&update[..], &["", "--signature-prefix", "x"]].concat()).await;
    assert_eq!(wrong.code, 2, "{wrong:?}");
}
