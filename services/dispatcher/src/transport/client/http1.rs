//! One HTTP/1.1 connection. The task of the attempt drives it, so an exchange wakes no other task.

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{
    Response, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{Builder, Connection, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{
    socket::{ReceivedBytes, Socket},
    stream::{Stream, peer_of},
};
use crate::transport::answer::MAX_BODY_READ;

type Driver = Connection<TokioIo<Socket<Stream>>, Full<Bytes>>;

/// An HTTP/1.1 connection. It serves one request at a time.
#[derive(Debug)]
pub(super) struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    /// `None` after the connection has ended.
    driver: Option<Driver>,
    received: ReceivedBytes,
    pub(super) peer: Option<SocketAddr>,
    pub(super) opened_at: Instant,
    pub(super) idle_since: Instant,
}

impl Http1 {
    /// Parses answers leniently, like browsers and curl, so that answers of old servers count.
    pub(super) async fn over(stream: Stream) -> hyper::Result<Self> {
        let (received, now) = (ReceivedBytes::default(), Instant::now());
        let peer = peer_of(&stream);
        let (sender, driver) = Builder::new()
            .allow_spaces_after_header_name_in_responses(true)
            .allow_obsolete_multiline_headers_in_responses(true)
            .ignore_invalid_headers_in_responses(true)
            .handshake(TokioIo::new(Socket::new(stream, received.clone())))
            .await?;
        Ok(Self { sender, driver: Some(driver), received, peer, opened_at: now, idle_since: now })
    }

    /// Whether the connection can take another request. An idle connection is not driven, so its end is noticed here.
    pub(super) fn is_usable(&mut self) -> bool {
        let Some(driver) = &mut self.driver else { return false };
        let alive = Pin::new(driver).poll(&mut Context::from_waker(Waker::noop())).is_pending();
        alive && !self.sender.is_closed()
    }

    /// Whether no byte of an answer to the latest request has arrived.
    pub(super) fn is_unanswered(&self) -> bool {
        self.received.is_zero()
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn exchange(&mut self, request: http::Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        self.received.reset();
        let sending = self.sender.send_request(request);
        driven(&mut self.driver, sending).await
    }

    /// Appends the beginning of an answer's body. Returns whether the connection can be used again. Cancel-safe.
    pub(super) async fn read(&mut self, response: Response<Incoming>, beginning: &mut Vec<u8>) -> bool {
        let (status, unread) = (response.status(), announces_body(&response));
        let mut body = response.into_body();
        loop {
            match driven(&mut self.driver, body.frame()).await {
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default();
                    beginning.extend_from_slice(&data[..data.len().min(MAX_BODY_READ - beginning.len())]);
                    if beginning.len() == MAX_BODY_READ && !hyper::body::Body::is_end_stream(&body) {
                        return false;
                    }
                }
                Some(Err(_)) => return false,
                None => break,
            }
        }
        // These answers have no body (RFC 9112, 6.3). If a server sends one, it would be read as the next answer.
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        !(bodiless && unread) && driven(&mut self.driver, self.sender.ready()).await.is_ok()
    }
}

fn announces_body(response: &Response<Incoming>) -> bool {
    let length = response.headers().get(CONTENT_LENGTH);
    length.is_some_and(|length| length != "0") || response.headers().contains_key(TRANSFER_ENCODING)
}

/// Drives the connection while a future that depends on it is awaited.
async fn driven<T>(driver: &mut Option<Driver>, awaited: impl Future<Output = T>) -> T {
    let mut awaited = pin!(awaited);
    std::future::poll_fn(|cx| {
        // The awaited future gets the error of the connection.
        if driver.as_mut().is_some_and(|driver| Pin::new(driver).poll(cx).is_ready()) {
            *driver = None;
        }
        match awaited.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            ready => ready,
        }
    })
    .await
}
