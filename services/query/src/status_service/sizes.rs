//! The sizes of streams and tables, and their growth per day.

use std::{sync::Arc, time::Duration};

use api::timestamp_to_api;
use jiff::Timestamp;
use journal::{StreamName, StreamSize};
use read_model::{
    Store, StoreError,
    sql::sizes::{DatabaseSize, TableSize},
};
use runtime::ErrorChain as _;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

/// How long an answer waits for new figures. After that, it has the previous ones.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
/// Figures are used for this multiple of the duration of their measurement, so that measurements take a thousandth of
/// all time. They are used for at least [`MIN_AGE`] and at most [`MAX_AGE`].
const AGE_TIMES: u32 = 1_000;
const MIN_AGE: Duration = Duration::from_secs(1);
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
const SECONDS_OF_DAY: u128 = 24 * 60 * 60;

/// The last measurement.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    pub(super) tables: Vec<TableSize>,
    pub(super) database: DatabaseSize,
    /// When the measurement expires; `None` before the first one.
    until: Option<Instant>,
}

/// Measures the tables on request. A measurement of an SQLite file reads the whole file.
#[derive(Debug)]
pub(super) struct Sizes {
    store: Store,
    latest: Arc<watch::Sender<Measured>>,
    /// The holder of this lock measures.
    measuring: Arc<tokio::sync::Mutex<()>>,
}

impl Sizes {
    pub(super) fn new(store: Store) -> Self {
        Self { store, latest: Arc::default(), measuring: Arc::default() }
    }

    /// The latest figures, which are measured again if they are too old; empty if the first measurement takes long.
    pub(super) async fn measured(&self) -> Measured {
        let is_fresh = |measured: &Measured| measured.until.is_some_and(|until| Instant::now() < until);
        let mut latest = self.latest.subscribe();
        if !is_fresh(&latest.borrow_and_update())
            && let Ok(measuring) = Arc::clone(&self.measuring).try_lock_owned()
        {
            let (store, sender) = (self.store.clone(), Arc::clone(&self.latest));
            tokio::spawn(async move {
                match measure(&store).await {
                    Ok(measured) => drop(sender.send_replace(measured)),
                    Err(error) => tracing::warn!(error = error.chain(), "cannot measure the tables of the read model"),
                }
                drop(measuring);
            });
        }
        // The measurement was late or failed: the previous figures are used.
        let _ = timeout(ANSWER_TIMEOUT, latest.wait_for(is_fresh)).await;
        self.latest.borrow().clone()
    }
}

async fn measure(store: &Store) -> Result<Measured, StoreError> {
    let began = Instant::now();
    let (tables, database) = (store.table_sizes().await?, store.database_size().await?);
    let age = (began.elapsed() * AGE_TIMES).clamp(MIN_AGE, MAX_AGE);
    Ok(Measured { tables, database, until: Some(Instant::now() + age) })
}

pub(super) fn stream_to_api(name: StreamName, stored: StreamSize) -> api::Stored {
    to_api(name.as_str(), stored.messages, stored.bytes, stored.oldest)
}

pub(super) fn table_to_api(table: &TableSize) -> api::Stored {
    to_api(table.name, table.rows, table.bytes, table.oldest)
}

fn to_api(name: &str, rows: u64, bytes: u64, oldest: Option<Timestamp>) -> api::Stored {
    let bytes_per_day = oldest.map_or(0, |oldest| per_day(bytes, oldest, Timestamp::now()));
    api::Stored { name: name.to_owned(), bytes, rows, oldest: oldest.map(timestamp_to_api), bytes_per_day }
}

/// The average growth per day. Data that is younger than a day counts as one day's growth, because one hour does not
/// show the growth of a whole day.
fn per_day(bytes: u64, oldest: Timestamp, now: Timestamp) -> u64 {
    let age = u128::try_from(now.duration_since(oldest).as_secs()).unwrap_or_default();
    u64::try_from(u128::from(bytes) * SECONDS_OF_DAY / age.max(SECONDS_OF_DAY)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn growth_is_the_size_divided_by_the_age() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let ago = |hours| now - SignedDuration::from_hours(hours);
        for (hours, expected) in [(240, 100), (24, 1_000), (1, 1_000), (-5, 1_000)] {
            assert_eq!(per_day(1_000, ago(hours), now), expected, "{hours} hours");
        }
    }
}
