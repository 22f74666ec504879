//! Tests of destinations with their own certificates, authorities or proxies.

use domain::registry::{ClientCertificate, DestinationProxy, ProxyAddress, SealedSecret, Transport};
use testkit::{
    ForwardProxy, Receiver,
    forward_proxy::Rules,
    free_port,
    zoo::{Habit, Http2Habit, Http2Receiver, RawReceiver},
};

use super::*;
use crate::transport::{client::proxy::Proxy, route::Route};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// The settings of a destination that has this client certificate and trusts this authority.
fn route(client: Option<(&str, &str)>, trusts: &Authority) -> Route {
    let certificate = client.map(|(chain, key)| ClientCertificate {
        chain: chain.into(),
        key: SealedSecret(key.into()),
        subject: String::new(),
        not_after: jiff::Timestamp::MAX,
    });
    let transport = Transport { client_certificate: certificate, authorities: Some(trusts.pem()), proxy: None };
    let key = client.map(|(_, key)| key.to_owned()).unwrap_or_default();
    Route { transport: Arc::new(transport), key, proxy: None }
}

/// The settings of a destination with its own proxy.
fn by_proxy(url: &str, login: Option<(&str, &str)>) -> Route {
    let own = |(username, password): (&str, &str)| (username.to_owned(), password.to_owned());
    let password = login.map(|(_, password)| SealedSecret(password.into()));
    let setting = DestinationProxy { url: url.into(), username: String::new(), password };
    let address = ProxyAddress::of(&url.parse().unwrap()).unwrap();
    let transport = Transport { proxy: Some(setting), ..Transport::default() };
    let proxy = Some(Proxy::of_destination(address, login.map(own)));
    Route { transport: Arc::new(transport), key: String::new(), proxy }
}

async fn send_by(client: &Client, url: &str, route: Option<&Route>) -> AttemptOutcome {
    let (url, headers, redaction) = (url.parse().unwrap(), HeaderMap::new(), Redaction::default());
    let (method, body, route) = (http::Method::POST, b"{}".to_vec().into(), route.cloned());
    let request = Request { method, url, headers, body, redaction, route, grant: None };
    client.send(&"acme".parse().unwrap(), &request, SOON).await.unwrap().outcome
}

#[tokio::test]
async fn connections_of_different_identities_are_never_shared() {
    let (servers, clients) = (Authority::default(), Authority::default());
    let certificate = servers.certificate_for("localhost");
    let (one, two) = (clients.client("one", 2040), clients.client("two", 2040));
    let client = client_trusting(&servers);
    let routes = [
        None,
        Some(route(None, &servers)),
        Some(route(Some((&one.0, &one.1)), &servers)),
        Some(route(Some((&two.0, &two.1)), &servers)),
    ];
    let http1 = RawReceiver::start_tls(Habit::Says(OK), &certificate).await;
    let http2 = Http2Receiver::start(Http2Habit::default(), &certificate).await;
    for _ in 0..3 {
        for route in &routes {
            for url in [http1.url(), http2.url()] {
                let outcome = send_by(&client, &url, route.as_ref()).await;
                assert!(outcome.is_success(), "{outcome:?}");
            }
        }
    }
    assert_eq!((http1.connections(), http2.connections()), (4, 4), "one for each identity");
}

#[tokio::test]
async fn a_client_certificate_is_sent_and_may_be_refused() {
    let (servers, clients, strangers) = (Authority::default(), Authority::default(), Authority::default());
    let receiver = Receiver::start_mutual_tls(&servers.certificate_for("localhost"), &clients).await;
    let (own, other) = (clients.client("leadline", 2040), strangers.client("leadline", 2040));
    let client = client();
    let good = send_by(&client, &receiver.url(), Some(&route(Some((&own.0, &own.1)), &servers))).await;
    assert!(good.is_success(), "{good:?}");
    for bad in [route(None, &servers), route(Some((&other.0, &other.1)), &servers)] {
        let outcome = send_by(&client, &receiver.url(), Some(&bad)).await;
        assert_eq!(kind(&outcome), Some(ErrorKind::Tls), "{outcome:?}");
    }
    // Authorities of a destination replace the public ones.
    let outcome = send_by(&client, &receiver.url(), Some(&route(Some((&own.0, &own.1)), &strangers))).await;
    assert_eq!(kind(&outcome), Some(ErrorKind::Tls), "{outcome:?}");
    assert!(outcome.webhook_response().starts_with("invalid peer certificate"), "{outcome:?}");
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn a_fault_of_a_destinations_proxy_is_a_failed_attempt() {
    let receiver = RawReceiver::start(Habit::Says(OK)).await;
    let rules = Rules { login: Some(("leadline", "secret")), refuses: Some("127.0.0.9"), port: None };
    let (tinyproxy, microsocks) = (ForwardProxy::tinyproxy(rules).await, ForwardProxy::microsocks(rules).await);
    let client = client();
    let away = format!("http://127.0.0.1:{}", free_port());
    for proxy in [&tinyproxy, &microsocks] {
        let good = by_proxy(&proxy.url(), Some(("leadline", "secret")));
        assert!(send_by(&client, &receiver.url(), Some(&good)).await.is_success());
        assert_eq!(proxy.connections_to(&receiver.port().to_string()), 1);
    }
    let refused = by_proxy(&tinyproxy.url(), Some(("leadline", "secret")));
    let outcome = send_by(&client, "http://127.0.0.9/", Some(&refused)).await;
    assert_eq!(kind(&outcome), Some(ErrorKind::Proxy), "{outcome:?}");
    assert!(outcome.webhook_response().contains("refuses to connect to the receiver: 403"), "{outcome:?}");
    for (bad, said) in [
        (by_proxy(&tinyproxy.url(), Some(("leadline", "wrong"))), "asks for a username"),
        (by_proxy(&microsocks.url(), None), "asks for a username"),
        (by_proxy(&away, None), "cannot be reached"),
        (by_proxy("http://10.0.0.1:3128", None), "has no address that may be called"),
    ] {
        let outcome = send_by(&client, &receiver.url(), Some(&bad)).await;
        assert_eq!(kind(&outcome), Some(ErrorKind::Proxy), "{outcome:?}");
        assert!(outcome.webhook_response().contains(said), "{outcome:?}");
    }
    assert_eq!(receiver.connections(), 2);
}
