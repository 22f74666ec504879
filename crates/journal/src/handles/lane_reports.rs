//! Lane reports: which lanes of dispatchers are not open. Dispatchers publish them every few seconds, and interested
//! processes subscribe. No stream stores them, because they are valid for seconds only.

use async_nats::Subscriber;
use events::{Record as _, lane_report::LaneReport};
use futures::StreamExt as _;
use runtime::ErrorChain as _;

use crate::{error::JournalError, handles::Lanes};

/// The subject of the reports.
const SUBJECT: &str = "leadline.lanes";

impl Lanes<'_> {
    /// Publishes a report. If the broker is unavailable, the report is lost, and the next one follows soon.
    pub async fn report(self, report: &LaneReport) {
        if let Err(error) = self.journal.context().client().publish(SUBJECT, report.encode()).await {
            tracing::debug!(error = error.chain(), "cannot publish lane report");
        }
    }

    /// Subscribes to the reports of every dispatcher.
    ///
    /// # Errors
    /// When the connection to the broker is closed.
    pub async fn reports(self) -> Result<LaneReports, JournalError> {
        let subscriber = self.journal.context().client().subscribe(SUBJECT).await;
        subscriber.map(LaneReports).map_err(|error| JournalError::unavailable("subscribe to lane reports", error))
    }
}

/// The reports of dispatchers.
#[derive(Debug)]
pub struct LaneReports(Subscriber);

impl LaneReports {
    /// The next report; `None` once the connection is closed. Cancel-safe.
    pub async fn next(&mut self) -> Option<LaneReport> {
        loop {
            match LaneReport::decode(self.0.next().await?.payload) {
                Ok(report) => return Some(report),
                Err(error) => tracing::warn!(error = error.chain(), "cannot read a lane report"),
            }
        }
    }
}
