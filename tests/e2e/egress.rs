//! Egress proxies: the installation's, and those of destinations.

use api::{DeliveryStatus, auth::Kind};
use testkit::{
    ForwardProxy, Receiver, TokenServer,
    forward_proxy::Rules,
    free_port,
    tls::Authority,
    wait,
    zoo::{Http2Habit, Http2Receiver},
};
use tonic::Code;

use crate::world::{ACCOUNT, SOON, World, is_readable_in, some_destination, web};

const PASSWORD: &str = "p@ss/w#1";
const ENCODED: &str = "leadline:p%40ss%2Fw%231";

fn rules(port: Option<u16>) -> Rules<'static> {
    Rules { login: Some(("leadline", PASSWORD)), port, ..Rules::default() }
}

/// The URL of a proxy with username and password.
fn with_login(proxy: &ForwardProxy) -> String {
    proxy.url().replace("://", &format!("://{ENCODED}@"))
}

async fn readyz(world: &World) -> (u16, String) {
    let answer = web().get(format!("{}/readyz?service=dispatcher", world.http)).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn destination_proxy(url: &str, password: &str) -> Option<api::DestinationProxy> {
    let username = if password.is_empty() { String::new() } else { "leadline".into() };
    Some(api::DestinationProxy { url: url.into(), username, password: password.into(), has_password: false })
}

#[tokio::test]
async fn every_request_uses_the_proxy_of_the_installation() {
    let authority = Authority::default();
    let certificate = authority.certificate_for("localhost");
    // tinyproxy cannot read passwords with a '#' or a '/'.
    let simple = Rules { login: Some(("leadline", "p-ss")), ..Rules::default() };
    let tinyproxy = ForwardProxy::tinyproxy(simple).await;
    let microsocks = ForwardProxy::microsocks(rules(None)).await;
    let tiny_url = tinyproxy.url().replace("://", "://leadline:p%2Dss@");
    for (proxy, url, secrets) in
        [(&tinyproxy, tiny_url, ["p-ss", "p%2Dss"]), (&microsocks, with_login(&microsocks), [PASSWORD, "p%40ss"])]
    {
        let env = [("LEADLINE_EGRESS_PROXY", url.as_str()), ("RUST_LOG", "trace")];
        let world = World::start_with(&["--ca-file", authority.file().to_str().unwrap()], &env).await;
        let plain = Receiver::start().await;
        let http2 = Http2Receiver::start(Http2Habit::default(), &certificate).await;
        let tokens = TokenServer::start("leadline", "secret").await;
        tokens.protect(&plain);
        let client = api::OAuth2ClientCredentials {
            token_url: tokens.url(),
            client_id: "leadline".into(),
            client_secret: "secret".into(),
            ..api::OAuth2ClientCredentials::default()
        };
        let auth = Some(api::Auth { kind: Some(Kind::Oauth2(client)), ..api::Auth::default() });
        world.destination_with(api::Destination { url: plain.url(), auth, concurrency: 1, ..some_destination() }).await;
        world.destination(&http2.url()).await;
        for n in 0..5 {
            world.publish(&format!("e{n}")).await;
        }
        wait::until("all", SOON, async || plain.count() == 5 && http2.answered().len() == 5).await;
        assert_eq!(tokens.count(), 1);
        let through = |port: String| proxy.connections_to(&format!("127.0.0.1:{port}"));
        let port_of = |url: String| url.rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
        assert_eq!(through(plain.port().to_string()), 1, "kept alive: {}", proxy.log());
        assert!(through(port_of(http2.url())) >= 1 && through(port_of(tokens.url())) == 1, "{}", proxy.log());
        assert_eq!(readyz(&world).await.0, 200);
        for secret in secrets {
            assert!(!world.process.output().contains(secret), "{secret} is in the log");
        }
    }
}

#[tokio::test]
async fn deliveries_wait_while_the_egress_proxy_is_away() {
    let (port, receiver) = (free_port(), Receiver::start().await);
    let url = format!("socks5://{ENCODED}@127.0.0.1:{port}");
    let world = World::start_with(&["--egress-proxy", &url], &[]).await;
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    let (status, state) = wait::until("the missing proxy to be reported", SOON, async || {
        Some(readyz(&world).await).filter(|(_, state)| state.contains("--egress-proxy"))
    })
    .await;
    assert_eq!(status, 503);
    assert!(!state.contains(&port.to_string()), "readyz needs no key: {state}");
    let line = world.process.wait_line("cannot use the egress proxy", SOON).await;
    assert!(line.contains(&format!("127.0.0.1:{port}")) && line.contains("refused"), "{line}");
    let waiting = world.delivery("e1").await;
    assert_eq!((waiting.attempts.len(), waiting.delivery.unwrap().status()), (0, DeliveryStatus::Pending));

    let _proxy = ForwardProxy::microsocks(rules(Some(port))).await;
    let done = world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!((done.attempts.len(), receiver.count()), (1, 1));
    assert_eq!(readyz(&world).await.0, 200);
    assert_eq!(world.home.outbox().len(), 0, "no mail was sent");
}

#[tokio::test]
async fn unusable_proxy_url_is_refused_at_start_without_its_password() {
    let home = crate::world::Home::new();
    for url in
        ["https://leadline:SECRET1@proxy.example", "proxy.example:3128", "http://leadline:SECRET1@proxy.example/p"]
    {
        let process = home.up(&["--egress-proxy", url], &[]);
        assert!(!process.wait_exit(SOON).await.success());
        let output = process.output();
        assert!(output.contains("--egress-proxy") && !output.contains("SECRET1"), "{output}");
    }
}

#[tokio::test]
async fn destination_can_have_a_proxy_with_its_own_errors() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let proxy = ForwardProxy::microsocks(rules(None)).await;
    let destination = api::Destination {
        url: receiver.url(),
        proxy: destination_proxy(&proxy.url(), PASSWORD),
        ..some_destination()
    };
    let id = world.destination_with(destination).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let port = receiver.port().to_string();
    assert_eq!(proxy.connections_to(&port), 1, "{}", proxy.log());

    let get = api::GetDestinationRequest { account_id: ACCOUNT.into(), destination_id: id };
    let shown = world.registry().get_destination(get).await.unwrap().into_inner();
    let own = shown.proxy.clone().unwrap();
    assert_eq!((own.username.as_str(), own.password.as_str(), own.has_password), ("leadline", "", true));
    assert!(!is_readable_in(&world.home.data(), PASSWORD.as_bytes()), "the password is readable on disk");
    assert!(!world.process.output().contains(PASSWORD));
    let update = async |proxy: Option<api::DestinationProxy>| {
        let destination = Some(api::Destination { proxy, ..shown.clone() });
        let update_mask = Some(prost_types::FieldMask { paths: vec!["proxy".into()] });
        world
            .registry()
            .update_destination(api::UpdateDestinationRequest { destination, update_mask, ..Default::default() })
            .await
    };
    // The proxy as shown can be sent back.
    update(Some(own)).await.unwrap();
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;

    let away = format!("http://127.0.0.1:{}", free_port());
    for (event, setting, part) in [
        ("wrong", destination_proxy(&proxy.url(), "wrong"), "asks for a username and a password, or refuses"),
        ("away", destination_proxy(&away, ""), "cannot be reached"),
    ] {
        update(setting).await.unwrap();
        world.publish(event).await;
        let failed = world.delivery_is(event, DeliveryStatus::Failed).await.delivery.unwrap();
        assert_eq!((failed.http_status_code, failed.error_kind.as_str()), (999, "proxy"), "{failed:?}");
        assert!(failed.webhook_response.contains(part), "{}", failed.webhook_response);
        assert!(failed.suggested_action.contains("proxy's URL"), "{}", failed.suggested_action);
    }
    assert_eq!(readyz(&world).await.0, 200, "the readiness does not depend on proxies of destinations");
    for (url, expected) in [
        ("http://10.0.0.1:3128", "is not a public address"),
        ("socks5://127.1:1080", ""),
        ("socks5://[::1]:1080", "is not a public address"),
        ("http://user:password@proxy.example:3128", "must not contain credentials"),
        ("https://proxy.example", "has to begin with"),
    ] {
        match update(destination_proxy(url, "")).await {
            Ok(_) => assert_eq!(expected, "", "{url}: the network is allowed here"),
            Err(refused) => {
                assert_eq!(refused.code(), Code::InvalidArgument);
                assert!(
                    refused.message().starts_with("proxy.url: ") && refused.message().contains(expected),
                    "{refused}"
                );
            }
        }
    }
}

