//! History: how long ended deliveries, leads and jobs are shown.

use std::time::Duration;

use domain::registry::Account;
use jiff::{SignedDuration, Timestamp};

const MIN_HISTORY: Duration = Duration::from_secs(1);

/// How long history is kept.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(id = "history")]
pub struct History {
    /// How long ended deliveries, their leads and jobs are shown, e.g. 400d; an account may have less. Events that the
    /// broker still holds (--keep-events) are shown in any case
    #[arg(long, env = "LEADLINE_KEEP_HISTORY", default_value = "400d", value_name = "DURATION", value_parser = kept)]
    pub keep_history: Duration,
}

impl History {
    /// How long the history of an account is kept.
    pub fn of(self, account: &Account) -> Duration {
        account.keep_history.map_or(self.keep_history, |own| own.min(self.keep_history))
    }

    /// The start of the history of an account, given the time of the oldest event that the broker holds. Deliveries of
    /// events that the broker holds are kept, because recoveries and the reconciler look them up.
    pub fn kept_from(self, account: &Account, now: Timestamp, oldest_event: Option<Timestamp>) -> Timestamp {
        let kept = SignedDuration::try_from(self.of(account)).unwrap_or(SignedDuration::MAX);
        let from = now.checked_sub(kept).unwrap_or(Timestamp::MIN);
        oldest_event.map_or(from, |oldest| from.min(oldest))
    }
}

fn kept(text: &str) -> Result<Duration, String> {
    let kept = runtime::duration::parse(text)?;
    if kept < MIN_HISTORY { Err(format!("{text:?} is less than a second")) } else { Ok(kept) }
}

#[cfg(test)]
mod tests {
    use domain::{AccountId, registry::Routing};

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn account(keep_history: Option<Duration>) -> Account {
        Account {
            id: AccountId::parse("acme").unwrap(),
            name: String::new(),
            brand: None,
            notification_emails: vec![],
            api_user_emails: vec![],
            routing: Routing::default(),
            keep_history,
            portal: domain::registry::Portal::default(),
            unconfirmed: vec![],
            deleted: false,
        }
    }

    #[test]
    fn an_account_shortens_history_and_the_broker_lengthens_it() {
        let (history, now) = (History { keep_history: DAY * 400 }, Timestamp::from_second(1_800_000_000).unwrap());
        let days_kept = |own: Option<u32>, event: Option<u32>| {
            let ago = |days: u32| now - SignedDuration::try_from(DAY * days).unwrap();
            let kept = history.kept_from(&account(own.map(|days| DAY * days)), now, event.map(ago));
            (now.as_second() - kept.as_second()) / 86_400
        };
        for (own, event, kept) in [
            (None, None, 400),
            (None, Some(90), 400),
            (Some(180), Some(90), 180),
            (Some(30), Some(90), 90),
            (Some(30), None, 30),
            (Some(1_000), Some(90), 400),
            (None, Some(500), 500),
        ] {
            assert_eq!(days_kept(own, event), kept, "own {own:?}, oldest event {event:?}");
        }
    }
}
