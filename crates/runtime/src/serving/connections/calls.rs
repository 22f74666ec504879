//! Calls. A call begins when the head of its request is complete, and ends when its answer is complete. Request bodies
//! have a deadline, and the number of streams that need no API key is limited.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::time::Sleep;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Code, Status};
use tracing::Span;

use super::{DRAIN_SILENCE, Peer, limits::ConnectionLimits, measured::Measured, methods::Methods, server_span};
use crate::{
    chain::causes,
    drain::Drain,
    serving::{
        request_id::{REQUEST_ID, RequestId},
        shares::{Exceeded, Share, Shares},
    },
    trace::Traced as _,
};

/// One connection may have a tenth of all health watches and reflection streams.
const PROBES_DIVISOR: usize = 10;

/// Counts a call of its connection until it is dropped.
#[derive(Debug)]
pub(crate) struct Call(Peer);

impl Call {
    pub(crate) fn begin(peer: &Peer) -> Self {
        peer.0.calls.fetch_add(1, Ordering::Relaxed);
        Self(peer.clone())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.ended_calls.fetch_add(1, Ordering::Relaxed);
        if self.0.0.calls.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.reader.wake();
        }
    }
}

/// Why the rest of a body is no longer awaited.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum Late {
    /// The deadline is over.
    #[error(
        "the body did not arrive within {0:?}, which is the limit (--body-timeout); send it faster or in smaller requests"
    )]
    Deadline(Duration),
    /// The drain has begun, and nothing was received for a while.
    #[error("this server is stopping, and the rest of the body did not arrive; send the request again")]
    GoingDown,
}

impl Late {
    /// Finds [`Late`] among the causes of an error.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        causes(error).find_map(|cause| cause.downcast_ref().copied())
    }

    /// The gRPC status for this cause.
    pub fn status(self) -> Status {
        match self {
            Self::Deadline(_) => Status::deadline_exceeded(self.to_string()),
            Self::GoingDown => Status::unavailable(self.to_string()),
        }
    }
}

/// The rules for all calls of a process.
#[derive(Debug)]
pub(crate) struct CallRules {
    body_timeout: Duration,
    drain: Drain,
    /// The methods whose client streams have no deadline.
    methods: Methods,
    is_tls: bool,
    probes: Arc<Shares<u64>>,
}

impl CallRules {
    pub(crate) fn new(limits: &ConnectionLimits, methods: Methods, is_tls: bool, drain: &Drain) -> Arc<Self> {
        let probes = Shares::new(limits.max_probes, limits.max_probes.div_ceil(PROBES_DIVISOR));
        Arc::new(Self { body_timeout: limits.body_timeout, drain: drain.clone(), methods, is_tls, probes })
    }

    fn deadline_of(&self, path: &str) -> Option<Duration> {
        (!self.methods.streams(path)).then_some(self.body_timeout)
    }

    fn probe(&self, path: &str, peer: &Peer) -> Result<Option<Share<u64>>, Status> {
        const LONG: [&str; 2] = ["/grpc.health.v1.Health/Watch", "/grpc.reflection."];
        if !LONG.iter().any(|long| path.starts_with(long)) {
            return Ok(None);
        }
        self.probes.take(&peer.id()).map(Some).map_err(|exceeded| {
            let (max, whose) = match exceeded {
                Exceeded::Each(max) => (max, "on this connection"),
                Exceeded::Total(max) => (max, "at this server"),
            };
            Status::resource_exhausted(format!(
                "the limit of {max} health watches and reflection streams {whose} is reached (--max-probes); \
                end one first"
            ))
        })
    }
}

/// Counts the requests of a service as calls of their connection.
#[derive(Debug, Clone)]
pub(crate) struct Calls<S> {
    inner: S,
    rules: Arc<CallRules>,
}

impl<S> Calls<S> {
    pub(crate) fn new(inner: S, rules: Arc<CallRules>) -> Self {
        Self { inner, rules }
    }
}

/// Wraps gRPC services in [`Calls`].
#[derive(Debug, Clone)]
pub(crate) struct CallsLayer(pub(crate) Arc<CallRules>);

impl<S> tower::Layer<S> for CallsLayer {
    type Service = Calls<S>;

    fn layer(&self, inner: S) -> Calls<S> {
        Calls::new(inner, Arc::clone(&self.0))
    }
}

impl<S> tower::Service<Request<tonic::body::Body>> for Calls<S>
where
    S: tower::Service<Request<tonic::body::Body>, Response = Response<tonic::body::Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Answer<tonic::body::Body>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<tonic::body::Body>) -> Self::Future {
        let peer = request.extensions().get::<Peer>().cloned();
        let (span, trace) = server_span::over_grpc(&mut request, &self.rules.methods, peer.as_ref());
        let call = peer.as_ref().map(Call::begin);
        let measured = Measured::rpc(&request, &self.rules.methods, &trace);
        let path = request.uri().path();
        let probe = match peer.map_or(Ok(None), |peer| self.rules.probe(path, &peer)) {
            Ok(probe) => probe,
            Err(refused) => {
                let refused = refused.into_http();
                return Box::pin(async move { Ok(Answer::of(refused, call, None, measured, CallSpan::grpc(span))) });
            }
        };
        let deadline = self.rules.deadline_of(path);
        let request = request.map(|body| {
            let body = TimedBody::new(body, deadline, &self.rules.drain);
            tonic::body::Body::new(body.map_err(|error| match Late::of(error.as_ref()) {
                Some(late) => late.status(),
                None => Status::from_error(error),
            }))
        });
        let answer = self.inner.call(request).traced(span.clone(), &trace);
        Box::pin(async move { Ok(Answer::of(answer.await?, call, probe, measured, CallSpan::grpc(span))) })
    }
}

