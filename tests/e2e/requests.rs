//! Requests to receivers: methods, templates, headers, credentials, signatures.

use std::time::Duration;

use api::{DeliveryStatus, auth::Kind, destination::Body, duration_to_api};
use testkit::{Receiver, wait};
use tonic::Code;

use crate::world::{ACCOUNT, SOON, World, event_json, is_readable_in, some_destination};

const SECRET: &str = "a-very-secret-credential";

#[tokio::test]
async fn requests_follow_the_settings_of_the_destination() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let destination = api::Destination {
        url: format!("{}/{{{{ lead.id }}}}?type={{{{ event.type }}}}", receiver.url()),
        method: "PUT".into(),
        body: Some(Body::BodyTemplate(r#"{"person": {{ payload.name }}, "from": {{ interface }}}"#.into())),
        headers: vec![api::Header { name: "X-Tenant".into(), value: "acme".into() }],
        auth: Some(api::Auth { kind: Some(Kind::BearerToken(SECRET.into())), ..api::Auth::default() }),
        ..some_destination()
    };
    let id = world.destination_with(destination).await;
    world.publish("e1").await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap();
    let request = receiver.requests().remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", "/hook/lead-e1?type=lead.created"));
    assert_eq!(request.body, r#"{"person": "Ada", "from": "form"}"#);
    assert_eq!(
        (request.header("x-tenant"), request.header("authorization")),
        ("acme", "Bearer a-very-secret-credential")
    );
    assert_eq!(delivery.request_method, "PUT");
    assert_eq!(delivery.request_url, format!("{}/lead-e1?type=lead.created", receiver.url()));

    // The credential is never shown again, and sending back what was read does not remove it.
    let get = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: id };
    let shown = world.registry().get_destination(get).await.unwrap().into_inner();
    let auth = shown.auth.clone().unwrap();
    assert_eq!((auth.kind, auth.shown_kind.as_str(), auth.shown_header.as_str()), (None, "bearer", "authorization"));
    let update = api::UpdateDestinationRequest { destination: Some(shown), update_mask: None, ..Default::default() };
    world.registry().update_destination(update).await.unwrap();
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.requests()[1].header("authorization"), "Bearer a-very-secret-credential");
    assert!(!world.process.output().contains(SECRET));
    assert!(!format!("{:?}", world.delivery("e2").await).contains(SECRET));
    assert!(!is_readable_in(&world.home.data(), SECRET.as_bytes()), "the credential is readable on disk");
}

#[tokio::test]
async fn presets_create_envelopes_and_slack_messages() {
    let world = World::start().await;
    let (envelope, slack) = (Receiver::start().await, Receiver::start().await);
    for (receiver, preset) in [(&envelope, "envelope"), (&slack, "slack")] {
        let body = Some(Body::BodyPreset(preset.into()));
        world.destination_with(api::Destination { url: receiver.url(), body, ..some_destination() }).await;
    }
    let mut event = event_json("e1");
    event["occurred_at"] = "2026-01-02T03:04:05Z".into();
    assert_eq!(world.post(event.to_string(), &[]).await.0, 202);
    wait::until("both", SOON, async || envelope.count() == 1 && slack.count() == 1).await;
    let expected = r#"{"type":"lead.created","timestamp":"2026-01-02T03:04:05Z","data":{"event":"e1","name":"Ada"}}"#;
    assert_eq!(envelope.requests()[0].body, expected);
    let message: serde_json::Value = serde_json::from_slice(&slack.requests()[0].body).unwrap();
    assert!(message["text"].as_str().unwrap().contains("• name: Ada"), "{message}");
}

#[tokio::test]
async fn template_error_fails_the_delivery_with_its_position() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let wrong = Body::BodyTemplate("{% if %}".into());
    let wrong = api::Destination { url: receiver.url(), body: Some(wrong), ..some_destination() };
    let request =
        api::CreateDestinationRequest { destination: Some(wrong), ..api::CreateDestinationRequest::default() };
    let status = world.registry().create_destination(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("body template, line 1"), "{status}");

    let body = Some(Body::BodyTemplate("{\n\"phone\": {{ payload.phone }}}".into()));
    world.destination_with(api::Destination { url: receiver.url(), body, ..some_destination() }).await;
    world.publish("e1").await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Failed).await.delivery.unwrap();
    assert_eq!((delivery.http_status_code, delivery.error_kind.as_str()), (999, "render"));
    assert!(delivery.webhook_response.contains("body template, line 2"), "{}", delivery.webhook_response);
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn requests_have_both_signatures_during_a_rotation() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = api::CreateTokenRequest {
        account_id: ACCOUNT.into(),
        name: "crm".into(),
        ..api::CreateTokenRequest::default()
    };
    let token = world.registry().create_token(token).await.unwrap().into_inner();
    let (token_id, old) = (token.token.unwrap().token_id, token.secret);
    let destination = api::Destination { url: receiver.url(), token_id: token_id.clone(), ..some_destination() };
    world.destination_with(destination).await;
    let overlap = Some(duration_to_api(Duration::from_secs(2)));
    let rotate = api::RotateTokenRequest { account_id: ACCOUNT.into(), token_id, overlap, imported: None };
    let new = world.registry().rotate_token(rotate).await.unwrap().into_inner().secret;
    let rotated = std::time::Instant::now();
    assert_ne!(old, new);
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let request = receiver.requests().remove(0);
    for secret in [&old, &new] {
        verify(secret, &request).unwrap_or_else(|e| panic!("{secret}: {e}"));
    }
    assert_eq!(request.header("webhook-signature").split(' ').count(), 2);
    wait::until("the end of the old one", SOON, async || rotated.elapsed() > Duration::from_secs(2)).await;
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    let request = receiver.requests().remove(1);
    verify(&new, &request).unwrap();
    assert!(verify(&old, &request).is_err());
}

fn verify(secret: &str, request: &testkit::receiver::Seen) -> Result<(), crypto::Rejection> {
    let timestamp = request.header("webhook-timestamp").parse().unwrap();
    let (id, signatures) = (request.header("webhook-id"), request.header("webhook-signature"));
    crypto::verify(&secret.parse().unwrap(), id, timestamp, &request.body, signatures, timestamp)
}

#[tokio::test]
async fn token_can_sign_with_an_asymmetric_key() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let request = api::CreateTokenRequest {
        account_id: ACCOUNT.into(),
        name: "crm".into(),
        algorithm: "ed25519".into(),
        ..api::CreateTokenRequest::default()
    };
    let made = world.registry().create_token(request).await.unwrap().into_inner();
    let token = made.token.unwrap();
    assert_eq!(token.algorithm, "ed25519");
    assert!(made.secret.starts_with("whpk_"), "{}", made.secret);
    let destination = api::Destination { url: receiver.url(), token_id: token.token_id, ..some_destination() };
    world.destination_with(destination).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let request = receiver.requests().remove(0);
    assert!(request.header("webhook-signature").starts_with("v1a,"));
    verify(&made.secret, &request).unwrap();
    let mut forged = request;
    forged.body = "{}".into();
    assert!(verify(&made.secret, &forged).is_err());
}
