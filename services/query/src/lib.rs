//! The query service: it answers calls about the registry, leads, deliveries and jobs, and keeps the read model.
//!
//! * [`projector`] writes facts into the read model (`crates/read_model`); [`audit_fields`] makes the states that the
//!   audit log compares
//! * [`registry_service`], [`access_service`], [`delivery_service`], [`lead_service`], [`job_service`],
//!   [`audit_service`] and [`status_service`] answer over gRPC; each checks which entities its
//!   [`caller`](call::caller) may see and change
//! * [`routing_service`] explains why a destination gets an event
//! * [`problem_service`] shows problems and the health of destinations, with the dispatchers' reports of their
//!   [`lanes`]
//! * [`known_events`] answers ingest's questions about events that were published before
//! * [`figures`] are metrics of the whole installation
//! * [`call`] has the parts that the services share: the caller, statuses of failures, pages of lists, views of
//!   payloads, hashes of the values that callers search by, and CSV
//!
//! Guarantee: all rows of the read model come from facts in the journal. It can be wiped and rebuilt from them. A
//! rebuild loses only rows about facts that are older than `--keep-events`, because the streams no longer hold these
//! facts.

mod access_service;
mod audit_fields;
mod audit_service;
mod call;
mod delivery_service;
mod figures;
mod job_service;
mod known_events;
mod lanes;
mod lead_service;
mod limits;
mod problem_service;
mod projector;
mod registry_change;
mod registry_service;
mod routing_service;
mod status_service;

use access::{Authenticator, Sessions};
use anyhow::bail;
use crypto::MasterKey;
pub use delivery_service::WatchLimits;
use domain::{Guard, InterfaceId, Registry, registry::UrlRules};
use journal::{Journal, RegistryView, StreamName};
use projector::Projectors;
use read_model::{Sources, hashing::Hashing};
use registry_change::Changes;
use runtime::{NeededBy, Platform, Service};

/// Options of the query service.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "query")]
pub struct Options {
    #[command(flatten)]
    pub read_model: read_model::Options,
    /// Allow destinations with plain http URLs
    #[arg(long, env = "LEADLINE_ALLOW_PLAIN_HTTP")]
    pub allow_plain_http: bool,
    #[command(flatten)]
    pub watch_limits: WatchLimits,
    #[command(flatten)]
    pub limits: limits::Options,
    #[command(flatten)]
    pub console: console_http::Options,
}

/// Starts the query service.
///
/// # Errors
/// Fails if the broker does not answer, if a method has no rule, or if the settings of the console cannot be used.
pub async fn start(
    options: &Options,
    guard: Guard,
    key: MasterKey,
    sessions: Sessions,
    sources: &Sources,
    platform: &Platform,
) -> anyhow::Result<Service> {
    let latch = platform.readiness.latch_for("query", NeededBy::Only(&["query"]));
    let Sources { journal, store, registry, repairs } = sources.clone();
    let history = options.read_model.history;
    let hashing = Hashing::new(registry.clone(), key.clone());
    let (projected, hashed) = (journal.clone(), Some(hashing.clone()));
    projector::start(&Projectors { journal: projected, store: store.clone(), hashing: hashed }, platform);
    known_events::start(&journal, &store, platform).await?;
    let lanes = lanes::Lanes::follow(&journal, platform).await?;
    let health = problem_service::HealthView { store: store.clone(), lanes };
    figures::start(sources, platform);
    let rules = UrlRules { allow_plain_http: options.allow_plain_http };
    let authenticator = Authenticator::new(&registry)?.with_sessions(sessions.clone());
    let changes = Changes::new(journal.clone(), registry.clone(), rules, options.limits.into());
    latch.ready();
    Ok(Service::new("query")
        .with_http(console_http::routes(&options.console, authenticator.clone(), sessions.clone(), journal.clone())?)
        .with_grpc(authenticator.guard(access_service::service(changes.clone(), registry.clone(), sessions)))
        .with_grpc(authenticator.guard(registry_service::service(changes, registry.clone(), guard, key, store.clone())))
        .with_grpc(authenticator.guard(delivery_service::service(
            journal.clone(),
            store.clone(),
            registry.clone(),
            hashing.clone(),
            platform.drain.clone(),
            options.watch_limits,
            history,
        )))
        .with_grpc(authenticator.guard(job_service::service(
            journal.clone(),
            store.clone(),
            registry.clone(),
            hashing.clone(),
            history,
        )))
        .with_grpc(authenticator.guard(status_service::service(
            journal.clone(),
            store.clone(),
            registry.clone(),
            repairs,
            history,
            platform.readiness.clone(),
            health.clone(),
        )))
        .with_grpc(authenticator.guard(audit_service::service(store.clone())))
        .with_grpc(authenticator.guard(problem_service::service(
            journal.clone(),
            store.clone(),
            registry.clone(),
            health,
        )))
        .with_grpc(authenticator.guard(routing_service::service(
            journal.clone(),
            store.clone(),
            registry.clone(),
            history,
        )))
        .with_grpc(authenticator.guard(lead_service::service(
            journal,
            store,
            registry,
            hashing,
            history,
            platform.drain.clone(),
        ))))
}

/// Wipes the read model and rebuilds it from the facts. Returns the number of facts. Without a master key no values are
/// hashed.
///
/// # Errors
/// Fails if the broker or the database fails, or if an interface has searchable fields and there is no master key.
pub async fn rebuild(
    options: &read_model::Options,
    key: Option<MasterKey>,
    platform: &Platform,
    journal: &Journal,
) -> anyhow::Result<u64> {
    let registry = RegistryView::follow(journal, platform).await?;
    if let (None, Some(interface)) = (&key, searchable(&registry.snapshot())) {
        bail!(
            "interface {interface} has searchable fields, whose hashes are made with the master key; give it with \
             --master-key (leadline up keeps it in the file master.key of its data directory)"
        );
    }
    let store = options.connect().await?;
    store.wipe().await?;
    store.expect_much().await?;
    let none_anonymised = journal.stream(StreamName::Anonymised).last_sequence().await? == 0;
    store.put_off_indexes(none_anonymised).await?;
    let hashing = key.map(|key| Hashing::new(registry, key));
    let projectors = Projectors { journal: journal.clone(), store: store.clone(), hashing };
    let facts = projector::catch_up(&projectors).await;
    store.make_indexes().await?;
    facts
}

/// An interface that has searchable fields; `None` if no interface has any.
fn searchable(registry: &Registry) -> Option<&InterfaceId> {
    let mut interfaces = registry.accounts().flat_map(|account| account.interfaces());
    interfaces.find(|interface| !interface.searchable.is_empty()).map(|interface| &interface.id)
}
