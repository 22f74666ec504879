//! `leadline listen`: a receiver for trying out webhooks. The demo uses it, too.

mod forward;

use std::{
    collections::HashMap,
    net::SocketAddr,
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use clap::Args;
use crypto::Verifier;
use jiff::Timestamp;
use runtime::{Drain, ErrorChain as _, duration};
use tokio::net::TcpListener;

use self::forward::Forward;

/// The largest accepted body, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// The longest part of a body that is printed, in characters.
const MAX_PRINTED: usize = 2_000;

/// The options of `leadline listen`.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, env = "LEADLINE_LISTEN", default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    address: SocketAddr,
    /// Secret (whsec_…) or public key (whpk_…) of the token that signs the requests; if it is missing, signatures are
    /// not checked
    #[arg(long, env = "LEADLINE_LISTEN_SECRET", value_name = "SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// Status to answer with
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,
    /// Answer the first N requests of each event with 503
    #[arg(long, default_value_t = 0, value_name = "N")]
    fail_first: u32,
    /// How long to wait before answering
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = duration::parse)]
    delay: Duration,
    /// Send each request on to this URL, such as http://127.0.0.1:3000/hook, and return its answer
    #[arg(long, env = "LEADLINE_LISTEN_FORWARD", value_name = "URL", conflicts_with_all = ["status", "fail_first"])]
    forward: Option<reqwest::Url>,
}

impl Listen {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let secret = self.secret.as_deref().map(str::parse).transpose().context("--secret")?;
        let drain = Drain::default();
        runtime::shutdown_on_signal(&drain)?;
        let receiver = Receiver::start(
            self.address,
            Behaviour {
                secret,
                status: self.status,
                fail_first: self.fail_first,
                delay: self.delay,
                forward: self.forward.map(Forward::to).transpose()?,
                print: true,
            },
            &drain,
        )
        .await
        .with_context(|| format!("cannot listen on {}; choose another address with --address", self.address))?;
        println!("listening on {}; every path is accepted", receiver.url());
        drain.finished(Duration::from_secs(1)).await;
        Ok(ExitCode::SUCCESS)
    }
}

/// How a receiver answers, and whether it prints requests.
#[derive(Debug)]
pub(crate) struct Behaviour {
    pub(crate) secret: Option<Verifier>,
    pub(crate) status: u16,
    pub(crate) fail_first: u32,
    pub(crate) delay: Duration,
    /// `None` if the receiver answers itself.
    pub(crate) forward: Option<Forward>,
    pub(crate) print: bool,
}

/// The counts of a receiver's requests.
#[derive(Debug, Default)]
struct Seen {
    requests: AtomicU32,
    badly_signed: AtomicU32,
    events: Mutex<HashMap<String, Counts>>,
}

/// How often an event arrived, and how often it was accepted.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    arrived: u32,
    accepted: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    behaviour: Arc<Behaviour>,
    seen: Arc<Seen>,
}

impl Receiver {
    pub(crate) async fn start(address: SocketAddr, behaviour: Behaviour, drain: &Drain) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let receiver = Self { address: listener.local_addr()?, behaviour: Arc::new(behaviour), seen: Arc::default() };
        let router = Router::new().fallback(receive).with_state(receiver.clone());
        let stopping = drain.clone();
        drain.spawn_work(async move {
            let stop = async move { stopping.stopping().await };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
                eprintln!("the receiver failed: {}", error.chain());
            }
        });
        Ok(receiver)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The number of requests.
    pub(crate) fn requests(&self) -> u32 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// Requests whose signature was missing or wrong.
    pub(crate) fn badly_signed(&self) -> u32 {
        self.seen.badly_signed.load(Ordering::Relaxed)
    }

    /// Events that were answered with success, and how many of them more than once.
    pub(crate) fn taken(&self) -> (u32, u32) {
        let events = self.seen.events.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |min| events.values().filter(|counts| counts.accepted >= min).count();
        (u32::try_from(count(1)).unwrap_or(u32::MAX), u32::try_from(count(2)).unwrap_or(u32::MAX))
    }

    fn answer_to(&self, event: &str) -> StatusCode {
        let mut events = self.seen.events.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = events.entry(event.to_owned()).or_default();
        counts.arrived += 1;
        if counts.arrived <= self.behaviour.fail_first {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        let status = StatusCode::from_u16(self.behaviour.status).unwrap_or(StatusCode::OK);
        counts.accepted += u32::from(status.is_success());
        status
    }
}

async fn receive(State(receiver): State<Receiver>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = match axum::body::to_bytes(body, MAX_BODY).await {
        Ok(body) => body,
        Err(error) => return (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
    };
    let seen = &receiver.seen;
    seen.requests.fetch_add(1, Ordering::Relaxed);
    let signature = receiver.behaviour.secret.as_ref().map(|secret| check(secret, &parts.headers, &body));
    if matches!(signature, Some(Err(_))) {
        seen.badly_signed.fetch_add(1, Ordering::Relaxed);
    }
    tokio::time::sleep(receiver.behaviour.delay).await;
    let answered = match (&signature, &receiver.behaviour.forward) {
        (Some(Err(_)), _) => None,
        (_, Some(forward)) => Some(forward.send(&parts, &body).await),
        (_, None) => None,
    };
    let status = match (&signature, &answered) {
        (Some(Err(_)), _) => StatusCode::UNAUTHORIZED,
        (_, Some(answered)) => answered.0,
        (_, None) => receiver.answer_to(header(&parts.headers, "webhook-id")),
    };
    if receiver.behaviour.print {
        print!("{}", printed(&parts, signature.as_ref(), &body, status));
    }
    match answered {
        Some((status, body)) => (status, body).into_response(),
        None => (status, "answered by leadline listen\n").into_response(),
    }
}

/// The text of a request in one piece, so that concurrent requests do not mix.
fn printed(parts: &Parts, signature: Option<&Result<(), String>>, body: &Bytes, status: StatusCode) -> String {
    let mut text = format!("{} {} {}\n", Timestamp::now(), parts.method, parts.uri);
    for (name, value) in &parts.headers {
        text.push_str(&format!("  {name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    match signature {
        None => text.push_str("  (signature not checked: no --secret)\n"),
        Some(Ok(())) => text.push_str("  (signature good)\n"),
        Some(Err(why)) => text.push_str(&format!("  (SIGNATURE REFUSED: {why})\n")),
    }
    let body: String = String::from_utf8_lossy(body).chars().take(MAX_PRINTED).collect();
    text.push_str(&format!("  {body}\n  answered {status}\n\n"));
    text
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn check(verifier: &Verifier, headers: &HeaderMap, body: &Bytes) -> Result<(), String> {
    let timestamp = header(headers, "webhook-timestamp");
    let timestamp =
        timestamp.parse().map_err(|_| format!("webhook-timestamp is {timestamp:?}, which is not a number"))?;
    let (id, signatures) = (header(headers, "webhook-id"), header(headers, "webhook-signature"));
    let now = Timestamp::now().as_second();
    crypto::verify(verifier, id, timestamp, body, signatures, now).map_err(|e| e.to_string())
}
