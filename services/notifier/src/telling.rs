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
}

impl Default for Telling {
    fn default() -> Self {
        let sent = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR);
        Self { under_way: UnderWay::default(), sent: sent.eviction_policy(EvictionPolicy::lru()).build() }
    }
}

impl Telling {
    /// Begins to tell a notice, unless that is under way.
    pub(crate) fn begin(&self, notice: NoticeId) -> Option<Begun<'_, NoticeId>> {
        self.under_way.begin(notice)
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
