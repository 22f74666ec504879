//! Routing lead events to destinations, and getting them there.
//!
//! * [`router`] hands a lead event to the lanes of those who want it, or stores one `DeliveryRequested` for each if they are
//!   many, or the event came before
//! * [`sender`] takes facts that ask for an attempt and timers that fired, and hands them to [`lane`]s
//! * [`sequencer`] does so in turn, for destinations that keep the order of each lead's events
//! * a [`lane`] decides when: so many requests at a time for its destination, the rest parked in the broker
//! * a [`job`] is an attempt that is to be made, with the message that asks for it
//! * [`attempt`] makes one attempt and performs what follows from it: timer, fact, acknowledgement, in this order
//! * [`successes`] says whether others succeed where a delivery used up its attempts
//! * [`vault`] knows the secrets that do not open, whose deliveries wait
//! * [`forgotten`] keeps the payloads of anonymised leads from being sent
//! * [`prepare`] makes a request; [`suspects`] puts work on record that processes may die of; [`renderers`] fill in templates
//! * [`authorized`] sends a request, with an access token of [`oauth`] if its destination wants one
//! * [`request`], [`route`], [`client`], [`resolver`], [`outcome`], [`redaction`] and [`payloads`] are what an attempt is made of
//!
//! Guarantee: each of these steps can be repeated. A process that dies leaves its messages unacknowledged, and another
//! one does the step again.

mod attempt;
mod authorized;
mod client;
mod compatibility;
mod forgotten;
mod job;
mod known;
mod lane;
mod looked_back;
mod oauth;
mod on_record;
mod outcome;
mod pace;
mod payloads;
mod prepare;
mod recent;
mod redaction;
mod renderers;
mod request;
mod resolver;
mod room;
mod route;
mod router;
mod sender;
mod sequencer;
mod span;
mod successes;
mod suspects;
mod tally;
mod vault;
mod waiting;

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

/// What the dispatcher can be told.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "dispatcher")]
pub struct Options {
    /// Name servers to ask instead of those of /etc/resolv.conf, e.g. 10.0.0.53 or 127.0.0.1:5353
    ///
    /// Without those of /etc/resolv.conf its search domains are not used either; /etc/hosts is.
    #[arg(long, env = "LEADLINE_DNS_SERVER", value_name = "ADDRESS", value_delimiter = ',', value_parser = name_server)]
    pub dns_server: Vec<SocketAddr>,
    /// File with certificates (PEM) of authorities to trust besides the public ones
    #[arg(long, env = "LEADLINE_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Proxy through which receivers are called, and token servers: http://HOST:PORT (CONNECT) or socks5://HOST:PORT, with
    /// user:password@ (percent-encoded) if it asks for them
    ///
    /// It is asked for addresses, which the dispatcher looks up and checks, unless --egress-proxy-resolves is given.
    #[arg(long, env = "LEADLINE_EGRESS_PROXY", value_name = "URL", hide_env_values = true)]
    pub egress_proxy: Option<String>,
    /// Have the proxy look up the names of receivers. Which addresses may be called is then the proxy's to decide
    #[arg(long, env = "LEADLINE_EGRESS_PROXY_RESOLVES")]
    pub egress_proxy_resolves: bool,
    /// How many bytes of recent payloads to keep in memory
    #[arg(long, env = "LEADLINE_PAYLOAD_CACHE", default_value_t = 8 * 1024 * 1024, value_name = "BYTES")]
    pub payload_cache: usize,
    /// How many requests to have under way at once; each takes about 55 KiB and a connection while its receiver hangs
    ///
    /// At most half as many as files may be open (RLIMIT_NOFILE). Beyond that a destination still gets one.
    #[arg(long, env = "LEADLINE_REQUESTS", default_value_t = 4_096, value_name = "COUNT")]
    pub requests: usize,
    /// How long to use a connection to a receiver; a name that leads elsewhere is noticed when it is over
    #[arg(long, env = "LEADLINE_CONNECTION_MAX_AGE", default_value = "5m", value_name = "DURATION", value_parser = runtime::duration::parse)]
    pub connection_max_age: Duration,
}

