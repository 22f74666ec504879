//! Tests of opening a connection: look-up, connect and TLS handshake.

use testkit::{
    Receiver,
    zoo::{Habit, RawReceiver, black_hole},
};

use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn only_allowed_addresses_of_a_name_are_called() {
    let receiver = Receiver::start().await;
    let url = format!("http://crm.example:{}/", receiver.port());
    let asking = async |addresses: &[&str]| {
        let client = client_with(Names::lead_to(addresses), None, LONG_LIFE);
        send(&client, &url).await
    };
    let blocked = asking(&["10.0.0.1", "169.254.169.254"]).await;
    assert_eq!(kind(&blocked), Some(ErrorKind::Blocked));
    assert!(asking(&["10.0.0.1", "127.0.0.1"]).await.is_success());
    assert_eq!(kind(&asking(&[]).await), Some(ErrorKind::Dns));
    assert_eq!(kind(&send(&client(), "http://no-such-host.invalid/").await), Some(ErrorKind::Dns));
    for literal in ["http://10.0.0.1/", "http://[::1]/", "http://[::ffff:10.0.0.1]/"] {
        assert_eq!(kind(&send(&client(), literal).await), Some(ErrorKind::Blocked), "{literal}");
    }
}

#[tokio::test]
async fn an_unreachable_address_does_not_delay_the_next_one() {
    let receiver = RawReceiver::start(Habit::Says(OK)).await;
    let _held = black_hole(3, receiver.port()).await;
    let client = client_with(Names::lead_to(&["127.0.0.3", "127.0.0.4", "127.0.0.1"]), None, LONG_LIFE);
    let begun = Instant::now();
    expect(&client, &format!("http://crm.example:{}/", receiver.port()), 200).await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_slow_tls_handshake_leaves_time_for_the_next_address() {
    let authority = Authority::default();
    let certificate = authority.certificate_for("crm.example");
    let good = RawReceiver::start_tls(Habit::Says(OK), &certificate).await;
    for (host, habit) in [("127.0.0.5", Habit::Slow(None)), ("127.0.0.6", Habit::ClosesAtTheFirst)] {
        let address = format!("{host}:{}", good.port()).parse().unwrap();
        let bad = RawReceiver::start_at(address, habit, None).await;
        let client = client_with(Names::lead_to(&[host, "127.0.0.1"]), Some(&authority), LONG_LIFE);
        let url = format!("https://crm.example:{}/", good.port());
        let outcome = send_body(&client, &url, b"{}".to_vec(), Duration::from_secs(2)).await;
        assert!(outcome.is_success(), "{outcome:?}");
        assert_eq!(bad.connections(), 1);
    }
}

#[tokio::test]
async fn a_handshake_may_take_as_long_as_the_request() {
    let authority = Authority::default();
    let certificate = authority.certificate_for("localhost");
    let slow = RawReceiver::start_tls(Habit::Slow(Some(Duration::from_millis(700))), &certificate).await;
    expect(&client_trusting(&authority), &slow.url(), 200).await;
    let dead = RawReceiver::start_tls(Habit::Slow(None), &certificate).await;
    let outcome = send_body(&client_trusting(&authority), &dead.url(), vec![], Duration::from_millis(300)).await;
    assert_eq!(outcome.webhook_response(), "no TLS handshake within 300ms");
}

#[derive(Debug)]
struct OutOfFilesResolver;

impl Resolve for OutOfFilesResolver {
    fn resolve<'a>(&'a self, _: &'a AccountId, host: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, LookupError>> {
        let source = nix::errno::Errno::EMFILE.into();
        std::future::ready(Err(LookupError::OutOfFiles { host: host.to_owned(), source })).boxed()
    }
}

#[tokio::test]
async fn a_lack_of_files_is_not_a_failure_of_the_receiver() {
    let client = client_with(Arc::new(OutOfFilesResolver), None, LONG_LIFE);
    let url = "http://example.com/".parse().unwrap();
    let request = Request {
        method: http::Method::POST,
        url,
        headers: HeaderMap::new(),
        body: vec![].into(),
        redaction: Redaction::default(),
        route: None,
        grant: None,
    };
    let error = client.send(&"acme".parse().unwrap(), &request, SOON).await.unwrap_err();
    let text = format!("{:#}", anyhow::Error::from(error));
    assert!(text.contains("ulimit") && text.contains("Too many open files"), "{text}");
}
