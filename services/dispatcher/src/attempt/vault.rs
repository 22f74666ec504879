//! Secrets that cannot be opened with the master key of this process.
//!
//! The installation is at fault, never a receiver. No attempt is made or recorded, and the work is parked. The
//! dispatcher is not ready until every such secret can be opened or is removed, and the log names the destinations. A
//! process with another master key does not start, so such a secret is damaged, or was sealed with a key that was
//! replaced.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crypto::{MasterKey, OpenError};
use domain::{DestinationId, Registry};
use jiff::Timestamp;
use journal::RegistryView;
use runtime::{Drain, ErrorChain as _, Latch};

/// The destinations with a secret that cannot be opened.
#[derive(Debug)]
pub(crate) struct Vault {
    latch: Latch,
    closed: Mutex<BTreeSet<DestinationId>>,
}

impl Vault {
    pub(crate) fn new(latch: Latch) -> Self {
        latch.ready();
        Self { latch, closed: Mutex::default() }
    }

    /// Notes that a secret of a destination cannot be opened.
    pub(crate) fn does_not_open(&self, destination: &DestinationId, error: OpenError) {
        let mut closed = self.closed();
        if closed.insert(destination.clone()) {
            tracing::error!(%destination, error = error.chain(), "cannot open a secret; the deliveries of its destination wait");
            self.show(&closed);
        }
    }

    /// Checks the secrets again. Forgets deleted destinations, and those whose secrets can all be opened now.
    fn check_again(&self, registry: &Registry, key: &MasterKey) {
        let mut closed = self.closed();
        let before = closed.len();
        closed.retain(|id| {
            registry.destination(id).is_some_and(|destination| {
                let secrets = registry.sealed_secrets_of(destination, Timestamp::now());
                secrets.iter().any(|sealed| key.open_bytes(&sealed.secret.0, &sealed.belongs_to).is_err())
            })
        });
        if closed.len() != before {
            self.show(&closed);
        }
    }

    /// Checks the secrets again after each change of the configuration, until the drain.
    pub(crate) async fn follow(&self, registry: &RegistryView, key: &MasterKey, drain: &Drain) {
        let mut seen = 0;
        loop {
            tokio::select! {
                changed = registry.changed_since(seen) => {
                    seen = changed.sequence();
                    self.check_again(&changed, key);
                }
                () = drain.stopping() => return,
            }
        }
    }

    fn show(&self, closed: &BTreeSet<DestinationId>) {
        if closed.is_empty() {
            return self.latch.ready();
        }
        self.latch.not_ready(format!(
            "the deliveries of {} destinations wait because their secrets cannot be opened; the log names the \
             destinations. Start the dispatcher with the key that sealed the secrets (--master-key), or rotate the tokens \
             and give the credentials again",
            closed.len()
        ));
    }

    fn closed(&self) -> MutexGuard<'_, BTreeSet<DestinationId>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
