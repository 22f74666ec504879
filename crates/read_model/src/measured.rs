//! Metrics of database operations, measured in this process. Their names follow OpenTelemetry's semantic conventions
//! for database clients.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use runtime::metrics::{self, Histograms, KeyValue, OPERATION_SECONDS};
use sqlx::AnyPool;
use tokio::time::Instant;

use crate::{error::StoreError, sql::Flavour};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Operation {
    system: &'static str,
    name: &'static str,
    failed: bool,
}

static OPERATIONS: LazyLock<Histograms<Operation>> = LazyLock::new(|| {
    let description = "Duration of operations of the read model's database";
    Histograms::new("db.client.operation.duration", OPERATION_SECONDS, description, |operation: &Operation| {
        let mut attributes =
            vec![KeyValue::new("db.system.name", operation.system), KeyValue::new("db.operation.name", operation.name)];
        attributes.extend(operation.failed.then(|| KeyValue::new("error.type", "database")));
        attributes
    })
});

/// Measures a read.
pub(crate) async fn read<T>(
    flavour: Flavour,
    reading: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let begun = Instant::now();
    let read = reading.await;
    record(flavour, "SELECT", begun.elapsed(), read.is_err());
    read
}

pub(crate) fn record(flavour: Flavour, name: &'static str, took: Duration, failed: bool) {
    OPERATIONS.record(&Operation { system: system(flavour), name, failed }, took, None);
}

/// The name of the database in the semantic conventions.
pub(crate) const fn system(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Sqlite => "sqlite",
        Flavour::Postgres | Flavour::PooledPostgres => "postgresql",
    }
}

/// Observes the pool with this index. SQLite empties and removes its write-ahead log only when the last connection is
/// closed. So the callback, which lives as long as the process, holds a weak reference.
pub(crate) fn observe_pool<const N: usize>(name: &'static str, index: usize, pools: &Arc<[AnyPool; N]>) {
    let pools = Arc::downgrade(pools);
    metrics::meter()
        .i64_observable_up_down_counter("db.client.connection.count")
        .with_unit("{connection}")
        .with_description("Connections to the database of the read model")
        .with_callback(move |observer| {
            let Some(pools) = pools.upgrade() else { return };
            let Some(pool) = pools.get(index) else { return };
            let (all, idle) = (i64::from(pool.size()), i64::try_from(pool.num_idle()).unwrap_or(i64::MAX));
            for (state, count) in [("idle", idle), ("used", (all - idle).max(0))] {
                let attributes = [
                    KeyValue::new("db.client.connection.pool.name", name),
                    KeyValue::new("db.client.connection.state", state),
                ];
                observer.observe(count, &attributes);
            }
        })
        .build();
}
