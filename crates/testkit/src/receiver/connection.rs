//! One connection of a receiver: HTTP where possible, and the bare socket for the rest.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
};
use tokio_rustls::server::TlsStream;

use super::shared::{Answer, Seen, Shared};

/// The maximum size of the body of a request, in bytes. A longer body breaks its connection.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The pause between two slow headers, and the time for written bytes to arrive.
const DRIP: Duration = Duration::from_millis(50);

/// How a connection ends if the bare socket answers.
#[derive(Debug)]
enum Break {
    Reset,
    Garbage,
    DripHeaders,
    ResetInBody,
}

/// A stream for HTTP on top of a TCP connection.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Socket for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Socket for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// Serves one connection to its end. A kept-alive connection can be broken at any request, not only at the first.
pub(super) async fn serve(stream: impl Socket, shared: Arc<Shared>) {
    let (breaks, mut broken) = mpsc::channel(1);
    let service = service_fn(move |request| respond(request, Arc::clone(&shared), breaks.clone()));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let how = tokio::select! {
        // An error of the client's connection is not a failure of the receiver.
        _ = &mut connection => return,
        Some(how) = broken.recv() => how,
    };
    let mut stream = connection.into_parts().io.into_inner();
    match how {
        // A close with a linger time of zero sends RST instead of FIN.
        Break::Reset => stream.tcp().set_zero_linger().expect("the connection can be reset"),
        Break::Garbage => {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2 what do you want\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
        Break::DripHeaders => drip_headers(stream).await,
        Break::ResetInBody => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nthe beginning").await;
            let _ = stream.flush().await;
            // Otherwise the reset overtakes the written bytes.
            tokio::time::sleep(DRIP).await;
            stream.tcp().set_zero_linger().expect("the connection can be reset");
        }
    }
}

/// Waits until the client gives up.
async fn drip_headers(mut stream: impl Socket) {
    let mut dripping = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
    while dripping.is_ok() {
        tokio::time::sleep(DRIP).await;
        dripping = stream.write_all(b"x-drip: drop\r\n").await;
    }
}

type Body = BoxBody<Bytes, std::convert::Infallible>;

/// Answers a request. A request whose body is incomplete or too long is not counted.
async fn respond(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    breaks: mpsc::Sender<Break>,
) -> Result<Response<Body>, Box<dyn Error + Send + Sync>> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await?.to_bytes();
    let seen = Seen {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        body: body.clone(),
        at: Instant::now(),
    };
    let answer = shared.take(seen);
    let _waiting = Waiting(Arc::clone(&shared));
    Ok(perform(answer, body, &shared, &breaks).await)
}

/// Counts a request as waiting until it is answered or dropped.
struct Waiting(Arc<Shared>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.state().in_flight -= 1;
    }
}

async fn perform(mut answer: Answer, request: Bytes, shared: &Shared, breaks: &mpsc::Sender<Break>) -> Response<Body> {
    while let Answer::After(pause, then) = answer {
        tokio::time::sleep(pause).await;
        answer = *then;
    }
    match answer {
        Answer::Status(status) => response(status, vec![], format!("status {status}\n").into()),
        Answer::With(status, headers, body) => response(status, headers, body),
        Answer::Echo(status) => response(status, vec![], request),
        Answer::Gate(status) => {
            let _ = shared.gate.subscribe().wait_for(|open| *open).await;
            response(status, vec![], Bytes::new())
        }
        Answer::Endless => {
            let chunks = futures::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b'x'; 1024]))));
            Response::new(StreamBody::new(chunks).boxed())
        }
        Answer::Reset => break_off(breaks, Break::Reset).await,
        Answer::Garbage => break_off(breaks, Break::Garbage).await,
        Answer::DripHeaders => break_off(breaks, Break::DripHeaders).await,
        Answer::ResetInBody => break_off(breaks, Break::ResetInBody).await,
        Answer::Hang | Answer::After(..) => std::future::pending().await,
    }
}

/// Breaks the connection and waits for that, which ends this request too.
async fn break_off(breaks: &mpsc::Sender<Break>, how: Break) -> Response<Body> {
    let _ = breaks.send(how).await;
    std::future::pending().await
}

fn response(status: u16, headers: Vec<(&'static str, String)>, body: Bytes) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Full::new(body).boxed()).expect("the answer of a test is valid HTTP")
}
