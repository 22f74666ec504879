//! Tests of reused connections, and of those that end.

use futures::future::join_all;
use testkit::{
    wait,
    zoo::{Habit, Http2Habit, Http2Receiver, Proxy, RawReceiver},
};

use super::*;

#[tokio::test]
async fn an_ended_reused_connection_is_replaced_at_once() {
    for habit in [Habit::ClosesAtTheSecond, Habit::ResetsAtTheSecond] {
        let (client, receiver) = (client(), RawReceiver::start(habit.clone()).await);
        for _ in 0..3 {
            expect(&client, &receiver.url(), 200).await;
        }
        // The receiver read one request over each connection, and ended the connection at the next request.
        assert_eq!(receiver.requests().len(), 3, "{habit:?}");
        assert_eq!(receiver.connections(), 3, "{habit:?}");
    }
}

#[tokio::test]
async fn an_ended_new_connection_or_broken_answer_is_a_failure() {
    let (client, first) = (client(), RawReceiver::start(Habit::ClosesAtTheFirst).await);
    assert_eq!(kind(&send(&client, &first.url()).await), Some(ErrorKind::Reset));
    assert_eq!(first.connections(), 1);
    let second = RawReceiver::start(Habit::BreaksOffAtTheSecond).await;
    expect(&client, &second.url(), 200).await;
    assert_eq!(kind(&send(&client, &second.url()).await), Some(ErrorKind::Reset));
    assert_eq!((second.connections(), second.requests().len()), (1, 2), "a partly answered request is not sent again");
}

#[tokio::test]
async fn a_silently_closed_connection_loses_no_request() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let (client, receiver) = (client(), RawReceiver::start(Habit::SaysAndCloses(ANSWER)).await);
    for _ in 0..50 {
        expect(&client, &receiver.url(), 200).await;
    }
    assert_eq!(receiver.requests().len(), 50);
}

#[tokio::test]
async fn a_connection_is_reused_until_it_was_idle_too_long() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let (client, receiver) = (client(), RawReceiver::start(Habit::Says(ANSWER)).await);
    for _ in 0..3 {
        expect(&client, &receiver.url(), 200).await;
    }
    assert_eq!(receiver.connections(), 1);
    client.pool.sweep_once(Instant::now() + Duration::from_secs(29));
    expect(&client, &receiver.url(), 200).await;
    client.pool.sweep_once(Instant::now() + Duration::from_secs(31));
    assert!(client.pool.is_empty());
    expect(&client, &receiver.url(), 200).await;
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_connection_has_a_maximum_age() {
    const A: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
    const B: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb";
    let old = RawReceiver::start(Habit::Says(A)).await;
    let new = RawReceiver::start_at(format!("127.0.0.2:{}", old.port()).parse().unwrap(), Habit::Says(B), None).await;
    let names = Names::lead_to(&["127.0.0.1"]);
    let client = client_with(Arc::clone(&names) as Arc<dyn Resolve>, None, Duration::from_millis(200));
    let url = format!("http://crm.example:{}/", old.port());
    assert_eq!(expect(&client, &url, 200).await, "a");
    names.move_to(&["127.0.0.2"]);
    // Steady traffic: the connection is never idle.
    wait::until("the new address to be asked", SOON, async || expect(&client, &url, 200).await == "b").await;
    assert_eq!((old.connections(), new.connections()), (1, 1));
    assert_eq!(names.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn refused_http2_requests_are_sent_again() {
    let authority = Authority::default();
    let certificate = authority.certificate_for("localhost");
    for habit in [
        Http2Habit { refuses_after: Some(1), ..Http2Habit::default() },
        Http2Habit { leaves_after: Some(1), ..Http2Habit::default() },
    ] {
        let (client, receiver) = (client_trusting(&authority), Http2Receiver::start(habit, &certificate).await);
        for _ in 0..3 {
            expect(&client, &receiver.url(), 200).await;
        }
        assert_eq!((receiver.answered().len(), receiver.connections()), (3, 3), "{habit:?}");
    }
}

#[tokio::test]
async fn a_connection_is_not_reused_after_a_timeout() {
    let authority = Authority::default();
    let certificate = authority.certificate_for("localhost");
    let receiver = Http2Receiver::start(Http2Habit::default(), &certificate).await;
    let (client, proxy) = (client_trusting(&authority), Proxy::start(receiver.address()).await);
    expect(&client, &proxy.url(), 200).await;
    expect(&client, &proxy.url(), 200).await;
    assert_eq!(proxy.connections(), 1);
    proxy.freeze();
    let short = send_body(&client, &proxy.url(), vec![], Duration::from_millis(300)).await;
    assert_eq!(kind(&short), Some(ErrorKind::Timeout));
    expect(&client, &proxy.url(), 200).await;
    assert_eq!(proxy.connections(), 2);
}

#[tokio::test]
async fn no_request_waits_for_a_stream() {
    let authority = Authority::default();
    let certificate = authority.certificate_for("localhost");
    let pause = Duration::from_millis(500);
    for (streams, max) in [(Some(1), 16), (Some(8), 4), (None, 1)] {
        let habit = Http2Habit { streams, pause, ..Http2Habit::default() };
        let (client, receiver) = (client_trusting(&authority), Http2Receiver::start(habit, &certificate).await);
        // One after another, the requests would take eight seconds.
        let timeout = Duration::from_secs(5);
        let url = receiver.url();
        let sending = (0..16).map(|_| send_body(&client, &url, b"{}".to_vec(), timeout));
        let outcomes = join_all(sending).await;
        assert!(outcomes.iter().all(AttemptOutcome::is_success), "{streams:?}: {outcomes:?}");
        assert!(receiver.connections() <= max, "{streams:?}: {} connections", receiver.connections());
    }
}

#[tokio::test]
async fn a_receiver_that_chose_http2_may_require_http1() {
    let authority = Authority::default();
    let habit = Http2Habit { wants_http1: true, ..Http2Habit::default() };
    let receiver = Http2Receiver::start(habit, &authority.certificate_for("localhost")).await;
    let client = client_trusting(&authority);
    expect(&client, &receiver.url(), 200).await;
    expect(&client, &receiver.url(), 200).await;
    assert_eq!((receiver.answered().len(), receiver.connections()), (2, 2), "HTTP/2 is offered once");
}
