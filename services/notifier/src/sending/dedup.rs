//! The notices that this process is sending or has sent recently, so that a redelivered message causes no second mail.

use std::time::Duration;

use domain::NoticeId;
use moka::{policy::EvictionPolicy, sync::Cache};
use runtime::{Begun, KeysInFlight};

/// How many mails are remembered, and for how long.
const MAX_REMEMBERED: u64 = 100_000;
const REMEMBER_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug)]
pub(crate) struct Dedup {
    in_flight: KeysInFlight<NoticeId>,
    sent: Cache<(NoticeId, String), ()>,
    /// The recipients that were refused for good. If the notice is redelivered for others, they are not tried again.
    refused: Cache<(NoticeId, String), String>,
}

impl Default for Dedup {
    fn default() -> Self {
        Self { in_flight: KeysInFlight::default(), sent: cache(), refused: cache() }
    }
}

impl Dedup {
    /// Begins to send a notice; `None` if another task is sending it.
    pub(crate) fn begin(&self, notice: NoticeId) -> Option<Begun<'_, NoticeId>> {
        self.in_flight.begin(notice)
    }

    /// The final refusal of this notice for this recipient; `None` if there was none.
    pub(crate) fn was_refused(&self, notice: NoticeId, recipient: &str) -> Option<String> {
        self.refused.get(&(notice, recipient.to_owned()))
    }

    pub(crate) fn remember_refused(&self, notice: NoticeId, recipient: &str, why: String) {
        self.refused.insert((notice, recipient.to_owned()), why);
    }

    /// Whether this process has sent this notice to this recipient.
    pub(crate) fn was_sent(&self, notice: NoticeId, recipient: &str) -> bool {
        self.sent.contains_key(&(notice, recipient.to_owned()))
    }

    pub(crate) fn remember(&self, notice: NoticeId, recipient: &str) {
        self.sent.insert((notice, recipient.to_owned()), ());
    }
}

fn cache<T: Clone + Send + Sync + 'static>() -> Cache<(NoticeId, String), T> {
    let cache = Cache::builder().max_capacity(MAX_REMEMBERED).time_to_live(REMEMBER_TIMEOUT);
    cache.eviction_policy(EvictionPolicy::lru()).build()
}
