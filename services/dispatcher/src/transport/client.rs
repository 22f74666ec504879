//! The HTTP client: no redirects, guarded addresses, bounded answers.
//!
//! [`pool`] holds the open connections, [`connect`] opens them, [`proxy`] and [`egress`] open them through proxies,
//! [`http1`] and [`http2`] use them.
//!
//! To decide whether the receiver caused a failure, this client needs facts that client libraries hide:
//!
//! * whether a connection was used before
//! * whether any byte of an answer arrived, and when the head of the answer was complete
//! * how many requests the connection takes

mod connect;
mod egress;
mod http1;
mod http2;
mod origin;
mod pool;
pub(crate) mod proxy;
mod socket;
mod stream;
pub(crate) mod tls;
pub(crate) mod wire;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use domain::{AccountId, AttemptOutcome, Guard, delivery::HttpVersion};
use runtime::Latch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::egress::EgressSettings;
use self::{
    connect::{Call, Dialer},
    egress::Egress,
    origin::Origin,
    pool::{Http1Lease, Http2Lease, Lease, Limits, Pool},
    tls::Tls,
    wire::Wire,
};
use crate::transport::{
    answer::Answer,
    exchange::Sent,
    failure::{self, Failure, Step},
    outcome::{self, NotSent},
    request::Request,
    resolver::{Resolve, Resolver},
};

/// How long a body may take after the head of the answer. The status decides, and the body is only shown to people.
/// After this time the connection is closed.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes requests to destinations.
#[derive(Debug)]
pub(crate) struct Client {
    pool: Arc<Pool>,
    dialer: Dialer,
    _sweeping: AbortOnDropHandle<()>,
    /// `None` if there is no proxy to watch.
    _watching: Option<AbortOnDropHandle<()>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Settings<'a> {
    pub(crate) name_servers: &'a [SocketAddr],
    pub(crate) ca_file: Option<&'a Path>,
    pub(crate) max_age: Duration,
    pub(crate) max_idle: usize,
    /// The proxy of the installation, and its readiness latch.
    pub(crate) egress: Option<(EgressSettings, Latch)>,
}

/// How many times a receiver may refuse a repeated request.
const MAX_REFUSALS: u32 = 5;

impl Client {
    pub(crate) fn new(guard: Guard, settings: Settings<'_>) -> anyhow::Result<Self> {
        let resolver = Resolver::new(guard.clone(), settings.name_servers);
        let resolver = Arc::new(resolver.context("names of hosts cannot be resolved")?);
        Self::resolving_with(resolver, guard, settings)
    }

    fn resolving_with(resolver: Arc<dyn Resolve>, guard: Guard, settings: Settings<'_>) -> anyhow::Result<Self> {
        let Settings { name_servers, ca_file, max_age, max_idle, egress } = settings;
        let egress = egress.map(|(proxy, latch)| {
            let anywhere = Resolver::new(Guard::open(), name_servers).context("names of hosts cannot be resolved")?;
            anyhow::Ok(Arc::new(Egress::new(proxy, Arc::new(anywhere), latch)))
        });
        let egress = egress.transpose()?;
        let watch = |egress: &Arc<Egress>| AbortOnDropHandle::new(tokio::spawn(Egress::watch(Arc::downgrade(egress))));
        let watching = egress.as_ref().map(watch);
        let dialer = Dialer { guard, resolver, tls: Tls::new(ca_file)?, egress };
        let pool = Arc::new(Pool::new(Limits { max_age, max_idle }));
        let sweeping = AbortOnDropHandle::new(tokio::spawn(Pool::sweep(Arc::downgrade(&pool))));
        Ok(Self { pool, dialer, _sweeping: sweeping, _watching: watching })
    }

    /// Makes a request, and waits at most `timeout` for the head of the answer.
    ///
    /// # Errors
    /// When nothing was sent for a reason that does not concern the receiver.
    pub(crate) async fn send(
        &self,
        account: &AccountId,
        request: &Request,
        timeout: Duration,
    ) -> Result<Sent, NotSent> {
        let wire = Wire::default();
        // Boxed, because the future of an attempt is large already.
        let asked = Box::pin(self.ask_over(account, request, timeout, &wire)).await;
        let outcome = match &asked {
            Ok(answer) => AttemptOutcome::Response {
                status: answer.status.as_u16(),
                excerpt: outcome::excerpt(&answer.beginning),
                retry_after: outcome::retry_after(answer.headers()),
            },
            Err(failure) => outcome::of_failure(failure, timeout)?,
        };
        Ok(Sent::of(request, &origin::added_headers(request), outcome, asked.as_ref().ok(), wire.seen()))
    }

    /// Makes a request, and returns the answer itself.
    pub(crate) async fn ask(
        &self,
        account: &AccountId,
        request: &Request,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        self.ask_over(account, request, timeout, &Wire::default()).await
    }

