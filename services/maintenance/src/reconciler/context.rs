//! The options and the context of both checks of the reconciler.

use std::time::Duration;

use journal::{Journal, JournalError, RegistryView};
use read_model::{
    Repairs, Store, StoreError,
    read_barrier::{ReadBarrier, Stale},
};

/// Options of the reconciler.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(id = "reconciler")]
pub struct Options {
    /// How old an event or how late a delivery must be before the reconciler checks it, e.g. 5m. Use a longer time
    /// than the broker takes to flush to its disk
    #[arg(long, env = "LEADLINE_RECONCILE_AFTER", default_value = "5m", value_name = "TIME", value_parser = runtime::duration::parse)]
    pub reconcile_after: Duration,
    /// Maximum number of events and deliveries that the reconciler checks per second
    #[arg(long, env = "LEADLINE_RECONCILE_RATE", default_value_t = 500, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub reconcile_rate: u32,
}

pub(super) struct Context {
    pub(super) options: Options,
    pub(super) journal: Journal,
    pub(super) store: Store,
    pub(super) registry: RegistryView,
    pub(super) read_barrier: ReadBarrier,
    pub(super) repairs: Repairs,
}

/// Why the reconciler cannot continue for now.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReconcilerError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stale(#[from] Stale),
}
