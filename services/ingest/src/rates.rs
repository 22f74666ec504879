//! The rate limit of each account: events per second, and events at once (GCRA, by the crate `governor`).
//!
//! A call above the limit is refused as a whole, with the time after which to retry. A stream is not refused: the
//! server reads it no faster than the account may publish, and flow control slows the publisher down.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use api::publish::PublishError;
use domain::AccountId;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};

/// The counts of the accounts; `None` if there is no limit. Only existing accounts are counted, so there are at most as
/// many counts as accounts.
#[derive(Debug, Default)]
pub(crate) struct Rates(Option<Rate>);

#[derive(Debug)]
struct Rate {
    per_second: u32,
    burst: u32,
    limiter: DefaultKeyedRateLimiter<AccountId>,
}

impl Rates {
    /// `per_second` events, and `burst` at once; no limit if `per_second` is 0.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let rate = NonZeroU32::new(per_second).zip(NonZeroU32::new(burst)).map(|(rate, at_once)| {
            let limiter = RateLimiter::keyed(Quota::per_second(rate).allow_burst(at_once));
            Rate { per_second, burst, limiter }
        });
        Self(rate)
    }

    /// Counts the events of a call, given the account of each.
    ///
    /// # Errors
    /// If an account publishes too fast, or if the call alone has more events of an account than it may publish at
    /// once.
    pub(crate) fn admit<'a>(&self, accounts: impl IntoIterator<Item = &'a AccountId>) -> Result<(), PublishError> {
        let Some(rate) = &self.0 else { return Ok(()) };
        let mut of_accounts = BTreeMap::<&AccountId, u32>::new();
        for account in accounts {
            *of_accounts.entry(account).or_default() += 1;
        }
        of_accounts.into_iter().try_for_each(|(account, events)| rate.admit(account, events))
    }

    /// Waits until an account may publish one more event, and counts it.
    pub(crate) async fn wait(&self, account: &AccountId) {
        if let Some(rate) = &self.0 {
            rate.limiter.until_key_ready(account).await;
        }
    }
}

impl Rate {
    fn admit(&self, account: &AccountId, events: u32) -> Result<(), PublishError> {
        let Some(count) = NonZeroU32::new(events) else { return Ok(()) };
        match self.limiter.check_key_n(account, count) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(too_early)) => Err(PublishError::TooFast {
                account: account.clone(),
                per_second: self.per_second,
                retry_after: too_early.wait_time_from(self.limiter.clock().now()).max(MIN_RETRY_AFTER),
            }),
            Err(_) => Err(PublishError::invalid(
                "body",
                format!(
                    "has {events} events of the account {account}, and {} is the limit for one call \
                     (--publish-burst); send them in several calls",
                    self.burst
                ),
            )),
        }
    }
}

/// The shortest delay in an answer. A shorter one would be over before the answer arrives.
const MIN_RETRY_AFTER: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_its_own_rate() {
        let [acme, other] = ["acme", "other"].map(|id| AccountId::parse(id).unwrap());
        let rates = Rates::new(1, 3);
        let rate = rates.0.as_ref().unwrap();
        assert_eq!(rate.admit(&acme, 3), Ok(()));
        let Err(PublishError::TooFast { account, per_second: 1, retry_after }) = rate.admit(&acme, 2) else { panic!() };
        assert_eq!(account, acme);
        assert!(retry_after > Duration::from_secs(1) && retry_after <= Duration::from_secs(2), "{retry_after:?}");
        assert_eq!(rate.admit(&other, 3), Ok(()));
        let never = rate.admit(&other, 4).unwrap_err();
        assert_eq!(never.field(), Some("body"));
        assert!(never.to_string().contains("4 events") && never.to_string().contains("3 is the limit"), "{never}");
    }
}
