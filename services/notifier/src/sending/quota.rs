//! Quotas of mails per hour for one account and to one recipient. With them, neither a flood of leads nor a hostile
//! account can turn the installation into a mail bomb.
//!
//! Each process counts for itself. A mail over a quota is left out and counted, and the next mail to the recipient
//! names the count. The caller passes the time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::AccountId;
use tokio::time::Instant;

/// The period for which mails are counted.
const PERIOD: Duration = Duration::from_secs(60 * 60);
/// The maximum number of accounts that have a count, and of recipients. If more have one in a [`PERIOD`], their counts
/// start at zero again.
const MAX_COUNTED: usize = 100_000;
/// The quarters of a quota that mails without precedence may use. The rest is for failure notices.
const ORDINARY_QUARTERS: u64 = 3;

/// Mails per hour; `None` if there is no limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) account: Option<u64>,
    pub(crate) recipient: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Quota {
    limits: Limits,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    accounts: HashMap<AccountId, Count>,
    recipients: HashMap<String, Count>,
    left_out: HashMap<(AccountId, String), u64>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Instant,
    mails: u64,
}

impl Quota {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, counted: Mutex::default() }
    }

    /// Counts a mail before it is sent, and returns how many mails to its recipient were left out before.
    ///
    /// # Errors
    /// If a quota is used up; the error names it.
    pub(crate) fn take(
        &self,
        account: &AccountId,
        recipient: &str,
        precedence: bool,
        now: Instant,
    ) -> Result<u64, String> {
        let (mut counted, person) = (self.lock(), recipient.to_lowercase());
        let allowed = |limit: u64| if precedence { limit } else { (limit * ORDINARY_QUARTERS / 4).max(1) };
        let over = |what: &str, limit: u64| format!("the quota of {limit} mails an hour {what} is used up");
        let Counted { accounts, recipients, left_out } = &mut *counted;
        let (of_account, to_recipient) = (count(accounts, account, now), count(recipients, &person, now));
        let key = (account.clone(), person);
        let refused = match (self.limits.account, self.limits.recipient) {
            (_, Some(limit)) if to_recipient.mails >= allowed(limit) => Some(over("to one recipient", limit)),
            (Some(limit), _) if of_account.mails >= allowed(limit) => Some(over("for one account", limit)),
            _ => None,
        };
        if let Some(refused) = refused {
            if left_out.len() >= MAX_COUNTED {
                left_out.clear();
            }
            *left_out.entry(key).or_default() += 1;
            return Err(refused);
        }
        of_account.mails += 1;
        to_recipient.mails += 1;
        Ok(left_out.remove(&key).unwrap_or(0))
    }

    /// Takes back the count of a mail that was not sent.
    pub(crate) fn give_back(&self, account: &AccountId, recipient: &str, left_out: u64) {
        let (mut counted, person) = (self.lock(), recipient.to_lowercase());
        if let Some(count) = counted.accounts.get_mut(account) {
            count.mails = count.mails.saturating_sub(1);
        }
        if let Some(count) = counted.recipients.get_mut(&person) {
            count.mails = count.mails.saturating_sub(1);
        }
        if left_out > 0 {
            *counted.left_out.entry((account.clone(), person)).or_default() += left_out;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count<'a, K: Clone + Eq + Hash>(counts: &'a mut HashMap<K, Count>, key: &K, now: Instant) -> &'a mut Count {
    if counts.len() >= MAX_COUNTED {
        counts.retain(|_, count| now.duration_since(count.since) < PERIOD);
    }
    if counts.len() >= MAX_COUNTED {
        counts.clear();
    }
    let count = counts.entry(key.clone()).or_insert(Count { since: now, mails: 0 });
    if now.duration_since(count.since) >= PERIOD {
        *count = Count { since: now, mails: 0 };
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_notices_have_the_last_quarter_of_a_quota() {
        let quota = Quota::new(Limits { account: Some(100), recipient: Some(4) });
        let (acme, now) = (AccountId::parse("acme").unwrap(), Instant::now());
        let take = |recipient, precedence, now| quota.take(&acme, recipient, precedence, now);
        for _ in 0..3 {
            assert_eq!(take("a@acme.example", false, now), Ok(0));
        }
        assert!(take("A@acme.example", false, now).unwrap_err().contains("4 mails an hour to one recipient"));
        assert!(take("a@acme.example", false, now).is_err());
        assert_eq!(take("a@acme.example", true, now), Ok(2));
        assert!(take("a@acme.example", true, now).is_err());
        assert_eq!(take("b@acme.example", false, now), Ok(0));
        assert_eq!(take("a@acme.example", false, now + PERIOD), Ok(1));
    }

    #[test]
    fn account_has_a_quota_over_all_recipients() {
        let quota = Quota::new(Limits { account: Some(4), recipient: None });
        let (acme, other) = (AccountId::parse("acme").unwrap(), AccountId::parse("other").unwrap());
        let now = Instant::now();
        let sent = (0..10).filter(|n| quota.take(&acme, &format!("p{n}@x.example"), false, now).is_ok()).count();
        assert_eq!(sent, 3);
        quota.give_back(&acme, "p0@x.example", 0);
        assert_eq!(quota.take(&acme, "p1@x.example", false, now), Ok(0));
        assert_eq!(quota.take(&other, "p1@x.example", false, now), Ok(0));
        let unlimited = Quota::new(Limits { account: None, recipient: None });
        assert!((0..10_000).all(|_| unlimited.take(&acme, "a@x.example", false, now).is_ok()));
    }
}
