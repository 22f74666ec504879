//! The configuration as it is at the broker, for whoever must not act on an older one.
//!
//! A process hears of a change a moment after it was stored, or later when it hangs. But whoever was told that something
//! was made expects it to hold from then on, so a process that acts for such people asks the broker how far the
//! configuration goes, and waits until it knows that much. In order not to ask each time it trusts an answer for
//! [`NEWS_AGE`], and that is how long whoever makes a change keeps its own answer back. Each of the two measures a
//! duration of its own, so their clocks need not agree.

use std::{sync::Arc, time::Duration};

use domain::{Registry, RegistryFact};
use tokio::time::{Instant, timeout};

use crate::{ANSWER_DEADLINE, JournalError, Logged as _, RegistryView};

/// How long an answer to the question how far the configuration goes may be used.
pub(crate) const NEWS_AGE: Duration = Duration::from_millis(5);

/// When was asked how far the registry goes, and the answer.
pub(crate) type Asked = tokio::sync::Mutex<Option<(Instant, u64)>>;

/// Why the latest configuration is not known.
#[derive(Debug, thiserror::Error)]
pub enum NewsError {
    /// The broker does not say how far it goes.
    #[error("{0}")]
    NotTold(JournalError),
    /// This process does not get there in time.
    #[error("this process is behind")]
    Behind,
}

impl RegistryView {
    /// The configuration with every change that was answered before this was called, whichever process made it. Those who
    /// ask at once share one question, so however many ask, the broker hears little of it.
    ///
    /// # Errors
    /// When that cannot be found out within [`ANSWER_DEADLINE`].
    pub async fn up_to_date(&self) -> Result<Arc<Registry>, NewsError> {
        let called = Instant::now();
        let finding_out = async {
            let latest = self.latest_at(called).await.map_err(NewsError::NotTold)?;
            self.at_least(latest, ANSWER_DEADLINE).await.ok_or(NewsError::Behind)
        };
        timeout(ANSWER_DEADLINE, finding_out).await.unwrap_or(Err(NewsError::Behind))
    }

    /// How far the configuration went, at least, [`NEWS_AGE`] before this time.
    async fn latest_at(&self, time: Instant) -> Result<u64, JournalError> {
        let mut asked = self.asked.lock().await;
        if let Some((at, latest)) = *asked
            && at + NEWS_AGE > time
        {
            return Ok(latest);
        }
        let at = Instant::now();
        let latest = self.journal.last_sequence(RegistryFact::STREAM).await?;
        *asked = Some((at, latest));
        Ok(latest)
    }
}
