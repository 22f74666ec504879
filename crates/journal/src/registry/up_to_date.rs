//! Waits until the registry view has every change that was confirmed before a call.

use std::sync::Arc;

use domain::{Registry, RegistryFact};
use tokio::time::{Instant, timeout};

use crate::{
    clock::ANSWER_DEADLINE,
    error::JournalError,
    registry::{
        freshness::{FreshnessError, Outcome},
        view::RegistryView,
    },
    streams::StreamFact as _,
};

impl RegistryView {
    /// The configuration with every change that any process confirmed before this call. Concurrent calls share one
    /// request to the broker.
    ///
    /// # Errors
    /// When the configuration is not up to date within [`ANSWER_DEADLINE`].
    pub async fn up_to_date(&self) -> Result<Arc<Registry>, FreshnessError> {
        let called = Instant::now();
        let known = self.snapshot();
        if self.freshness.before(called).is_some_and(|latest| known.sequence() >= latest) {
            return Ok(known);
        }
        if self.freshness.failed_recently() {
            return Err(FreshnessError::FailedRecently);
        }
        let refreshing = async {
            let latest = self.latest_at(called).await.map_err(FreshnessError::Unavailable)?;
            self.at_least(latest, ANSWER_DEADLINE).await.ok_or(FreshnessError::Behind)
        };
        let refreshed = timeout(ANSWER_DEADLINE, refreshing).await.unwrap_or(Err(FreshnessError::Behind));
        if refreshed.is_err() {
            self.freshness.record(Outcome::Unanswered(Instant::now()));
        }
        refreshed
    }

    async fn latest_at(&self, time: Instant) -> Result<u64, JournalError> {
        let _lock = self.freshness.request_lock.lock().await;
        if let Some(latest) = self.freshness.before(time) {
            return Ok(latest);
        }
        let at = Instant::now();
        let latest = self.journal.stream(RegistryFact::STREAM).last_sequence().await?;
        self.freshness.record(Outcome::Answered(at, latest));
        Ok(latest)
    }
}
