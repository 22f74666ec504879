//! Destinations with OAuth 2.0 access tokens.

use std::time::Duration;

use api::{DeliveryStatus, auth::Kind};
use testkit::{Answer, NameServer, Receiver, TokenServer, free_port, wait};
use tonic::{Code, Status};

use crate::world::{ACCOUNT, SOON, World, is_readable_in, retries, some_destination};

const CLIENT: &str = "lead line";
const SECRET: &str = "very:secret/ü&7";

fn client(token_url: &str) -> api::OAuth2ClientCredentials {
    let parameter = api::OAuth2Parameter { name: "audience".into(), value: "https://crm.example/?a=b".into() };
    api::OAuth2ClientCredentials {
        token_url: token_url.into(),
        client_id: CLIENT.into(),
        client_secret: SECRET.into(),
        scope: "leads.write leads.read".into(),
        parameters: vec![parameter],
        client_authentication: String::new(),
    }
}

fn with(url: String, client: api::OAuth2ClientCredentials) -> api::Destination {
    let auth = Some(api::Auth { kind: Some(Kind::Oauth2(client)), ..api::Auth::default() });
    api::Destination { url, auth, ..some_destination() }
}

async fn create(world: &World, destination: api::Destination) -> Result<api::Destination, Status> {
    let destination = Some(destination);
    let request = api::CreateDestinationRequest { destination, ..api::CreateDestinationRequest::default() };
    world.registry().create_destination(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn access_token_is_fetched_once_and_never_shown() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let mut shown = vec![];
    let mut servers = vec![];
    for way in ["client_secret_basic", "client_secret_post"] {
        let server = TokenServer::start(CLIENT, SECRET).await;
        server.protect(&receiver);
        let settings = api::OAuth2ClientCredentials { client_authentication: way.into(), ..client(&server.url()) };
        let destination = create(&world, with(receiver.url(), settings)).await.unwrap();
        let before = receiver.count();
        let events = (0..30).map(|n| crate::world::event_json(&format!("{way}-{n}")).to_string());
        let events = events.collect::<Vec<_>>().join("\n");
        assert_eq!(world.post(events, &[("content-type", "application/x-ndjson")]).await.0, 202);
        for n in 0..30 {
            let done = world.delivery_is(&format!("{way}-{n}"), DeliveryStatus::Succeeded).await.delivery.unwrap();
            assert_eq!(done.attempts, 1);
        }
        assert_eq!((receiver.count() - before, server.count()), (30, 1), "{way}");
        let form = String::from_utf8(server.requests()[0].body.to_vec()).unwrap();
        let expected =
            "grant_type=client_credentials&scope=leads.write+leads.read&audience=https%3A%2F%2Fcrm.example%2F%3Fa%3Db";
        assert!(form.starts_with(expected), "{form}");
        world.delete(&destination.destination_id).await;
        shown.push(destination.auth.unwrap());
        servers.push(server);
    }
    assert_eq!((shown[0].shown_kind.as_str(), shown[0].shown_header.as_str()), ("oauth2", "authorization"));
    let public = shown[1].shown_oauth2.clone().unwrap();
    assert_eq!((public.client_id.as_str(), public.client_secret.as_str()), (CLIENT, ""));
    assert_eq!(public.token_url, servers[1].url());
    for secret in [SECRET, "access-token-number"] {
        assert!(!world.process.output().contains(secret));
        assert!(!is_readable_in(&world.home.data(), secret.as_bytes()), "{secret} is readable on disk");
    }
}

#[tokio::test]
async fn refused_access_token_is_replaced_once_per_attempt() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let server = TokenServer::start(CLIENT, SECRET).await;
    server.protect(&receiver);
    create(&world, with(receiver.url(), client(&server.url()))).await.unwrap();
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    server.revoke_all();
    world.publish("e2").await;
    let second = world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    assert_eq!((second.attempts.len(), receiver.count(), server.count()), (1, 3, 2));

    // A receiver that refuses the new token, too, fails the attempt with 401. Its echo of the token is not stored.
    receiver.answer_by(|request| {
        let token = request.header("authorization").to_owned();
        Answer::With(401, vec![], format!("what is {token}?").into())
    });
    world.publish("e3").await;
    let third = world.delivery_is("e3", DeliveryStatus::Failed).await.delivery.unwrap();
    assert_eq!((third.http_status_code, third.error_kind.as_str(), third.attempts), (401, "", 1));
    assert_eq!(third.webhook_response, "what is [redacted]?");
    assert_eq!((receiver.count(), server.count()), (5, 3));
}

#[tokio::test]
async fn access_token_is_replaced_before_it_expires() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let server = TokenServer::start(CLIENT, SECRET).await;
    server.protect(&receiver);
    server.expires_in(0);
    create(&world, with(receiver.url(), client(&server.url()))).await.unwrap();
    for event in ["e1", "e2", "e3"] {
        world.publish(event).await;
        world.delivery_is(event, DeliveryStatus::Succeeded).await;
    }
    assert_eq!((receiver.count(), server.count()), (3, 3), "no 401 was needed");
}

