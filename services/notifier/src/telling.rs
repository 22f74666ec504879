//! What this process is telling and has told lately, so that a message that comes again tells nobody twice.

use std::time::Duration;

use domain::NoticeId;
use moka::{policy::EvictionPolicy, sync::Cache};
use runtime::{Begun, UnderWay};

/// How many mails are remembered, and for how long.
const REMEMBERED: u64 = 100_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What this process is telling and has told lately.
#[derive(Debug)]
pub(crate) struct Telling {
    under_way: UnderWay<NoticeId>,
    sent: Cache<(NoticeId, String), ()>,
    /// Why a recipient gets none, while others still may.
    refused: Cache<(NoticeId, String), String>,
}

impl Default for Telling {
    fn default() -> Self {
        Self { under_way: UnderWay::default(), sent: cache(), refused: cache() }
    }
}

impl Telling {
    /// Begins to tell a notice, unless that is under way.
    pub(crate) fn begin(&self, notice: NoticeId) -> Option<Begun<'_, NoticeId>> {
        self.under_way.begin(notice)
    }

    /// Why this recipient does not get this notice, if that was found out before.
    pub(crate) fn was_refused(&self, notice: NoticeId, recipient: &str) -> Option<String> {
        self.refused.get(&(notice, recipient.to_owned()))
    }

    /// Notes that this recipient does not get this notice.
    pub(crate) fn remember_refused(&self, notice: NoticeId, recipient: &str, why: String) {
        self.refused.insert((notice, recipient.to_owned()), why);
    }

    /// Whether this recipient has got this notice from this process.
    pub(crate) fn was_sent(&self, notice: NoticeId, recipient: &str) -> bool {
        self.sent.contains_key(&(notice, recipient.to_owned()))
    }

    /// Notes that this recipient has got this notice.
    pub(crate) fn remember(&self, notice: NoticeId, recipient: &str) {
        self.sent.insert((notice, recipient.to_owned()), ());
    }
}

fn cache<T: Clone + Send + Sync + 'static>() -> Cache<(NoticeId, String), T> {
    let cache = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR);
    cache.eviction_policy(EvictionPolicy::lru()).build()
}
