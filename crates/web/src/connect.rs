//! The Connect protocol (<https://connectrpc.com/docs/protocol>).
//!
//! The request and the answer of a unary method are one message each, as a plain HTTP body. A stream is a body of
//! messages with prefixes. Its last message holds the error, or nothing. A method that changes nothing can be called
//! with GET.

mod errors;
mod request;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use prost_reflect::MethodDescriptor;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Status};

pub(crate) use self::errors::refused;
use self::{
    errors::Shown,
    request::{Codec, Encoding, deadline, query},
};
use crate::{
    call::{Frames, MAX_MESSAGE, SharedBody, call, prefixed},
    methods::{changes_nothing, is_unary},
};

/// Marks a compressed message of a stream.
const COMPRESSED: u8 = 1;
/// Marks the last message of a stream.
const END: u8 = 2;
/// The media types that a refusal lists (`Accept-Post`).
const ACCEPTED: &str = "application/json, application/proto, application/connect+json, application/connect+proto, \
                        application/grpc-web, application/grpc-web+proto, application/grpc-web-text, \
                        application/grpc-web-text+proto";
/// The header with the status of a gRPC answer.
const GRPC_STATUS: &str = "grpc-status";

/// A method of the API, for a call by Connect.
#[derive(Debug)]
pub(crate) struct Connect {
    pub(crate) method: MethodDescriptor,
    pub(crate) grpc: Router,
}

/// The answer to a call that does not reach the routes.
type Ended = Box<Response>;

impl Connect {
    /// The HTTP methods with which this method of the API may be called.
    pub(crate) fn allowed(&self) -> &'static str {
        if is_unary(&self.method) && changes_nothing(&self.method) { "GET, POST" } else { "POST" }
    }

    pub(crate) async fn answer(self, request: Request, media_type: &str) -> Response {
        let (parts, body) = request.into_parts();
        let answered = match (&parts.method, is_unary(&self.method)) {
            (&Method::GET, _) => self.by_get(&parts).await,
            (_, true) => self.unary(&parts, body, media_type).await,
            (_, false) => self.streaming(parts, body, media_type).await,
        };
        answered.unwrap_or_else(|ended| *ended)
    }

    async fn by_get(&self, parts: &Parts) -> Result<Response, Ended> {
        if self.allowed() == "POST" {
            return Err(ended((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, self.allowed())])));
        }
        let (codec, message) = query(parts.uri.query().unwrap_or_default()).map_err(|e| ended(refused(&e)))?;
        let input = self.method.input();
        let messages = stream::once(async move { codec.to_protobuf(message, input) });
        let deadline = deadline(&parts.headers).map_err(|e| ended(refused(&e)))?;
        let (answer, _) = self.one_answer(parts, messages, codec, deadline).await;
        Ok(answer)
    }

    async fn unary(&self, parts: &Parts, body: Body, media_type: &str) -> Result<Response, Ended> {
        let body = SharedBody::new(body);
        let codec = match media_type {
            "application/json" => Codec::Json,
            "application/proto" => Codec::Protobuf,
            _ => {
                body.discard().await;
                return Err(ended(unknown_media_type(media_type, "application/json or application/proto")));
            }
        };
        let read = || Ok((Encoding::of(&parts.headers, &header::CONTENT_ENCODING)?, deadline(&parts.headers)?));
        let (encoding, deadline) = match read() {
            Ok(read) => read,
            Err(status) => {
                body.discard().await;
                return Err(ended(refused(&status)));
            }
        };
        let (input, unread) = (self.method.input(), body.clone());
        let messages = stream::once(async move {
            let message = encoding.decode(body.read(MAX_MESSAGE).await?, MAX_MESSAGE)?;
            codec.to_protobuf(message, input)
        });
        let (answer, is_refused) = self.one_answer(parts, messages, codec, deadline).await;
        if is_refused {
            unread.discard().await;
        }
        Ok(answer)
    }

    /// The answer of a unary method, and whether it is an error.
    async fn one_answer(
        &self,
        parts: &Parts,
        messages: impl futures::Stream<Item = Result<Bytes, Status>> + Send + 'static,
        codec: Codec,
        deadline: Option<Duration>,
    ) -> (Response, bool) {
        let answering = async {
            let (head, body) = call(self.grpc.clone(), parts, messages).await.into_parts();
            if head.headers.contains_key(GRPC_STATUS) {
                return Err(status_of(&head.headers));
            }
            let mut frames = Frames::new(body, usize::MAX);
            let message = frames.next().await?;
            while frames.next().await?.is_some() {}
            match (status_of(frames.trailers()), message) {
                (status, Some(message)) if status.code() == Code::Ok => {
                    codec.of_protobuf(message.bytes, self.method.output())
                }
                (status, _) => Err(status),
            }
        };
        match within(deadline.map(|left| Instant::now() + left), answering).await.and_then(|answer| answer) {
            Ok(message) => {
                let headers = [(header::CONTENT_TYPE, codec.of_unary()), (header::CACHE_CONTROL, "no-store")];
                ((headers, message).into_response(), false)
            }
            Err(status) => (refused(&status), true),
        }
    }

    async fn streaming(&self, parts: Parts, body: Body, media_type: &str) -> Result<Response, Ended> {
        let body = SharedBody::new(body);
        let codec = match media_type {
            "application/connect+json" => Codec::Json,
            "application/connect+proto" => Codec::Protobuf,
            _ => {
                body.discard().await;
                let expected = "application/connect+json or application/connect+proto, because the method is a stream";
                return Err(ended(unknown_media_type(media_type, expected)));
            }
        };
        let read = || Ok((Encoding::of_stream(&parts.headers)?, deadline(&parts.headers)?));
        let (encoding, deadline) = match read() {
            Ok(read) => read,
            Err(status) => {
                body.discard().await;
                return Ok(stream_of(codec, Body::from(last(&status))));
            }
        };
        let until = deadline.map(|left| Instant::now() + left);
        let messages = requests(body.clone(), self.method.input(), codec, encoding);
        let head_and_body = within(until, call(self.grpc.clone(), &parts, messages)).await;
        let (head, answers) = match head_and_body {
            Ok(answer) => answer.into_parts(),
            Err(status) => return Ok(stream_of(codec, Body::from(last(&status)))),
        };
        if head.headers.contains_key(GRPC_STATUS) {
            body.discard().await;
            return Ok(stream_of(codec, Body::from(last(&status_of(&head.headers)))));
        }
        Ok(stream_of(codec, Body::from_stream(self.answers(answers, codec, until))))
    }

    /// The messages of an answer, and after them the one that ends the stream.
    fn answers(
        &self,
        answers: Body,
        codec: Codec,
        until: Option<Instant>,
    ) -> impl futures::Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + use<> {
        let output = self.method.output();
        let frames = Frames::new(answers, usize::MAX);
        stream::unfold(Some(frames), move |frames| {
            let output = output.clone();
            async move {
                let mut frames = frames?;
                let next = within(until, frames.next()).await.and_then(|next| next);
                let message = match next {
                    Ok(Some(message)) => codec.of_protobuf(message.bytes, output),
                    Ok(None) => Err(status_of(frames.trailers())),
                    Err(status) => Err(status),
                };
                Some(match message {
                    Ok(message) => (Ok(prefixed(0, &message)), Some(frames)),
                    Err(status) => (Ok(last(&status)), None),
                })
            }
        })
    }
}

