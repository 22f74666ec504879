//! The dispatcher: routes lead events to destinations and sends them.
//!
//! * [`intake`] takes work from the broker: lead events ([`intake::lead_events`], or [`intake::ordered`] for accounts
//!   with an ordered destination), requests, timers and parked work ([`intake::requests`])
//! * [`lanes`] decide when work is done: each destination has a concurrency limit, a rate limit and a breaker; work
//!   that its lane cannot take is parked in the broker
//! * a [`work_item`] is an attempt to make, with the message that asks for it
//! * [`attempt`] makes one attempt and performs its effects: timer, fact, acknowledgement, in this order
//! * [`transport`] makes the request, finds and reaches the receiver, and turns the answer into an outcome
//! * [`payloads`] has the payloads, [`anonymised`] prevents that payloads of anonymised leads are sent
//! * [`history`] remembers which deliveries were requested, released and attempted before
//!
//! Guarantee: each of these steps can be repeated. If a process dies, its messages are not acknowledged, and another
//! process does the step again.

mod anonymised;
mod attempt;
mod effects;
mod fifo_cache;
mod history;
mod intake;
mod lanes;
mod measured;
mod payloads;
mod shared;
mod transport;
mod wide_event;
mod work_item;

use std::{
    net::{AddrParseError, IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use crypto::MasterKey;
use domain::Guard;
use http::HeaderMap;
use journal::{Journal, RegistryView};
use runtime::{Latch, NeededBy, Platform, Service};
use tokio::sync::Semaphore;
use url::Url;

use self::shared::Shared;

/// The settings of the dispatcher.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "dispatcher")]
pub struct Options {
    /// Name servers to ask instead of those of /etc/resolv.conf, e.g. 10.0.0.53 or 127.0.0.1:5353
    ///
    /// The search domains of /etc/resolv.conf are then not used either. /etc/hosts is still used.
    #[arg(long, env = "LEADLINE_DNS_SERVER", value_name = "ADDRESS", value_delimiter = ',', value_parser = name_server)]
    pub dns_server: Vec<SocketAddr>,
    /// File with certificates (PEM) of authorities to trust besides the public ones
    #[arg(long, env = "LEADLINE_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Proxy through which receivers and token servers are called: http://HOST:PORT (CONNECT) or socks5://HOST:PORT,
    /// with user:password@ (percent-encoded) if it asks for them
    ///
    /// The dispatcher looks up and checks the addresses of receivers, and names them to the proxy, unless
    /// --egress-proxy-resolves is given.
    #[arg(long, env = "LEADLINE_EGRESS_PROXY", value_name = "URL", hide_env_values = true)]
    pub egress_proxy: Option<String>,
    /// Have the proxy look up the names of receivers. The proxy then decides which addresses may be called
    #[arg(long, env = "LEADLINE_EGRESS_PROXY_RESOLVES")]
    pub egress_proxy_resolves: bool,
    /// How many bytes of recent payloads to keep in memory
    #[arg(long, env = "LEADLINE_PAYLOAD_CACHE", default_value_t = 8 * 1024 * 1024, value_name = "BYTES")]
    pub payload_cache: usize,
    /// Maximum requests in flight; each takes about 55 KiB and a connection while its receiver hangs
    ///
    /// The limit is at most half the number of files that the process may open (RLIMIT_NOFILE). At the limit a
    /// destination still gets one request.
    #[arg(long, env = "LEADLINE_REQUESTS", default_value_t = 4_096, value_name = "COUNT")]
    pub requests: usize,
    /// How long to use a connection to a receiver; a changed address is noticed after that time
    #[arg(long, env = "LEADLINE_CONNECTION_MAX_AGE", default_value = "5m", value_name = "DURATION", value_parser = runtime::duration::parse)]
    pub connection_max_age: Duration,
    /// Export the span of each failed attempt, even if its trace is not sampled (OTEL_TRACES_SAMPLER)
    #[arg(long, env = "LEADLINE_TRACE_FAILURES", default_value_t = true, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub trace_failures: bool,
    /// Keep the exchange of each attempt: headers, sizes, times, and up to 16 KiB of the answer
    ///
    /// Without exchanges an attempt takes about 1 KiB less on disk, and shows URL, status and the first 2 KiB of the
    /// answer only.
    #[arg(long, env = "LEADLINE_KEEP_EXCHANGES", default_value_t = true, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub keep_exchanges: bool,
    /// Log one line for each delivery that ends, with its outcome, ids, times and last attempt
    #[arg(long, env = "LEADLINE_LOG_DELIVERIES")]
    pub log_deliveries: bool,
}

/// The concurrency of work that no caller waits for: facts about long attempts, and the effects of failed ones. When
/// hundreds of attempts time out together, successes do not wait behind them.
const MAX_DEFERRED: usize = 16;

/// Starts the dispatcher.
///
/// # Errors
/// When the configuration cannot be read from the broker, or the certificates cannot be read.
pub async fn start(
    options: &Options,
    guard: Guard,
    key: MasterKey,
    platform: &Platform,
    journal: &Journal,
) -> anyhow::Result<Service> {
    let latch = platform.readiness.latch_for("dispatcher", NeededBy::Only(&["dispatcher"]));
    let max_in_flight = lanes::concurrency::max_in_flight(options.requests, runtime::files::max_open());
    let settings = transport::client::Settings {
        name_servers: &options.dns_server,
        ca_file: options.ca_file.as_deref(),
        max_age: options.connection_max_age,
        max_idle: lanes::concurrency::max_idle(max_in_flight),
        egress: egress(options, platform)?,
    };
    let shared = Arc::new(Shared {
        platform: platform.clone(),
        journal: journal.clone(),
        registry: RegistryView::follow(journal, platform).await?,
        payloads: payloads::Payloads::new(options.payload_cache),
        client: transport::client::Client::new(guard, settings)?,
        tokens: transport::oauth::AccessTokens::default(),
        renderers: attempt::renderers::Renderers::start().context("cannot start the threads that fill in templates")?,
        key,
        vault: attempt::vault::Vault::new(platform.readiness.latch_for("secrets", NeededBy::Only(&["dispatcher"]))),
        history: history::attempts::AttemptHistory::default(),
        successes: attempt::successes::Successes::default(),
        requested: history::deliveries::DeliveryHistory::default(),
        released: history::deliveries::DeliveryHistory::default(),
        waiting: Arc::default(),
        in_flight: Arc::default(),
        max_in_flight,
        anonymised: anonymised::AnonymisedLeads::default(),
        alone: Semaphore::new(1),
        lane_reports: Arc::default(),
        deferred: Semaphore::new(MAX_DEFERRED),
        trace_failures: options.trace_failures,
        keep_exchanges: options.keep_exchanges,
        log_deliveries: options.log_deliveries,
    });
    let following = Arc::clone(&shared);
    platform.drain.spawn("anonymised set", async move {
        following.anonymised.follow(&following.journal, &following.payloads, &following.platform.drain).await;
    });
    let reports = Arc::clone(&shared.lane_reports);
    platform.drain.spawn("lane reports", reports.run(journal.clone(), platform.drain.clone()));
    let checking = Arc::clone(&shared);
    platform.drain.spawn("secrets", async move {
        checking.vault.follow(&checking.registry, &checking.key, &checking.platform.drain).await;
    });
    let lanes = Arc::<lanes::directory::Lanes>::default();
    let counted = Arc::clone(&lanes);
    measured::observe(&shared, move || counted.count());
    platform.drain.spawn("router", intake::lead_events::run(Arc::clone(&shared), Arc::clone(&lanes)));
    platform.drain.spawn("sequencer", intake::ordered::run(Arc::clone(&shared)));
    intake::requests::start(&shared, &lanes);
    latch.ready();
    Ok(Service::new("dispatcher"))
}

/// The proxy of the installation, and its readiness latch.
fn egress(
    options: &Options,
    platform: &Platform,
) -> anyhow::Result<Option<(transport::client::EgressSettings, Latch)>> {
    let Some(url) = &options.egress_proxy else { return Ok(None) };
    let settings = transport::client::EgressSettings::new(url, options.egress_proxy_resolves)?;
    let latch = platform.readiness.latch_for("egress proxy", NeededBy::Only(&["dispatcher"]));
    Ok(Some((settings, latch)))
}

/// The address of a name server. The default port is that of DNS.
fn name_server(text: &str) -> Result<SocketAddr, AddrParseError> {
    const DNS_PORT: u16 = 53;
    text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT)).or_else(|_| text.parse())
}

/// The pause that a receiver asks for; public for the tests of untrusted input.
#[doc(hidden)]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    transport::outcome::retry_after(headers)
}

/// Whether a URL may be called if only public addresses are allowed, judged by its text; public for the tests of
/// untrusted input.
#[doc(hidden)]
pub fn may_be_called(url: &Url) -> bool {
    Guard::new(vec![]).check_literal(url).is_ok()
}
