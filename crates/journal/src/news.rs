//! Asking the broker how far the configuration goes, for whoever does not find something in the view that he was just
//! told of: another process may have made it a moment ago.

use std::{sync::Arc, time::Duration};

use domain::{Registry, RegistryFact};
use tokio::time::Instant;

use crate::{JournalError, Logged as _, RegistryView};

/// How long a call waits for news that this process does not know yet.
const NEWS_DEADLINE: Duration = Duration::from_secs(1);
/// How long an answer to the same question may be used again; a change takes longer to get here.
const NEWS_AGE: Duration = Duration::from_millis(2);

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
    /// The configuration as it is at the broker now, not only as far as this process knows it. Those who ask at once
    /// share one question, so however many ask, the broker hears little of it.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn up_to_date(&self) -> Result<Arc<Registry>, NewsError> {
        // While the broker is away every question takes long, and those who ask must not wait for all before them.
        let asked = tokio::time::timeout(NEWS_DEADLINE, self.asked.lock()).await;
        let mut asked = asked.map_err(|_| NewsError::Behind)?;
        let latest = match *asked {
            Some((at, latest)) if at.elapsed() < NEWS_AGE => latest,
            _ => {
                let at = Instant::now();
                let latest = self.journal.last_sequence(RegistryFact::STREAM).await.map_err(NewsError::NotTold)?;
                *asked = Some((at, latest));
                latest
            }
        };
        drop(asked);
        self.at_least(latest, NEWS_DEADLINE).await.ok_or(NewsError::Behind)
    }
}
