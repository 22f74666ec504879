//! The recipients that redelivered notices have reached. For each account, NOTICES is read once, and then only its new
//! facts. Otherwise each of many redelivered notices would read the facts about all the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{AccountId, NoticeId, notice::NoticeProgress};
use jiff::Timestamp;
use journal::{Journal, JournalError, Since};
use tokio::time::Instant;

/// How many accounts are remembered, and how many notices of each. If there are more, NOTICES is read again.
const MAX_ACCOUNTS: usize = 256;
const MAX_NOTICES: usize = 100_000;
/// How much earlier than requested a read begins, because the next notices may be a little older.
const MARGIN: Duration = Duration::from_secs(60 * 60);
/// The maximum age of a recent read. If a new leader called for a notice again, a recent read is enough, because the
/// facts about the earlier mails of the notice are older.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The recipients of earlier notices, for each account.
#[derive(Debug)]
pub(crate) struct History {
    journal: Journal,
    accounts: Mutex<HashMap<AccountId, Arc<tokio::sync::Mutex<Option<Read>>>>>,
}

#[derive(Debug)]
struct Read {
    since: Timestamp,
    until: u64,
    /// When the last read began.
    at: Instant,
    notices: HashMap<NoticeId, NoticeProgress>,
}

impl History {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, accounts: Mutex::default() }
    }

    /// The recipients that a notice reached between `since` and `as_of`. If `as_of` is `None`, a read that is at most
    /// [`MAX_AGE`] old is enough.
    pub(crate) async fn progress(
        &self,
        account: &AccountId,
        notice: NoticeId,
        since: Timestamp,
        as_of: Option<Instant>,
    ) -> Result<NoticeProgress, JournalError> {
        let known = {
            let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
            if accounts.len() >= MAX_ACCOUNTS && !accounts.contains_key(account) {
                accounts.clear();
            }
            Arc::clone(accounts.entry(account.clone()).or_default())
        };
        let mut known = known.lock().await;
        let usable = known.take().filter(|read| read.since <= since && read.notices.len() < MAX_NOTICES);
        let mut read = usable.unwrap_or_else(|| {
            let since = since.checked_sub(MARGIN).unwrap_or(Timestamp::MIN);
            Read { since, until: 0, at: Instant::now(), notices: HashMap::new() }
        });
        let is_enough = as_of.map_or(read.at.elapsed() < MAX_AGE, |as_of| read.at >= as_of);
        if read.until > 0 && is_enough {
            let progress = read.notices.get(&notice).cloned().unwrap_or_default();
            *known = Some(read);
            return Ok(progress);
        }
        read.at = Instant::now();
        let from = if read.until == 0 { Since::Time(read.since) } else { Since::Sequence(read.until) };
        let found = self.journal.notices().sent(account, from).await?;
        tracing::debug!(%account, notices = found.found.len(), "read earlier notices");
        read.until = found.until;
        for (notice, progress) in found.found {
            let so_far = read.notices.entry(notice).or_default();
            so_far.done |= progress.done;
            so_far.reached.extend(progress.reached);
        }
        let progress = read.notices.get(&notice).cloned().unwrap_or_default();
        *known = Some(read);
        Ok(progress)
    }
}
