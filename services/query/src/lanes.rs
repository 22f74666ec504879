//! The conditions of lanes that are not open, as the dispatchers report them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{DestinationId, health::LaneCondition};
use journal::{Journal, JournalError, LaneReport};
use runtime::Platform;
use tokio::time::Instant;
use uuid::Uuid;

/// How long a report counts. Dispatchers report every two seconds while a lane is not open, so a dispatcher that is
/// silent for longer has stopped.
const REPORT_LIFETIME: Duration = Duration::from_secs(7);
/// At most this many dispatchers are remembered.
const MAX_DISPATCHERS: usize = 256;

/// The last report of each dispatcher.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lanes(Arc<Mutex<HashMap<Uuid, Report>>>);

#[derive(Debug)]
struct Report {
    at: Instant,
    lanes: HashMap<DestinationId, LaneCondition>,
}

impl Lanes {
    /// Follows the reports.
    ///
    /// # Errors
    /// Fails if the connection to the broker is closed.
    pub(crate) async fn follow(journal: &Journal, platform: &Platform) -> Result<Self, JournalError> {
        let mut reports = journal.lanes().reports().await?;
        let (lanes, drain) = (Self::default(), platform.drain.clone());
        let learning = lanes.clone();
        platform.drain.spawn("lane reports", async move {
            loop {
                tokio::select! {
                    report = reports.next() => match report {
                        Some(report) => learning.learn(report, Instant::now()),
                        None => return,
                    },
                    () = drain.stopping() => return,
                }
            }
        });
        Ok(lanes)
    }

    fn learn(&self, report: LaneReport, at: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, report| at.duration_since(report.at) < REPORT_LIFETIME);
        if known.len() < MAX_DISPATCHERS {
            known.insert(report.dispatcher, Report { at, lanes: report.lanes.into_iter().collect() });
        }
    }

    /// The worst condition of the destination's lanes, over all dispatchers; `None` if all are open.
    pub(crate) fn condition(&self, destination: &DestinationId, now: Instant) -> Option<LaneCondition> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = known.values().filter(|report| now.duration_since(report.at) < REPORT_LIFETIME);
        let of_each = fresh.filter_map(|report| {
            let age = now.duration_since(report.at);
            report.lanes.get(destination).map(|condition| condition.aged(age))
        });
        of_each.max_by_key(LaneCondition::rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_fresh_report_counts() {
        let (lanes, begun) = (Lanes::default(), Instant::now());
        let id = |text: &str| DestinationId::parse(text).unwrap();
        let report = |dispatcher: u128, condition| LaneReport {
            dispatcher: Uuid::from_u128(dispatcher),
            lanes: vec![(id("d"), condition)],
        };
        let second = Duration::from_secs(1);
        lanes.learn(report(1, LaneCondition::Narrowed { allowed: 2, failures: 3 }), begun);
        lanes.learn(report(2, LaneCondition::Probing { after: 9 * second, failures: 20 }), begun + second);
        let at = |seconds| lanes.condition(&id("d"), begun + second * seconds);
        assert_eq!(at(3), Some(LaneCondition::Probing { after: 7 * second, failures: 20 }));
        assert_eq!(at(9), None, "both dispatchers are silent");
        assert_eq!(lanes.condition(&id("other"), begun), None);
        lanes.learn(LaneReport { dispatcher: Uuid::from_u128(2), lanes: vec![] }, begun + 2 * second);
        assert_eq!(at(3), Some(LaneCondition::Narrowed { allowed: 2, failures: 3 }));
    }
}