    async fn ask_over(
        &self,
        account: &AccountId,
        request: &Request,
        timeout: Duration,
        wire: &Wire,
    ) -> Result<Answer, Failure> {
        let asked = self.exchange(account, request, Instant::now() + timeout, wire).await;
        asked.inspect_err(|failure| {
            if failure::is_out_of_files(failure) {
                self.pool.close_idle();
            }
        })
    }

    /// A reused connection may end just as a request is sent. The receiver has not seen that request, so it is sent
    /// once more over a new connection.
    async fn exchange(
        &self,
        account: &AccountId,
        request: &Request,
        deadline: Instant,
        wire: &Wire,
    ) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let route = request.route.as_ref();
        let origin = Origin::of(&request.url, route).ok_or_else(Failure::no_url_of_http)?;
        let call = Call { dialer: &self.dialer, account, origin: &origin, route, deadline, wire };
        let lease = self.lease(call, None).await?;
        let reused = lease.is_reused();
        match self.exchange_over(lease, request, call).await {
            Err(Unanswered { failure, nothing_came }) => {
                let ended = reused && nothing_came && failure.is_end_of_connection();
                if !ended && !failure.is_refusal_to_begin() {
                    return Err(failure);
                }
                if failure.wants_http1() {
                    self.pool.speak_http1(&origin);
                }
                self.repeat(call, request, begun).await
            }
            Ok(answer) => Ok(answer),
        }
    }

    /// Sends a request again over a newer connection. Some receivers, such as nginx, end each connection after a number
    /// of requests. They may refuse a request more than once if other requests use the same connection.
    async fn repeat(&self, call: Call<'_>, request: &Request, mut since: Instant) -> Result<Answer, Failure> {
        let mut refusals = 0;
        loop {
            let lease = self.lease(call, Some(since)).await?;
            since = Instant::now();
            match self.exchange_over(lease, request, call).await {
                Err(Unanswered { failure, .. }) if failure.is_refusal_to_begin() && refusals < MAX_REFUSALS => {
                    refusals += 1;
                }
                answered => return answered.map_err(|unanswered| unanswered.failure),
            }
        }
    }

    async fn lease(&self, call: Call<'_>, since: Option<Instant>) -> Result<Lease, Failure> {
        let leasing = timeout_at(call.deadline, self.pool.lease(call, since)).await;
        leasing.unwrap_or(Err(Failure::Timeout(Step::Connecting)))
    }

    async fn exchange_over(&self, lease: Lease, request: &Request, call: Call<'_>) -> Result<Answer, Unanswered> {
        let (peer, version) = lease.is_to();
        call.wire.note(|seen| (seen.peer, seen.version) = (peer, Some(version)));
        match lease {
            Lease::Http1(lease) => self.exchange_http1(lease, request, call).await,
            Lease::Http2(lease) => exchange_http2(lease, request, call).await,
        }
    }

    async fn exchange_http1(
        &self,
        mut lease: Http1Lease,
        request: &Request,
        call: Call<'_>,
    ) -> Result<Answer, Unanswered> {
        let connection = &mut lease.connection;
        let exchanged = answered(call, connection.exchange(origin::for_http1(request)?)).await;
        let nothing_came = connection.is_unanswered();
        let response = exchanged.map_err(|failure| Unanswered { failure, nothing_came })?;
        if response.version() == http::Version::HTTP_10 {
            call.wire.note(|seen| seen.version = Some(HttpVersion::Http10));
        }
        let mut answer = Answer::of(&response);
        // The status is known by now, so a body that breaks off or does not end changes nothing.
        if timeout(BODY_TIMEOUT, connection.read(response, &mut answer.beginning)).await == Ok(true) {
            self.pool.put_back(lease);
        }
        Ok(answer)
    }
}

/// Waits for the head of an answer, and notes how long that took.
async fn answered<T, E>(call: Call<'_>, exchanging: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
where
    Failure: From<E>,
{
    let began = Instant::now();
    let Ok(exchanged) = timeout_at(call.deadline, exchanging).await else {
        return Err(Failure::Timeout(Step::Answer));
    };
    if exchanged.is_ok() {
        call.wire.note(|seen| seen.times.first_byte = Some(began.elapsed()));
    }
    exchanged.map_err(Failure::from)
}

async fn exchange_http2(lease: Http2Lease, request: &Request, call: Call<'_>) -> Result<Answer, Unanswered> {
    let stream = &lease.stream;
    let exchanging = stream.exchange(origin::for_http2(request)?, request.body.clone());
    let exchanged = answered(call, exchanging).await;
    let response = exchanged.map_err(|failure| {
        if !failure.is_of_one_stream() {
            // The connection may be dead. The other requests on it fail by themselves.
            stream.condemn();
        }
        Unanswered { failure, nothing_came: true }
    })?;
    let mut answer = Answer::of(&response);
    let _ = timeout(BODY_TIMEOUT, http2::read(response, &mut answer.beginning)).await;
    Ok(answer)
}

/// A failure, and whether no byte of an answer arrived.
#[derive(Debug)]
struct Unanswered {
    failure: Failure,
    nothing_came: bool,
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Self {
        Self { failure, nothing_came: true }
    }
}

#[cfg(test)]
mod tests;