#[tokio::test]
async fn destination_proxy_is_reached_through_the_egress_proxy() {
    let receiver = Receiver::start().await;
    let (outer, inner) = (ForwardProxy::tinyproxy(Rules::default()).await, ForwardProxy::microsocks(rules(None)).await);
    let world = World::start_with(&["--egress-proxy", &outer.url()], &[]).await;
    let destination = api::Destination {
        url: receiver.url(),
        proxy: destination_proxy(&inner.url(), PASSWORD),
        ..some_destination()
    };
    world.destination_with(destination).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(outer.connections_to(&inner.port().to_string()), 1, "{}", outer.log());
    assert_eq!(outer.connections_to(&receiver.port().to_string()), 0, "{}", outer.log());
    assert_eq!(inner.connections_to(&receiver.port().to_string()), 1, "{}", inner.log());
    inner.kill();
    receiver.answer(testkit::Answer::With(200, vec![("connection", "close".into())], "".into()));
    world.publish("e2").await;
    let failed = wait::until("a failure", SOON, async || {
        let delivery = world.delivery("e2").await.delivery.unwrap();
        (delivery.status() == DeliveryStatus::Failed).then_some(delivery)
    })
    .await;
    assert_eq!(failed.error_kind, "proxy", "{failed:?}");
}

