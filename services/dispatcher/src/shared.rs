//! The state that the parts of the dispatcher share.

use std::sync::Arc;

use crypto::MasterKey;
use journal::{Journal, RegistryView};
use runtime::Platform;
use tokio::sync::Semaphore;

use crate::{
    anonymised::AnonymisedLeads, attempt::renderers::Renderers, attempt::successes::Successes, attempt::vault::Vault,
    history::attempts::AttemptHistory, history::deliveries::DeliveryHistory, lanes::counter::Counter,
    lanes::report::Reports, payloads::Payloads, transport::client::Client, transport::oauth::AccessTokens,
};

pub(crate) struct Shared {
    pub(crate) platform: Platform,
    pub(crate) journal: Journal,
    pub(crate) registry: RegistryView,
    pub(crate) payloads: Payloads,
    pub(crate) client: Client,
    pub(crate) tokens: AccessTokens,
    pub(crate) renderers: Renderers,
    pub(crate) key: MasterKey,
    pub(crate) vault: Vault,
    pub(crate) history: AttemptHistory,
    pub(crate) successes: Successes,
    pub(crate) requested: DeliveryHistory,
    pub(crate) released: DeliveryHistory,
    /// The work items in lane queues, and those that are being parked, held or abandoned.
    pub(crate) waiting: Arc<Counter>,
    /// The requests in flight in all lanes, and their limit.
    pub(crate) in_flight: Arc<Counter>,
    pub(crate) max_in_flight: usize,
    pub(crate) anonymised: AnonymisedLeads,
    /// Limits the requests of suspects to one at a time.
    pub(crate) alone: Semaphore,
    /// The reports about lanes that are not open.
    pub(crate) lane_reports: Arc<Reports>,
    /// Limits work that no caller waits for.
    pub(crate) deferred: Semaphore,
    /// Whether failed attempts are exported even if their trace is not sampled.
    pub(crate) trace_failures: bool,
    pub(crate) keep_exchanges: bool,
    /// Whether a line is logged for each delivery that ends.
    pub(crate) log_deliveries: bool,
}