/// The messages of a stream of requests.
fn requests(
    body: SharedBody,
    input: prost_reflect::MessageDescriptor,
    codec: Codec,
    encoding: Encoding,
) -> impl futures::Stream<Item = Result<Bytes, Status>> + Send + 'static {
    stream::try_unfold(Frames::new(body, MAX_MESSAGE), move |mut frames| {
        let input = input.clone();
        async move {
            let Some(message) = frames.next().await? else { return Ok(None) };
            let bytes = match message.flags {
                0 => message.bytes,
                COMPRESSED => encoding.decode(message.bytes, MAX_MESSAGE)?,
                flags => return Err(api::status::invalid("body", format!("a message has the unknown flags {flags}"))),
            };
            Ok(Some((codec.to_protobuf(bytes, input)?, frames)))
        }
    })
}

fn stream_of(codec: Codec, body: Body) -> Response {
    ([(header::CONTENT_TYPE, codec.of_stream()), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

/// The message that ends a stream.
fn last(status: &Status) -> Bytes {
    let end = match status.code() {
        Code::Ok => serde_json::json!({}),
        _ => serde_json::json!({"error": Shown::of(status)}),
    };
    prefixed(END, end.to_string().as_bytes())
}

/// The status in these headers or trailers of gRPC.
fn status_of(headers: &http::HeaderMap) -> Status {
    Status::from_header_map(headers).unwrap_or_else(|| Status::unavailable("the answer broke off; repeat the call"))
}

async fn within<T>(until: Option<Instant>, work: impl Future<Output = T>) -> Result<T, Status> {
    match until {
        None => Ok(work.await),
        Some(until) => timeout_at(until, work)
            .await
            .map_err(|_| Status::deadline_exceeded("the time that connect-timeout-ms allows is over")),
    }
}

fn unknown_media_type(given: &str, expected: &str) -> Response {
    let given = domain::text::quoted(given);
    let status = api::status::invalid("content-type", format!("{given} is not {expected}"));
    let mut answer = refused(&status);
    *answer.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    answer.headers_mut().insert("accept-post", HeaderValue::from_static(ACCEPTED));
    answer
}

fn ended(answer: impl IntoResponse) -> Ended {
    Box::new(answer.into_response())
}
