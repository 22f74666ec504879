//! Calls of the gRPC routes of this process.
//!
//! gRPC and Connect put the same five bytes before a message of a stream: flags, and the length (big-endian). So
//! [`Frames`] reads the answers of the routes and the streams of callers.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version, header, request::Parts};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt as _, StreamBody};
use runtime::Late;
use tonic::Status;
use tower::ServiceExt as _;

/// The maximum size of a request message, in bytes: the limit of tonic for gRPC.
pub(crate) const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// How many bytes of a refused request are read. Without reading, a client that is still sending sees a broken
/// connection instead of the answer.
const MAX_DISCARDED: usize = 256 * 1024;
/// How long the rest of a refused request is read. A client without a key must not keep a connection for longer.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);
/// The bytes before a message.
const PREFIX: usize = 5;
/// Headers of the HTTP request that do not apply to the gRPC request. HTTP/2 forbids the first three.
const NOT_PASSED_ON: [HeaderName; 10] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
    header::EXPECT,
    header::CONTENT_LENGTH,
    header::CONTENT_ENCODING,
    header::ACCEPT_ENCODING,
    header::ACCEPT,
    header::TE,
];

/// Calls a method with these messages. The routes pull the messages after they have accepted the API key.
pub(crate) async fn call(
    grpc: Router,
    parts: &Parts,
    messages: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> Response<Body> {
    let frames = messages.map(|message| message.map(|message| Frame::data(prefixed(0, &message))));
    let mut request = Request::new(Body::new(StreamBody::new(frames)));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = parts.uri.path().parse().unwrap_or_default();
    *request.extensions_mut() = parts.extensions.clone();
    *request.headers_mut() = parts.headers.clone();
    let headers = request.headers_mut();
    NOT_PASSED_ON.iter().for_each(|name| drop(headers.remove(name)));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    let Ok(answer) = grpc.oneshot(request).await;
    answer
}

/// A message with its prefix.
pub(crate) fn prefixed(flags: u8, message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(flags);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

/// Reads the messages of a body.
#[derive(Debug)]
pub(crate) struct Frames<B> {
    body: B,
    buffer: BytesMut,
    max: usize,
    trailers: HeaderMap,
}

/// A message of a stream.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) flags: u8,
    pub(crate) bytes: Bytes,
}

impl<B> Frames<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + 'static,
{
    /// Reads messages of at most `max` bytes.
    pub(crate) fn new(body: B, max: usize) -> Self {
        Self { body, buffer: BytesMut::new(), max, trailers: HeaderMap::new() }
    }

    /// The next message; `None` at the end of the body.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Status> {
        loop {
            if let Some(message) = self.buffered()? {
                return Ok(Some(message));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().unwrap_or_default(),
                },
                Some(Err(error)) => return Err(broken(&error)),
                None if self.buffer.is_empty() => return Ok(None),
                None => return Err(Status::invalid_argument("body: ends within a message")),
            }
        }
    }

    fn buffered(&mut self) -> Result<Option<Message>, Status> {
        let Some((mut prefix, _)) = self.buffer.split_at_checked(PREFIX) else { return Ok(None) };
        let (flags, length) = (prefix.get_u8(), prefix.get_u32() as usize);
        if length > self.max {
            return Err(too_large(self.max));
        }
        if self.buffer.len() < PREFIX + length {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        Ok(Some(Message { flags, bytes: self.buffer.split_to(length).freeze() }))
    }

    /// The trailers, once the body has ended.
    pub(crate) fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }
}

/// The refusal of a message of more than `max` bytes.
pub(crate) fn too_large(max: usize) -> Status {
    Status::resource_exhausted(format!("the request has a message of more than {max} bytes, which is the limit"))
}

/// The status of a request whose body broke off.
fn broken(error: &(dyn std::error::Error + 'static)) -> Status {
    match Late::of(error) {
        Some(late) => late.status(),
        None => Status::cancelled("the body of the request broke off"),
    }
}

/// The body of an HTTP request. Clones read the same body, so that a clone can discard what the routes have not read.
#[derive(Debug, Clone)]
pub(crate) struct SharedBody(Arc<Mutex<Body>>);

impl SharedBody {
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    /// Reads the whole body, of at most `max` bytes.
    pub(crate) async fn read(mut self, max: usize) -> Result<Bytes, Status> {
        let mut read = BytesMut::new();
        while let Some(frame) = self.frame().await {
            let frame = frame.map_err(|error| broken(&error))?;
            if let Ok(data) = frame.into_data() {
                if read.len() + data.len() > max {
                    return Err(too_large(max));
                }
                read.extend_from_slice(&data);
            }
        }
        Ok(read.freeze())
    }

    /// Reads and drops the rest of a refused request.
    pub(crate) async fn discard(mut self) {
        let mut length = 0;
        let reading = async {
            while let Some(Ok(frame)) = self.frame().await {
                length += frame.data_ref().map_or(0, Bytes::len);
                if length > MAX_DISCARDED {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(DISCARD_TIMEOUT, reading).await;
    }
}

impl http_body::Body for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}
