//! Limits of open watches, because each watch has a separate consumer on the broker.

use std::sync::Arc;

use api::status::because;
use domain::{AccountId, KeyId, Principal};
use runtime::{Exceeded, Share, Shares};
use tonic::{Code, Status};

/// Limits of open watches per process.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(id = "watch_limits")]
pub struct WatchLimits {
    /// Maximum number of open watches of deliveries through this process
    #[arg(long, env = "LEADLINE_MAX_WATCHES", default_value_t = 400, value_name = "COUNT")]
    pub max_watches: usize,
    /// Maximum number of open watches with keys of one account; platform keys count as one account
    #[arg(long, env = "LEADLINE_MAX_WATCHES_PER_ACCOUNT", default_value_t = 100, value_name = "COUNT")]
    pub max_watches_per_account: usize,
    /// Maximum number of open watches with one key
    #[arg(long, env = "LEADLINE_MAX_WATCHES_PER_KEY", default_value_t = 50, value_name = "COUNT")]
    pub max_watches_per_key: usize,
}

#[derive(Debug)]
pub(super) struct Watchers {
    accounts: Arc<Shares<Option<AccountId>>>,
    keys: Arc<Shares<KeyId>>,
}

/// Counts an open watch until it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    _of_account: Share<Option<AccountId>>,
    _of_key: Share<KeyId>,
}

impl Watchers {
    pub(super) fn new(limits: WatchLimits) -> Self {
        Self {
            accounts: Shares::new(limits.max_watches, limits.max_watches_per_account),
            keys: Shares::new(usize::MAX, limits.max_watches_per_key),
        }
    }

    /// Counts one more watch, or refuses it.
    pub(super) fn begin(&self, by: &Principal) -> Result<Counted, Status> {
        let refused = |max: usize, whose: &str, setting: &str| {
            because(
                Code::ResourceExhausted,
                "LIMIT_REACHED",
                format!("the limit of {max} open watches {whose} is reached on this server ({setting}); end one first"),
            )
        };
        let of_key = self.keys.take(by.id()).map_err(|exceeded| {
            let (Exceeded::Each(max) | Exceeded::Total(max)) = exceeded;
            refused(max, "with this key", "--max-watches-per-key")
        })?;
        let of_account = self.accounts.take(&by.account().cloned()).map_err(|exceeded| match exceeded {
            Exceeded::Each(max) if by.account().is_some() => {
                refused(max, "with keys of this account", "--max-watches-per-account")
            }
            Exceeded::Each(max) => refused(max, "with platform keys", "--max-watches-per-account"),
            Exceeded::Total(max) => refused(max, "of all accounts", "--max-watches"),
        })?;
        Ok(Counted { _of_account: of_account, _of_key: of_key })
    }
}
