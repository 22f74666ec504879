//! Ingest takes lead events over HTTP and gRPC, checks them against the registry, and stores them before it answers.
//!
//! * [`http`] and [`grpc`] serve the two protocols.
//! * [`forms`] takes HTML forms.
//! * [`publisher`] stores the events of both protocols. [`rates`] limits each account, [`bursts`] marks the events that
//!   may wait behind others, [`known_events`] recognises events that were stored before.
//!
//! Guarantee: a success means that the event is stored. After an error, or without an answer, the publisher can repeat
//! the call with the same event id; the event is stored once.

mod bursts;
mod forms;
mod grpc;
mod http;
mod known_events;
mod measured;
mod publisher;
mod rates;

use access::{Authenticator, Sessions};
use api::publish::{Publish, PublishError};
use bursts::Bursts;
use bytes::Bytes;
use domain::access::{Rule, Scope};
use journal::{Journal, RegistryView};
use rates::Rates;
use runtime::{NeededBy, Platform, Service};

use self::http::body::{self, Limits, RequestBody, Unread};

#[derive(Debug, Clone, clap::Args)]
#[group(id = "ingest")]
pub struct Options {
    /// Maximum bytes of an event; the limit of the broker is 1 MiB
    #[arg(long, env = "LEADLINE_MAX_EVENT", default_value_t = 256 * 1024, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1..=900 * 1024))]
    pub max_event: u64,
    /// Maximum bytes of an HTTP request, after decompression
    #[arg(long, env = "LEADLINE_MAX_REQUEST", default_value_t = 4 * 1024 * 1024, value_name = "BYTES")]
    pub max_request: u64,
    /// Maximum events in one HTTP request
    #[arg(long, env = "LEADLINE_MAX_EVENTS", default_value_t = 10_000, value_name = "COUNT",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_events: u32,
    /// Deliveries per second above which the events of one interface are a burst: they are stored like others, but
    /// delivered only while no other events wait
    #[arg(long, env = "LEADLINE_BURST_ABOVE", default_value_t = 1_000, value_name = "DELIVERIES")]
    pub burst_above: u32,
    /// Maximum deliveries in a row that led to an event; an event with more is refused as a loop
    ///
    /// A chain of two installations needs one hop. If a receiver publishes two leads for each lead that it gets, four
    /// hops add 30 leads (2 + 4 + 8 + 16).
    #[arg(long, env = "LEADLINE_MAX_HOPS", default_value_t = 4, value_name = "HOPS",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    pub max_hops: u32,
    /// Maximum events per second of one account; 0: no limit
    ///
    /// Each ingest process counts for itself. A call above the limit is refused with the time after which to retry; a
    /// stream is read no faster than this.
    #[arg(long, env = "LEADLINE_PUBLISH_RATE", default_value_t = 50_000, value_name = "EVENTS",
          value_parser = clap::value_parser!(u32).range(..=MAX_PUBLISH_RATE))]
    pub publish_rate: u32,
    /// Maximum events that one account may publish at once, and in one call [default: the value of --publish-rate]
    #[arg(long, env = "LEADLINE_PUBLISH_BURST", value_name = "EVENTS",
          value_parser = clap::value_parser!(u32).range(1..=MAX_PUBLISH_RATE))]
    pub publish_burst: Option<u32>,
    /// Maximum submissions per second of HTML forms with the same form key; 0: no limit
    ///
    /// Each ingest process counts for itself.
    #[arg(long, env = "LEADLINE_FORM_RATE", default_value_t = 20, value_name = "FORMS")]
    pub form_rate: u32,
}

/// The highest `--publish-rate`: more than any machine can store.
const MAX_PUBLISH_RATE: i64 = 1_000_000;

/// The rule for callers over HTTP; over gRPC each method has its own in the proto files.
const PUBLISH: Rule = Rule::Needs(Scope::Publish);

/// Starts ingest. `sessions` are those of the console; `None` if this process has no master key.
///
/// # Errors
/// If the registry cannot be read from the broker, or a method has no rule.
pub async fn start(
    options: &Options,
    sessions: Option<Sessions>,
    platform: &Platform,
    journal: &Journal,
) -> anyhow::Result<Service> {
    measured::start();
    let latch = platform.readiness.latch_for("ingest", NeededBy::Only(&["ingest"]));
    let registry = RegistryView::follow(journal, platform).await?;
    let authenticator = Authenticator::new(&registry)?;
    let authenticator = match sessions {
        Some(sessions) => authenticator.with_sessions(sessions),
        None => authenticator,
    };
    let rates = Rates::new(options.publish_rate, options.publish_burst.unwrap_or(options.publish_rate));
    let publisher = publisher::Publisher::new(journal.clone(), registry, Bursts::new(options.burst_above), rates);
    let (max_event, max_request) = (usize::try_from(options.max_event)?, usize::try_from(options.max_request)?);
    let limits = Limits { max_event, max_events: usize::try_from(options.max_events)? };
    let max_hops = options.max_hops;
    latch.ready();
    Ok(Service::new("ingest")
        .deciding_readiness()
        .with_open_http(forms::routes(authenticator.clone(), publisher.clone(), max_event, options.form_rate))
        .with_http(authenticator.guard_http(PUBLISH, http::routes(publisher.clone(), limits, max_request, max_hops)))
        .with_grpc(authenticator.guard(grpc::service(publisher, max_event, max_hops, platform.drain.clone()))))
}

/// Reads the body of a request as ingest does, for the tests of untrusted input.
#[doc(hidden)]
pub fn read_body(body: &Bytes, lines: bool, max_event: usize) -> Vec<Result<Publish, PublishError>> {
    match body::read(body, lines, Limits { max_event, max_events: usize::MAX }) {
        Ok(RequestBody::One(event)) => vec![Ok(event)],
        Ok(RequestBody::Many(events)) => events.iter().map(|raw| body::event(body, raw, max_event)).collect(),
        Err(Unread::Wrong(refused) | Unread::TooLarge(refused)) => vec![Err(refused)],
    }
}
