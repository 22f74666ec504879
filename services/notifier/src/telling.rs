//! What this process is telling and has told lately, so that a message that comes again tells nobody twice.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::NoticeId;
use moka::{policy::EvictionPolicy, sync::Cache};

/// How many mails are remembered, and for how long.
const REMEMBERED: u64 = 100_000;
const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// What this process is telling and has told lately.
#[derive(Debug)]
pub(crate) struct Telling {
    under_way: Mutex<HashSet<NoticeId>>,
    sent: Cache<(NoticeId, String), ()>,
}

/// A notice is being told as long as this lives.
#[derive(Debug)]
pub(crate) struct UnderWay<'a> {
    telling: &'a Telling,
    notice: NoticeId,
}

impl Default for Telling {
    fn default() -> Self {
        let sent = Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBERED_FOR);
        Self { under_way: Mutex::default(), sent: sent.eviction_policy(EvictionPolicy::lru()).build() }
    }
}

impl Telling {
    /// Begins to tell a notice, unless that is under way.
    pub(crate) fn begin(&self, notice: NoticeId) -> Option<UnderWay<'_>> {
        self.under_way().insert(notice).then_some(UnderWay { telling: self, notice })
    }

    /// Whether this recipient has got this notice from this process.
    pub(crate) fn was_sent(&self, notice: NoticeId, recipient: &str) -> bool {
        self.sent.contains_key(&(notice, recipient.to_owned()))
    }

    /// Notes that this recipient has got this notice.
    pub(crate) fn remember(&self, notice: NoticeId, recipient: &str) {
        self.sent.insert((notice, recipient.to_owned()), ());
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<NoticeId>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.telling.under_way().remove(&self.notice);
    }
}
