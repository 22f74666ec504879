//! Exemplars: for each bucket of a histogram, a trace whose duration was counted in it. The SDK keeps none.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use opentelemetry::KeyValue;

use super::labels::labels;

/// How long an exemplar stays before another one may replace it: a busy series would replace it all the time.
const MIN_AGE: Duration = Duration::from_secs(1);

/// The exemplars of every series, by the text of the series.
static ALL: LazyLock<Mutex<HashMap<String, Arc<Exemplars>>>> = LazyLock::new(Mutex::default);

#[derive(Debug, Clone, Copy)]
pub(super) struct Exemplar {
    pub(super) seconds: f64,
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) at: SystemTime,
}

/// The exemplars of one series, one for each bucket.
#[derive(Debug)]
pub(super) struct Exemplars {
    bounds: &'static [f64],
    buckets: Box<[Mutex<Option<Exemplar>>]>,
}

impl Exemplars {
    /// The exemplars of a series; creates them if there are none.
    pub(super) fn of(name: &str, attributes: &[KeyValue], bounds: &'static [f64]) -> Arc<Self> {
        let buckets = (0..=bounds.len()).map(|_| Mutex::new(None)).collect();
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(series(name, &labels(attributes))).or_insert_with(|| Arc::new(Self { bounds, buckets })))
    }

    /// The exemplars of the series with these labels; `None` if it has none.
    pub(super) fn find(name: &str, labels: &str) -> Option<Arc<Self>> {
        ALL.lock().unwrap_or_else(PoisonError::into_inner).get(&series(name, labels)).cloned()
    }

    pub(super) fn offer(&self, seconds: f64, trace: u128, span: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        // The thread that has the lock stores an exemplar that is just as good.
        let Ok(mut kept) = self.buckets[bucket].try_lock() else { return };
        let now = SystemTime::now();
        if kept.is_none_or(|kept| now.duration_since(kept.at).is_ok_and(|age| age >= MIN_AGE)) {
            *kept = Some(Exemplar { seconds, trace, span, at: now });
        }
    }

    pub(super) fn bucket(&self, index: usize) -> Option<Exemplar> {
        *self.buckets.get(index)?.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn series(name: &str, labels: &str) -> String {
    format!("{name}{{{labels}}}")
}