#[tokio::test]
async fn refusals_of_the_egress_proxy_are_blocked_attempts() {
    let refusing = Rules { refuses: Some("127.0.0.9"), ..Rules::default() };
    let proxy = ForwardProxy::tinyproxy(refusing).await;
    let world = World::start_with(&["--egress-proxy", &proxy.url()], &[]).await;
    for (event, url, kind) in [
        ("refused", "http://127.0.0.9/".to_owned(), "blocked"),
        ("closed", format!("http://127.0.0.1:{}/", free_port()), "connect"),
    ] {
        let id = world.destination(&url).await;
        world.publish(event).await;
        let failed = world.delivery_is(event, DeliveryStatus::Failed).await.delivery.unwrap();
        assert_eq!(failed.error_kind, kind, "{failed:?}");
        assert!(failed.webhook_response.starts_with("the egress proxy of this installation"), "{failed:?}");
        world.delete(&id).await;
    }
    assert_eq!(readyz(&world).await.0, 200);
}

#[tokio::test]
async fn changed_proxy_needs_the_credentials_again() {
    let world = World::start().await;
    let auth = Some(api::Auth { kind: Some(Kind::BearerToken("SECRET0001".into())), ..api::Auth::default() });
    let url = "http://127.0.0.1:9/".to_owned();
    let id = world.destination_with(api::Destination { url, auth: auth.clone(), ..some_destination() }).await;
    let update = async |auth: Option<api::Auth>, fields: &[&str]| {
        let proxy = destination_proxy("http://127.0.0.1:3128", "");
        let destination = api::Destination {
            account_id: ACCOUNT.into(),
            destination_id: id.clone(),
            proxy,
            auth,
            ..Default::default()
        };
        let update_mask =
            Some(prost_types::FieldMask { paths: fields.iter().map(|field| (*field).to_owned()).collect() });
        let request =
            api::UpdateDestinationRequest { destination: Some(destination), update_mask, ..Default::default() };
        world.registry().update_destination(request).await
    };
    let refused = update(None, &["proxy"]).await.unwrap_err();
    assert!(
        refused.message().starts_with("proxy: ") && refused.message().contains("its credentials (auth)"),
        "{refused}"
    );
    update(auth, &["proxy", "auth"]).await.unwrap();
    update(None, &["proxy"]).await.unwrap();
}
