//! Reports lanes that are not open, so that people see why a destination gets few requests or none.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{DestinationId, breaker::Breaker, delivery::SpanRef, health::LaneCondition, registry::Destination};
use journal::{Journal, LaneReport};
use runtime::{Drain, trace::TraceContext};
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

/// How often a dispatcher reports while one of its lanes is not open.
const INTERVAL: Duration = Duration::from_secs(2);
/// At most this many lanes are in a report, so that it fits into a message of the broker.
const MAX_REPORTED: usize = 5_000;

/// Why a lane makes fewer requests than its destination allows. Its times are instants of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpen {
    Probing { at: Instant, failures: u32 },
    Paused { until: Instant },
    Narrowed { allowed: u32, failures: u32 },
}

impl NotOpen {
    /// Why a lane makes fewer requests; `None` if it does not. The times of its breaker are counted from `opened`.
    pub(crate) fn of(
        destination: &Destination,
        breaker: &Breaker,
        opened: Instant,
        paused_until: Option<Instant>,
    ) -> Option<Self> {
        if let Some(until) = paused_until {
            return Some(Self::Paused { until });
        }
        let failures = breaker.failures();
        if let Some(at) = breaker.probe_at() {
            return Some(Self::Probing { at: opened + at, failures });
        }
        let allowed = breaker.allows(destination.breaker_failures, destination.concurrency, opened.elapsed());
        (allowed < destination.concurrency).then_some(Self::Narrowed { allowed, failures })
    }

    fn condition(self, now: Instant) -> LaneCondition {
        match self {
            Self::Probing { at, failures } => {
                LaneCondition::Probing { after: at.saturating_duration_since(now), failures }
            }
            Self::Paused { until } => LaneCondition::Paused { left: until.saturating_duration_since(now) },
            Self::Narrowed { allowed, failures } => LaneCondition::Narrowed { allowed, failures },
        }
    }
}

/// The reported condition of one lane. When the lane ends, its condition is removed from the report.
pub(crate) struct Reported {
    reports: Arc<Reports>,
    destination: DestinationId,
    last: Option<NotOpen>,
}

impl Reported {
    pub(crate) fn of(reports: &Arc<Reports>, destination: &DestinationId) -> Self {
        Self { reports: Arc::clone(reports), destination: destination.clone(), last: None }
    }

    pub(crate) fn note(&mut self, condition: Option<NotOpen>) {
        if condition != self.last {
            self.last = condition;
            self.reports.note(&self.destination, condition);
        }
    }
}

impl Drop for Reported {
    fn drop(&mut self) {
        self.note(None);
    }
}

/// The lanes that are not open.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    lanes: Mutex<HashMap<DestinationId, NotOpen>>,
    changed: Notify,
}

impl Reports {
    fn note(&self, destination: &DestinationId, condition: Option<NotOpen>) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        match condition {
            Some(condition) => lanes.insert(destination.clone(), condition),
            None => lanes.remove(destination),
        };
        drop(lanes);
        self.changed.notify_one();
    }

    /// How many lanes are probing, paused and narrowed.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 3] {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts = [("probing", 0), ("paused", 0), ("narrowed", 0)];
        for lane in lanes.values() {
            let index = match lane {
                NotOpen::Probing { .. } => 0,
                NotOpen::Paused { .. } => 1,
                NotOpen::Narrowed { .. } => 2,
            };
            counts[index].1 += 1;
        }
        counts
    }

    fn report(&self, dispatcher: Uuid) -> LaneReport {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let lanes = lanes.iter().take(MAX_REPORTED).map(|(id, lane)| (id.clone(), lane.condition(now)));
        LaneReport { dispatcher, lanes: lanes.collect() }
    }

    /// Sends a report after each change, at most one every [`INTERVAL`], and repeats it while a lane is not open.
    pub(crate) async fn run(self: Arc<Self>, journal: Journal, drain: Drain) {
        let dispatcher = Uuid::new_v4();
        let mut are_all_open = true;
        loop {
            let next = async {
                if are_all_open {
                    self.changed.notified().await;
                }
            };
            tokio::select! {
                () = next => {}
                () = drain.stopping() => return,
            }
            let report = self.report(dispatcher);
            are_all_open = report.lanes.is_empty();
            journal.lanes().report(&report).await;
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = drain.stopping() => return,
            }
        }
    }
}

/// Logs that the breaker of a lane opened or closed, in the trace of the attempt that caused it.
pub(crate) fn log_breaker(destination: &DestinationId, is_open: bool, attempt: Option<SpanRef>) {
    let trace = attempt.map(|span| TraceContext::of_ids(span.trace_id, span.span_id)).unwrap_or_default();
    trace.within(|| match is_open {
        true => tracing::warn!(%destination, "breaker of lane opened; it allows only probes"),
        false => tracing::info!(%destination, "breaker of lane closed; requests continue"),
    });
}