#[tokio::test]
async fn failing_token_server_has_its_own_error_and_retries() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let server = TokenServer::start(CLIENT, SECRET).await;
    server.protect(&receiver);
    server.fail(Some((503, "in maintenance")));
    let retry_policy = Some(retries(&[Duration::from_secs(1), Duration::from_secs(1), Duration::from_secs(1)]));
    let destination = api::Destination { retry_policy, ..with(receiver.url(), client(&server.url())) };
    let made = create(&world, destination).await.unwrap();
    world.publish("e1").await;
    wait::until("a second failure", SOON, async || server.count() >= 2).await;
    assert_eq!(receiver.count(), 0);
    server.fail(None);
    let detail = world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let first = &detail.attempts[0];
    assert_eq!((first.http_status_code, first.error_kind.as_str()), (999, "oauth"));
    assert_eq!(first.webhook_response, "the token server 127.0.0.1 answered 503: in maintenance");
    assert!(first.suggested_action.contains("token URL"), "{}", first.suggested_action);
    world.delete(&made.destination_id).await;

    let names = [
        ("wrong secret", server.url(), "invalid_client: no such client"),
        ("nobody there", format!("http://127.0.0.1:{}/token", free_port()), "did not answer (connect): "),
    ];
    for (event, token_url, text) in names {
        let wrong = api::OAuth2ClientCredentials { client_secret: "wrong".into(), ..client(&token_url) };
        let made = create(&world, with(receiver.url(), wrong)).await.unwrap();
        let event = event.replace(' ', "_");
        world.publish(&event).await;
        let failed = world.delivery_is(&event, DeliveryStatus::Failed).await.delivery.unwrap();
        assert_eq!((failed.http_status_code, failed.error_kind.as_str()), (999, "oauth"));
        assert!(failed.webhook_response.contains(text), "{}", failed.webhook_response);
        world.delete(&made.destination_id).await;
    }
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn token_url_has_the_same_checks_as_a_destination_url() {
    let names = NameServer::start(&[("auth.test", &["10.0.0.1"])]).await;
    let name_server = names.address().to_string();
    let world = World::start_with(&["--dns-server", &name_server], &[]).await;
    let receiver = Receiver::start().await;
    for (token_url, fragment) in [
        ("http://169.254.169.254/latest", "is not a public address"),
        ("https://[::1]/token", "is not a public address"),
        ("https://user:password@auth.example/", "must not contain credentials"),
        ("ftp://auth.example/", "is not allowed"),
        ("nonsense", "is not a URL"),
    ] {
        let refused = create(&world, with(receiver.url(), client(token_url))).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with("auth.oauth2.token_url: "), "{refused}");
        assert!(refused.message().contains(fragment), "{refused}");
    }
    let no_secret = api::OAuth2ClientCredentials { client_secret: String::new(), ..client("https://auth.example/") };
    let refused = create(&world, with(receiver.url(), no_secret)).await.unwrap_err();
    assert!(refused.message().starts_with("auth.oauth2.client_secret: is empty"), "{refused}");

    create(&world, with(receiver.url(), client("http://auth.test/token"))).await.unwrap();
    world.publish("e1").await;
    let failed = world.delivery_is("e1", DeliveryStatus::Failed).await.delivery.unwrap();
    assert_eq!(failed.error_kind, "oauth");
    let text = &failed.webhook_response;
    assert!(text.contains("(blocked): auth.test is not a public address") && !text.contains("10.0.0.1"), "{text}");
    assert_eq!(receiver.count(), 0);
}

#[tokio::test]
async fn changed_token_url_needs_the_client_secret_again() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let server = TokenServer::start(CLIENT, SECRET).await;
    server.protect(&receiver);
    let made = create(&world, with(receiver.url(), client(&server.url()))).await.unwrap();
    for fields in [&[][..], &["name", "auth"]] {
        let paths = fields.iter().map(|field: &&str| (*field).to_owned()).collect();
        let update_mask = (!fields.is_empty()).then_some(prost_types::FieldMask { paths });
        let request =
            api::UpdateDestinationRequest { destination: Some(made.clone()), update_mask, ..Default::default() };
        world.registry().update_destination(request).await.unwrap();
    }
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    // Another token URL without the secret is refused, because the secret would be sent there.
    let elsewhere =
        api::OAuth2ClientCredentials { client_secret: String::new(), ..client("https://elsewhere.example/") };
    let destination = api::Destination { account_id: ACCOUNT.into(), ..with(receiver.url(), elsewhere) };
    let destination = api::Destination { destination_id: made.destination_id, ..destination };
    let request =
        api::UpdateDestinationRequest { destination: Some(destination), update_mask: None, ..Default::default() };
    let refused = world.registry().update_destination(request).await.unwrap_err();
    assert!(refused.message().starts_with("auth.oauth2.client_secret: is empty"), "{refused}");
}