impl Calls<axum::Router> {
    /// Answers an HTTP request of this peer.
    pub(crate) fn answer(
        &self,
        request: Request<hyper::body::Incoming>,
        peer: &Peer,
    ) -> impl Future<Output = Result<Response<Answer<axum::body::Body>>, Infallible>> + use<> {
        let call = Some(Call::begin(peer));
        let deadline = self.rules.deadline_of(request.uri().path());
        let id = RequestId::of(request.headers());
        let mut request = request;
        let (span, trace) = server_span::over_http(&mut request, &id, peer, self.rules.is_tls);
        let measured = Measured::http(&request, self.rules.is_tls, &trace);
        let mut request = request.map(|body| axum::body::Body::new(TimedBody::new(body, deadline, &self.rules.drain)));
        request.extensions_mut().insert(id.clone());
        request.extensions_mut().insert(peer.origin());
        let answer = tower::ServiceExt::oneshot(self.inner.clone(), request).traced(span.clone(), &trace);
        async move {
            let mut answer = answer.await?;
            if let Some(id) = id.to_header() {
                answer.headers_mut().insert(REQUEST_ID, id);
            }
            Ok(Answer::of(answer, call, None, measured, CallSpan::Http(span)))
        }
    }
}

/// The body of an answer. The call ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Answer<B> {
    body: B,
    #[expect(dead_code, reason = "the call ends when it is dropped")]
    call: Option<Call>,
    #[expect(dead_code, reason = "another stream may begin when it is dropped")]
    probe: Option<Share<u64>>,
    measured: Option<Measured>,
    span: CallSpan,
}

/// The span of a call, which ends with the answer.
#[derive(Debug)]
enum CallSpan {
    Http(Span),
    Grpc {
        span: Span,
        /// `None` if the status of the call is not known yet.
        code: Option<Code>,
    },
}

impl CallSpan {
    const fn grpc(span: Span) -> Self {
        Self::Grpc { span, code: None }
    }

    fn head<B>(&mut self, answer: &Response<B>) {
        match self {
            Self::Http(span) => server_span::answered_over_http(span, answer.status()),
            Self::Grpc { .. } => self.trailers(answer.headers()),
        }
    }

    fn trailers(&mut self, headers: &HeaderMap) {
        if let Self::Grpc { code, .. } = self {
            *code = code.or_else(|| server_span::status_in(headers));
        }
    }
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        if let Self::Grpc { span, code } = self {
            // A call ends without a status if its caller gives it up.
            server_span::answered_over_grpc(span, code.unwrap_or(Code::Cancelled));
        }
    }
}

impl<B> Answer<B> {
    fn of(
        answer: Response<B>,
        call: Option<Call>,
        probe: Option<Share<u64>>,
        mut measured: Option<Measured>,
        mut span: CallSpan,
    ) -> Response<Self> {
        if let Some(measured) = &mut measured {
            measured.head(&answer);
        }
        span.head(&answer);
        answer.map(|body| Self { body, call, probe, measured, span })
    }
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            if let Some(measured) = &mut self.measured {
                measured.trailers(trailers);
            }
            self.span.trailers(trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request. It ends with [`Late`] if it takes too long.
struct TimedBody<B> {
    body: B,
    timeout: Option<Duration>,
    drain: Drain,
    /// The timers besides the body; created when the body is first awaited.
    waits: Option<Box<Waits>>,
}

struct Waits {
    deadline: Option<Pin<Box<Sleep>>>,
    stopping: Pin<Box<WaitForCancellationFutureOwned>>,
    /// How long the process waits for the next bytes during the drain.
    silence: Option<Pin<Box<Sleep>>>,
}

impl<B> TimedBody<B> {
    fn new(body: B, timeout: Option<Duration>, drain: &Drain) -> Self {
        Self { body, timeout, drain: drain.clone(), waits: None }
    }

    fn late(&mut self, context: &mut Context<'_>) -> Poll<Late> {
        let waits = self.waits.get_or_insert_with(|| {
            Box::new(Waits {
                deadline: self.timeout.map(|timeout| Box::pin(tokio::time::sleep(timeout))),
                stopping: Box::pin(self.drain.stopping_owned()),
                silence: None,
            })
        });
        if let (Some(deadline), Some(timeout)) = (&mut waits.deadline, self.timeout)
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Late::Deadline(timeout));
        }
        if self.drain.is_stopping() || waits.stopping.as_mut().poll(context).is_ready() {
            let silence = waits.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(DRAIN_SILENCE)));
            return silence.as_mut().poll(context).map(|()| Late::GoingDown);
        }
        Poll::Pending
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => {
                if let Some(waits) = &mut self.waits {
                    waits.silence = None;
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => self.late(context).map(|late| Some(Err(late.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
