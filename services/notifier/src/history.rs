//! What was told before, for notices that come again: NOTICES is read once, and after that only what is new.
//!
//! Without this each of many notices would read what was recorded since it was called for, which are the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use domain::{AccountId, NoticeId, notice::Told};
use jiff::Timestamp;
use journal::{Journal, JournalError, Since};
use tokio::time::Instant;

/// How many accounts are remembered, and how many notices of each; beyond that reading begins again.
const MAX_ACCOUNTS: usize = 256;
const MAX_NOTICES: usize = 100_000;
/// How much earlier than asked reading begins: those that come next may be a little older.
const MARGIN: Duration = Duration::from_secs(60 * 60);

/// How long a reading is good enough for a notice that another process may have called for before it died: what that led to
/// was recorded earlier.
const FRESH: Duration = Duration::from_secs(1);

/// What was told before.
#[derive(Debug)]
pub(crate) struct History {
    journal: Journal,
    accounts: Mutex<HashMap<AccountId, Arc<tokio::sync::Mutex<Option<Read>>>>>,
}

#[derive(Debug)]
struct Read {
    since: Timestamp,
    until: u64,
    /// When the last reading began.
    at: Instant,
    notices: HashMap<NoticeId, Told>,
}

impl History {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal, accounts: Mutex::default() }
    }

    /// Who was told this notice, at `since` or later and until `as_of`; `None`: as far as it is known from a moment ago.
    pub(crate) async fn told(
        &self,
        account: &AccountId,
        notice: NoticeId,
        since: Timestamp,
        as_of: Option<Instant>,
    ) -> Result<Told, JournalError> {
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
        let is_enough = as_of.map_or(read.at.elapsed() < FRESH, |as_of| read.at >= as_of);
        if read.until > 0 && is_enough {
            let told = read.notices.get(&notice).cloned().unwrap_or_default();
            *known = Some(read);
            return Ok(told);
        }
        read.at = Instant::now();
        let from = if read.until == 0 { Since::Time(read.since) } else { Since::Place(read.until) };
        let found = self.journal.told(account, from).await?;
        tracing::debug!(%account, notices = found.found.len(), "read what was told before");
        read.until = found.until;
        for (notice, told) in found.found {
            let so_far = read.notices.entry(notice).or_default();
            so_far.done |= told.done;
            so_far.reached.extend(told.reached);
        }
        let told = read.notices.get(&notice).cloned().unwrap_or_default();
        *known = Some(read);
        Ok(told)
    }
}
