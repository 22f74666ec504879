//! Connections that send nothing or half a request, and honest clients beside them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use api::DeliveryStatus;
use testkit::{Process, Receiver, tls::Authority, wait};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
};
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    tls::{addresses, trusting},
    usage::open_files,
    world::{Home, SOON, World, event_json, web},
};

const PROMPTLY: Duration = Duration::from_secs(3);
/// The interim answer of a server that begins to read a body announced by `Expect` (RFC 9110, 10.1.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

fn address_of(url: &str) -> SocketAddr {
    url.split_once("://").unwrap().1.parse().unwrap()
}

/// Opens a connection and sends only this. `host` is the last part of the client's address.
pub(crate) async fn half_sent(url: &str, sent: &[u8], host: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    let mut stream = socket.connect(address_of(url)).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream
}

/// Waits until the server closes the connection, and returns what it sent.
async fn closed(case: &str, mut stream: TcpStream) -> String {
    let mut text = vec![];
    let read = tokio::time::timeout(SOON, stream.read_to_end(&mut text)).await;
    // A reset closes the connection, too.
    let _ = read.unwrap_or_else(|_| panic!("{case}: the connection is still open"));
    String::from_utf8_lossy(&text).into_owned()
}

fn is_closed(stream: &TcpStream) -> bool {
    loop {
        match stream.try_read(&mut [0; 1024]) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
}

fn with_body(key: &str, length: usize) -> Vec<u8> {
    format!("POST /v1/leads HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n{{")
        .into_bytes()
}

#[tokio::test]
pub(crate) async fn half_sent_requests_leave_connections_to_honest_clients() {
    const FILES: usize = 400;
    const ATTACKERS: usize = 500;
    let home = Home::new();
    let limit = format!("--nofile={FILES}:{FILES}");
    let process = home.up_under(&["prlimit", &limit], &[], &[]);
    let world = World::attach(home, process).await;
    world.set_up().await;
    let receiver = Receiver::start().await;
    world.destination(&receiver.url()).await;
    let before = open_files(&world.process);
    let mut attackers = vec![];
    for n in 0..ATTACKERS {
        let host = if n % 3 == 0 { 2 } else { 1 };
        let (url, sent): (_, &[u8]) = match n % 5 {
            0 => (&world.http, b"POST /v1/leads HTT"),
            1 => (&world.http, b""),
            2 => (&world.http, b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: "),
            3 => (&world.grpc, &PREFACE[..10]),
            _ => (&world.grpc, PREFACE),
        };
        attackers.push(half_sent(url, sent, host).await);
    }
    for n in 0..5 {
        // Each on a new connection: a late client does not wait behind the early ones.
        let body = event_json(&format!("e{n}")).to_string();
        let request = web().post(format!("{}/v1/leads", world.http)).bearer_auth(&world.key).body(body);
        let answer = tokio::time::timeout(PROMPTLY, request.send()).await.expect("an answer in time").unwrap();
        assert_eq!(answer.status().as_u16(), 202);
        world.delivery_is(&format!("e{n}"), DeliveryStatus::Succeeded).await;
    }
    let now = open_files(&world.process);
    assert!(now <= before + FILES / 4 + 10, "{now} files are open, {before} before");
    let output = world.process.output();
    assert!(output.contains("--max-connections") && !output.contains("Too many open files"), "{output}");
    drop(attackers);
}

#[tokio::test]
async fn incomplete_requests_are_closed_at_their_deadlines() {
    let short = ["--header-timeout", "--body-timeout", "--keepalive-interval", "--keepalive-timeout"];
    let short = short.iter().flat_map(|flag| [*flag, "700ms"]);
    let args: Vec<_> = short.chain(["--idle-timeout", "2s"]).collect();
    let world = World::start_with(&args, &[]).await;
    let healthz = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let cases: [(&str, &str, Vec<u8>, &str); 10] = [
        ("silent", &world.http, vec![], ""),
        ("half a request line", &world.http, b"POST /v1/leads HTT".to_vec(), ""),
        ("half a head", &world.http, b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: ".to_vec(), ""),
        ("half a body with a key", &world.http, with_body(&world.key, 100), "--body-timeout"),
        ("half a body without a key", &world.http, with_body("ll_none", 100), "401 Unauthorized"),
        ("idle after a request", &world.http, healthz.to_vec(), "200 OK"),
        ("half a second request", &world.http, [&healthz[..], b"GET /hea"].concat(), "200 OK"),
        ("silent gRPC", &world.grpc, vec![], ""),
        ("half a preface", &world.grpc, PREFACE[..10].to_vec(), ""),
        ("HTTP/2 that answers no PING", &world.grpc, [PREFACE, EMPTY_SETTINGS].concat(), ""),
    ];
    let cases = cases.map(async |(case, url, sent, expected)| {
        let text = closed(case, half_sent(url, &sent, 1).await).await;
        assert!(text.contains(expected), "{case}: {text}");
    });
    // A head that arrives byte by byte ends at the deadline of the whole head.
    let dripping = async {
        let mut stream = half_sent(&world.http, b"GET /healthz HTTP/1.1\r\n", 1).await;
        let began = Instant::now();
        while stream.write_all(b"x").await.is_ok() {
            assert!(began.elapsed() < SOON, "the connection is still open");
            tokio::task::yield_now().await;
            let _ = tokio::time::timeout(Duration::from_millis(50), stream.readable()).await;
            if is_closed(&stream) {
                break;
            }
        }
    };
    let honest = async {
        // Established connections continue: an idle one is kept longer than the head deadline.
        world.publish("e1").await;
        let began = Instant::now();
        wait::until("longer than a head may take", SOON, async || {
            (began.elapsed() > Duration::from_secs(1)).then_some(())
        })
        .await;
        world.publish("e2").await;
        world.status().get_status(api::GetStatusRequest::default()).await.unwrap();
    };
    tokio::join!(futures::future::join_all(cases), dripping, honest);
}

#[tokio::test]
async fn stop_ignores_half_open_requests_and_finishes_uploads() {
    let world = World::start().await;
    let mut open = vec![];
    for sent in [b"POST /v1/leads HTT".to_vec(), vec![], with_body(&world.key, 100), with_body("ll_none", 100)] {
        open.push(half_sent(&world.http, &sent, 1).await);
    }
    for sent in [vec![], PREFACE.to_vec(), [PREFACE, EMPTY_SETTINGS].concat()] {
        open.push(half_sent(&world.grpc, &sent, 1).await);
    }
    let body = event_json("slow").to_string();
    let head = String::from_utf8(with_body(&world.key, body.len())).unwrap();
    let head = head.replacen("\r\n", "\r\nexpect: 100-continue\r\n", 1).into_bytes();
    let mut upload = half_sent(&world.http, &head, 1).await;
    let mut interim = [0; CONTINUE.len()];
    upload.read_exact(&mut interim).await.unwrap();
    assert_eq!(interim, *CONTINUE, "the server reads the body");
    world.process.terminate();
    let began = Instant::now();
    let (first, rest) = body.as_bytes()[1..].split_at(20);
    for byte in first {
        let _ = tokio::time::timeout(Duration::from_millis(50), upload.readable()).await;
        upload.write_all(&[*byte]).await.unwrap();
    }
    upload.write_all(rest).await.unwrap();
    assert!(closed("an upload", upload).await.starts_with("HTTP/1.1 202"));
    assert_eq!(world.process.wait_exit(SOON).await.code(), Some(0), "{}", world.process.output());
    assert!(began.elapsed() < Duration::from_secs(6), "the end took {:?}", began.elapsed());
}

#[tokio::test]
async fn silent_tls_connections_do_not_delay_other_clients() {
    const SILENT: usize = 800;
    runtime::files::make_room();
    let (authority, home) = (Authority::default(), Home::new());
    let files = authority.files_for(&["localhost", "127.0.0.1"]);
    let (certificate, key) = files.names();
    let process: Process = home.up(&["--tls-cert", certificate, "--tls-key", key], &[]);
    let (http, _) = addresses(&process).await;
    let before = open_files(&process);
    let mut silent = vec![];
    for _ in 0..SILENT {
        silent.push(half_sent(&http, b"", 1).await);
    }
    for _ in 0..5 {
        let asked = trusting(&authority).get(format!("{http}/healthz")).send();
        let answer = tokio::time::timeout(Duration::from_secs(1), asked).await.expect("an answer in time").unwrap();
        assert_eq!(answer.status().as_u16(), 200);
    }
    // The oldest ended when the limit was reached, all others at their deadline.
    wait::until("the handshakes to end", Duration::from_secs(8), async || {
        (open_files(&process) <= before + 10).then_some(()).ok_or(open_files(&process))
    })
    .await;
    wait::until("the clients to notice", SOON, async || silent.iter().all(is_closed).then_some(())).await;
}

#[tokio::test]
async fn streams_without_a_key_are_limited() {
    let world = World::start_with(&["--max-probes", "20", "--max-streams", "50"], &[]).await;
    assert_eq!(max_streams_of(&world.grpc).await, 50);
    let connect =
        async || HealthClient::new(Channel::from_shared(world.grpc.clone()).unwrap().connect().await.unwrap());
    let mut open = vec![];
    for n in 0..11 {
        let mut client = connect().await;
        for _ in 0..2 {
            match client.watch(HealthCheckRequest::default()).await {
                Ok(watch) => open.push(watch),
                Err(status) => {
                    assert_eq!((n, open.len(), status.code()), (10, 20, Code::ResourceExhausted));
                    assert!(
                        status.message().contains("limit of 20 health watches and reflection streams at this server")
                    );
                    assert!(status.message().contains("--max-probes"), "{status}");
                }
            }
        }
        if n < 10 {
            let status = client.watch(HealthCheckRequest::default()).await.unwrap_err();
            assert!(status.message().contains("limit of 2 health watches and reflection streams on this connection"));
        }
        client.check(HealthCheckRequest::default()).await.unwrap();
    }
    assert_eq!(open.len(), 20);
    world.status().get_status(api::GetStatusRequest::default()).await.unwrap();
    open.truncate(18);
    wait::until("room again", SOON, async || connect().await.watch(HealthCheckRequest::default()).await.ok()).await;
}

/// The limit of concurrent streams on a connection (RFC 9113, 6.5.2).
async fn max_streams_of(url: &str) -> u32 {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let mut stream = half_sent(url, &[PREFACE, EMPTY_SETTINGS].concat(), 1).await;
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.unwrap();
    let mut settings = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    stream.read_exact(&mut settings).await.unwrap();
    let found = settings.chunks(6).find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes());
    u32::from_be_bytes(found.expect("a limit of streams")[2..].try_into().unwrap())
}
