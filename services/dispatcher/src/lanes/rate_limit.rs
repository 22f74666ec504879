//! The rate limit of a destination: how many requests may begin in a second.

use std::time::Duration;

use tokio::time::Instant;

/// Spreads the starts of requests evenly.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    next_start: Option<Instant>,
}

impl RateLimit {
    /// A start that is at most this late does not delay the next ones, because timers are not more exact.
    const SLACK: Duration = Duration::from_millis(10);

    /// Whether another request may start now; if so, it counts as started.
    pub(crate) fn may_start(&mut self, rate: Option<u32>) -> bool {
        let Some(rate) = rate else {
            self.next_start = None;
            return true;
        };
        let now = Instant::now();
        let due = self.next_start.unwrap_or(now).max(now.checked_sub(Self::SLACK).unwrap_or(now));
        if due > now {
            return false;
        }
        self.next_start = Some(due + Duration::from_secs(1) / rate);
        true
    }

    /// When the next request may start; `None` if there is no rate limit or no request has started.
    pub(crate) const fn next_start(&self) -> Option<Instant> {
        self.next_start
    }
}