/// What the parts of the sender share.
struct Shared {
    platform: Platform,
    journal: Journal,
    registry: RegistryView,
    payloads: payloads::Payloads,
    client: client::Client,
    tokens: oauth::AccessTokens,
    renderers: renderers::Renderers,
    key: MasterKey,
    vault: vault::Vault,
    known: known::Known,
    successes: successes::Successes,
    requested: on_record::OnRecord,
    released: on_record::OnRecord,
    /// How much work waits in memory for some lane.
    waiting: Arc<tally::Tally>,
    /// How many requests are under way in all lanes, and how many may be.
    under_way: Arc<tally::Tally>,
    most_under_way: usize,
    forgotten: forgotten::Forgotten,
    /// Requests that may be what processes die of are made one at a time.
    alone: Semaphore,
    /// Turns for what nobody waits for.
    unhurried: Semaphore,
}

/// How much of what nobody waits for is done at once: telling that an attempt takes long, and what follows from one that
/// failed. When hundreds of attempts run into their timeout together, what goes well does not stand behind them.
const UNHURRIED: usize = 16;

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
    let most_under_way = room::most_in_all(options.requests, runtime::files::most());
    let settings = client::Settings {
        name_servers: &options.dns_server,
        ca_file: options.ca_file.as_deref(),
        max_age: options.connection_max_age,
        max_idle: room::max_idle(most_under_way),
        egress: egress(options, platform)?,
    };
    let shared = Arc::new(Shared {
        platform: platform.clone(),
        journal: journal.clone(),
        registry: RegistryView::follow(journal, platform).await?,
        payloads: payloads::Payloads::new(options.payload_cache),
        client: client::Client::new(guard, settings)?,
        tokens: oauth::AccessTokens::default(),
        renderers: renderers::Renderers::start().context("cannot start the threads that fill in templates")?,
        key,
        vault: vault::Vault::new(platform.readiness.latch_for("secrets", NeededBy::Only(&["dispatcher"]))),
        known: known::Known::default(),
        successes: successes::Successes::default(),
        requested: on_record::OnRecord::default(),
        released: on_record::OnRecord::default(),
        waiting: Arc::default(),
        under_way: Arc::default(),
        most_under_way,
        forgotten: forgotten::Forgotten::default(),
        alone: Semaphore::new(1),
        unhurried: Semaphore::new(UNHURRIED),
    });
    let forgetting = Arc::clone(&shared);
    platform.drain.spawn("forgetting", async move {
        forgetting.forgotten.follow(&forgetting.journal, &forgetting.payloads, &forgetting.platform.drain).await;
    });
    platform.drain.spawn("secrets", vault::follow(Arc::clone(&shared)));
    let lanes = Arc::<sender::Lanes>::default();
    platform.drain.spawn("router", router::run(Arc::clone(&shared), Arc::clone(&lanes)));
    platform.drain.spawn("sequencer", sequencer::run(Arc::clone(&shared)));
    sender::start(&shared, &lanes);
    latch.ready();
    Ok(Service::new("dispatcher"))
}

/// The proxy of the installation, and the latch that tells of it.
fn egress(options: &Options, platform: &Platform) -> anyhow::Result<Option<(client::EgressSettings, Latch)>> {
    let Some(url) = &options.egress_proxy else { return Ok(None) };
    let settings = client::EgressSettings::new(url, options.egress_proxy_resolves)?;
    let latch = platform.readiness.latch_for("egress proxy", NeededBy::Only(&["dispatcher"]));
    Ok(Some((settings, latch)))
}

/// The address of a name server, on the port of DNS unless it names another one.
fn name_server(text: &str) -> Result<SocketAddr, AddrParseError> {
    const DNS_PORT: u16 = 53;
    text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT)).or_else(|_| text.parse())
}

/// How long a receiver asks to be left alone, for whoever tries what receivers may say.
#[doc(hidden)]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    outcome::retry_after(headers)
}

/// Whether a URL may be called where no network is allowed but the public one, as far as that can be told before its name
/// is resolved; for whoever tries what URLs there are.
#[doc(hidden)]
pub fn may_be_called(url: &Url) -> bool {
    Guard::new(vec![]).check_literal(url).is_ok()
}
