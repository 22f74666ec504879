//! Tests of unusual answers, which browsers and curl accept.

use testkit::zoo::{Habit, RawReceiver};

use super::*;

#[tokio::test]
async fn the_status_counts_even_if_the_body_does_not_end() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\n\r\nok",
    ] {
        let (client, receiver) = (client(), RawReceiver::start(Habit::SaysAndHangs(answer)).await);
        let begun = Instant::now();
        assert_eq!(expect(&client, &receiver.url(), 200).await, "ok");
        let took = begun.elapsed();
        assert!(took >= BODY_TIMEOUT && took < BODY_TIMEOUT * 4, "{took:?}");
        expect(&client, &receiver.url(), 200).await;
        assert_eq!(receiver.connections(), 2, "the connection is dropped");
    }
}

#[tokio::test]
async fn answers_that_browsers_and_curl_accept_are_accepted() {
    let long = [&b"HTTP/1.1 200 OK\r\nx-long: "[..], &[b'x'; 60_000], b"\r\ncontent-length: 2\r\n\r\nok"].concat();
    let cases: [(&str, &'static [u8], u16, &str); 19] = [
        ("folded header", b"HTTP/1.1 200 OK\r\nx-a: one\r\n two\r\n\tthree\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
        ("line feeds alone", b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok", 200, "ok"),
        ("no reason", b"HTTP/1.1 201\r\ncontent-length: 2\r\n\r\nok", 201, "ok"),
        ("empty reason", b"HTTP/1.1 201 \r\ncontent-length: 2\r\n\r\nok", 201, "ok"),
        ("reason in Latin-1", b"HTTP/1.1 200 Erfolgreich \xfcbernommen\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
        ("small letters", b"http/1.1 200 ok\r\nCONTENT-LENGTH: 2\r\n\r\nok", 200, "ok"),
        ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nok", 200, "ok"),
        ("HTTP/1.0 with a length", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok"),
        ("no length", b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nok", 200, "ok"),
        ("continue first", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
        (
            "hints first",
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 202 OK\r\ncontent-length: 2\r\n\r\nok",
            202,
            "ok",
        ),
        (
            "trailers",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n2;a=b\r\nok\r\n0\r\nx: y\r\n\r\n",
            200,
            "ok",
        ),
        ("equal lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
        (
            "length and chunks",
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            200,
            "ok",
        ),
        ("space before the colon", b"HTTP/1.1 200 OK\r\nx-a : b\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
        (
            "a line that is not a header",
            b"HTTP/1.1 200 OK\r\nWarning mysql_connect()\r\ncontent-length: 2\r\n\r\nok",
            200,
            "ok",
        ),
        ("an odd name", b"HTTP/1.1 200 OK\r\nx(a): b\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
        ("an odd status", b"HTTP/1.1 299 Whatever\r\ncontent-length: 2\r\n\r\nok", 299, "ok"),
        ("a long header", long.leak(), 200, "ok"),
    ];
    let client = client();
    for (name, answer, status, says) in cases {
        let receiver = RawReceiver::start(Habit::SaysAndCloses(answer)).await;
        for _ in 0..2 {
            match send(&client, &receiver.url()).await {
                AttemptOutcome::Response { status: seen, excerpt, .. } => {
                    assert_eq!((seen, excerpt.as_str()), (status, says), "{name}");
                }
                outcome => panic!("{name}: {outcome:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_forbidden_body_is_not_read_as_the_next_answer() {
    const ANSWER: &[u8] =
        b"HTTP/1.1 204 No Content\r\ncontent-length: 36\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
    let (client, receiver) = (client(), RawReceiver::start(Habit::Says(ANSWER)).await);
    for _ in 0..5 {
        expect(&client, &receiver.url(), 204).await;
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_counts() {
    const ANSWER: &[u8] = b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig";
    let (client, receiver) = (client(), RawReceiver::start(Habit::SaysBeforeTheBody(ANSWER)).await);
    for _ in 0..5 {
        match send_body(&client, &receiver.url(), vec![b'x'; 8 * 1024 * 1024], SOON).await {
            AttemptOutcome::Response { status: 413, .. } => {}
            outcome => panic!("{outcome:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_a_failure() {
    for (answer, expected) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..], ErrorKind::Protocol),
        (b"+OK POP3 ready\r\n\r\n", ErrorKind::Protocol),
        (b"HTTP/1.1 200 OK\r\nx-a: ", ErrorKind::Reset),
        (b"", ErrorKind::Reset),
    ] {
        let (client, receiver) = (client(), RawReceiver::start(Habit::SaysAndCloses(answer)).await);
        let outcome = send(&client, &receiver.url()).await;
        assert_eq!(kind(&outcome), Some(expected), "{outcome:?}");
    }
}
