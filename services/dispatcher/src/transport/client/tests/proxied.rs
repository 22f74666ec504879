//! Tests of connections through real proxies: CONNECT by tinyproxy, SOCKS 5 by microsocks.

use runtime::Readiness;
use testkit::{
    ForwardProxy,
    forward_proxy::Rules,
    free_port, wait,
    zoo::{Habit, Http2Habit, Http2Receiver, Proxy as Balancer, RawReceiver, black_hole},
};

use super::*;
use crate::transport::outcome::NotSent;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

struct Through {
    client: Client,
    readiness: Readiness,
}

/// A client that calls every receiver through the proxy with this URL.
fn through(url: &str, resolves: bool, authority: Option<&Authority>, max_age: Duration) -> Through {
    let (file, readiness) = (authority.map(Authority::file), Readiness::default());
    let latch = readiness.latch("egress proxy");
    let egress = Some((EgressSettings::new(url, resolves).unwrap(), latch));
    let guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    let settings = Settings { name_servers: &[], ca_file: file.as_deref(), max_age, max_idle: 100, egress };
    Through { client: Client::resolving_with(system(), guard, settings).unwrap(), readiness }
}

async fn both() -> [ForwardProxy; 2] {
    [ForwardProxy::tinyproxy(Rules::default()).await, ForwardProxy::microsocks(Rules::default()).await]
}

#[tokio::test]
async fn a_connection_through_a_proxy_is_reused_until_it_is_old() {
    let authority = Authority::default();
    let certificate = authority.certificate_for("localhost");
    for proxy in both().await {
        let through = through(&proxy.url(), false, Some(&authority), Duration::from_secs(1));
        let client = &through.client;
        let plain = RawReceiver::start(Habit::Says(OK)).await;
        let http2 = Http2Receiver::start(Http2Habit::default(), &certificate).await;
        for _ in 0..5 {
            expect(client, &plain.url(), 200).await;
            expect(client, &http2.url(), 200).await;
        }
        assert_eq!((plain.connections(), http2.connections()), (1, 1), "{proxy:?}");
        assert_eq!(proxy.connections_to(&plain.port().to_string()), 1, "{}", proxy.log());
        wait::until("another connection", SOON, async || {
            expect(client, &plain.url(), 200).await;
            plain.connections() > 1
        })
        .await;
        assert!(through.readiness.is_ready());
    }
}

#[tokio::test]
async fn a_connection_that_ends_behind_a_proxy_is_replaced() {
    let authority = Authority::default();
    let certificate = authority.certificate_for("localhost");
    for proxy in both().await {
        let through = through(&proxy.url(), false, Some(&authority), LONG_LIFE);
        let client = &through.client;
        let closing = RawReceiver::start(Habit::ClosesAtTheSecond).await;
        for _ in 0..3 {
            expect(client, &closing.url(), 200).await;
        }
        assert_eq!((closing.requests().len(), closing.connections()), (3, 3), "{proxy:?}");

        let http2 = Http2Receiver::start(Http2Habit::default(), &certificate).await;
        let balancer = Balancer::start(http2.address()).await;
        expect(client, &balancer.url(), 200).await;
        balancer.freeze();
        let late = send_body(client, &balancer.url(), vec![], Duration::from_millis(300)).await;
        assert_eq!(kind(&late), Some(ErrorKind::Timeout));
        expect(client, &balancer.url(), 200).await;
        assert_eq!(balancer.connections(), 2);
    }
}

#[tokio::test]
async fn a_fault_behind_the_proxy_counts_for_the_receiver() {
    for proxy in both().await {
        let through = through(&proxy.url(), false, None, LONG_LIFE);
        let closed = format!("http://127.0.0.1:{}/", free_port());
        let refused = send(&through.client, &closed).await;
        assert_eq!(kind(&refused), Some(ErrorKind::Connect), "{refused:?}");
        assert!(refused.webhook_response().starts_with("the egress proxy of this installation has no connection"));
        let port = free_port();
        let _held = black_hole(3, port).await;
        let url = format!("http://127.0.0.3:{port}/");
        let late = send_body(&through.client, &url, vec![], Duration::from_millis(300)).await;
        assert_eq!(late.webhook_response(), "no connection within 300ms");
        assert!(through.readiness.is_ready(), "the proxy works");
    }
}

