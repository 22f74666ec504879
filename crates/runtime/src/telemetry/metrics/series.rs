//! Counters and histograms whose sets of attributes are bound once.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{BoundCounter, BoundHistogram, Counter, Histogram},
};

use super::{
    exemplars::Exemplars,
    meter::{are_on, meter},
};
use crate::trace::TraceContext;

/// At most this many sets of attributes of one instrument are bound. The SDK looks further ones up, and counts those
/// beyond its own limit under `otel.metric.overflow`.
const MAX_BOUND: usize = 1_000;

/// The attributes of a key.
type Attributes<K> = fn(&K) -> Vec<KeyValue>;

/// A counter with one series for each key.
#[derive(Debug)]
pub struct Counters<K> {
    instrument: Counter<u64>,
    attributes: Attributes<K>,
    bound: RwLock<HashMap<K, BoundCounter<u64>>>,
}

impl<K: Eq + Hash + Clone> Counters<K> {
    pub fn new(name: &'static str, unit: &'static str, description: &'static str, attributes: Attributes<K>) -> Self {
        let instrument = meter().u64_counter(name).with_unit(unit).with_description(description).build();
        Self { instrument, attributes, bound: RwLock::default() }
    }

    pub fn add(&self, key: &K, count: u64) {
        if !are_on() {
            return;
        }
        if let Some(bound) = self.bound.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return bound.add(count);
        }
        let attributes = (self.attributes)(key);
        let mut all = self.bound.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_BOUND {
            return self.instrument.add(count, &attributes);
        }
        all.entry(key.clone()).or_insert_with(|| self.instrument.bind(&attributes)).add(count);
    }
}

/// A histogram of durations in seconds with one series for each key.
#[derive(Debug)]
pub struct Histograms<K> {
    name: &'static str,
    bounds: &'static [f64],
    instrument: Histogram<f64>,
    attributes: Attributes<K>,
    bound: RwLock<HashMap<K, Series>>,
}

#[derive(Debug, Clone)]
struct Series {
    bound: BoundHistogram<f64>,
    exemplars: Arc<Exemplars>,
}

impl<K: Eq + Hash + Clone> Histograms<K> {
    pub fn new(
        name: &'static str,
        bounds: &'static [f64],
        description: &'static str,
        attributes: Attributes<K>,
    ) -> Self {
        let instrument = meter()
            .f64_histogram(name)
            .with_unit("s")
            .with_boundaries(bounds.to_vec())
            .with_description(description)
            .build();
        Self { name, bounds, instrument, attributes, bound: RwLock::default() }
    }

    /// Records a duration. A sampled trace becomes the exemplar of its bucket.
    pub fn record(&self, key: &K, took: Duration, trace: Option<&TraceContext>) {
        if !are_on() {
            return;
        }
        let seconds = took.as_secs_f64();
        if let Some(series) = self.bound.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return series.record(seconds, trace);
        }
        let attributes = (self.attributes)(key);
        let mut all = self.bound.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_BOUND {
            return self.instrument.record(seconds, &attributes);
        }
        let series = all.entry(key.clone()).or_insert_with(|| Series {
            bound: self.instrument.bind(&attributes),
            exemplars: Exemplars::of(self.name, &attributes, self.bounds),
        });
        series.record(seconds, trace);
    }
}

impl Series {
    fn record(&self, seconds: f64, trace: Option<&TraceContext>) {
        self.bound.record(seconds);
        if let Some((trace, span)) = trace.and_then(TraceContext::sampled) {
            self.exemplars.offer(seconds, trace, span);
        }
    }
}