#[tokio::test]
async fn the_guard_decides_unless_the_proxy_looks_names_up() {
    let receiver = RawReceiver::start(Habit::Says(OK)).await;
    let url = receiver.url().replace("127.0.0.1", "localhost");
    let target = |host: &str| format!("{host}:{}", receiver.port());
    for proxy in both().await {
        let here = through(&proxy.url(), false, None, LONG_LIFE).client;
        expect(&here, &url, 200).await;
        assert_eq!(proxy.connections_to(&target("127.0.0.1")), 1, "{}", proxy.log());
        for url in ["http://10.0.0.1/", "http://169.254.169.254/", "http://[::1]/"] {
            assert_eq!(kind(&send(&here, url).await), Some(ErrorKind::Blocked), "{url}");
        }
        let there = through(&proxy.url(), true, None, LONG_LIFE).client;
        expect(&there, &url, 200).await;
        assert_eq!(proxy.connections_to(&target("localhost")), 1, "{}", proxy.log());
        assert_eq!(kind(&send(&there, "http://10.0.0.1/").await), Some(ErrorKind::Blocked));
        assert!(!proxy.log().contains("10.0.0.1"), "{}", proxy.log());
    }
}

async fn not_sent(client: &Client, url: &str) -> String {
    let url = url.parse().unwrap();
    let (headers, redaction) = (HeaderMap::new(), Redaction::default());
    let body = vec![].into();
    let request = Request { method: http::Method::POST, url, headers, body, redaction, route: None, grant: None };
    match client.send(&"acme".parse().unwrap(), &request, SOON).await {
        Err(NotSent::Egress(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_fault_of_the_egress_proxy_makes_the_dispatcher_not_ready() {
    let receiver = RawReceiver::start(Habit::Says(OK)).await;
    let port = free_port();
    let rules = Rules { login: Some(("leadline", "secret")), port: Some(port), ..Rules::default() };
    for (scheme, is_http) in [("http", true), ("socks5", false)] {
        let with = |login: &str| through(&format!("{scheme}://{login}127.0.0.1:{port}"), false, None, LONG_LIFE);
        let (right, wrong, without_login) = (with("leadline:s%65cret@"), with("leadline:other@"), with(""));
        let message = not_sent(&right.client, &receiver.url()).await;
        assert!(message.starts_with("the egress proxy of this installation cannot be reached"), "{message}");
        assert!(!message.contains(&port.to_string()), "an account does not learn where it is: {message}");
        assert!(!right.readiness.is_ready());
        let proxy = if is_http { ForwardProxy::tinyproxy(rules).await } else { ForwardProxy::microsocks(rules).await };
        expect(&right.client, &receiver.url(), 200).await;
        assert!(right.readiness.is_ready());
        for refused in [wrong, without_login] {
            let message = not_sent(&refused.client, &receiver.url()).await;
            assert!(message.contains("asks for a username and a password, or refuses"), "{message}");
            assert!(!refused.readiness.is_ready());
        }
        drop(proxy);
    }
}

#[tokio::test]
async fn a_server_that_is_not_a_proxy_is_reported() {
    let receiver = RawReceiver::start(Habit::SaysAndCloses(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")).await;
    let microsocks = ForwardProxy::microsocks(Rules::default()).await;
    for port in [receiver.port(), microsocks.port()] {
        let through = through(&format!("http://127.0.0.1:{port}"), false, None, LONG_LIFE);
        let message = not_sent(&through.client, "http://127.0.0.1:9/").await;
        assert!(message.contains("does not answer as a proxy does"), "{message}");
    }
}
