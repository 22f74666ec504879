//! Secrets that the master key of this process does not open.
//!
//! That is a fault of the installation, never of a receiver. No attempt is made or recorded, and the work is parked.
//! The dispatcher is not ready until every such secret opens or is gone, and the log names the destinations. A process
//! with another master key does not start, so such a secret is damaged, or was sealed with a key that was replaced.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crypto::{MasterKey, OpenError};
use domain::{DestinationId, Registry};
use jiff::Timestamp;
use journal::RegistryView;
use runtime::{Drain, ErrorChain as _, Latch};

/// The destinations whose secrets do not open.
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

    /// Notes that a secret of a destination does not open.
    pub(crate) fn does_not_open(&self, destination: &DestinationId, error: OpenError) {
        let mut closed = self.closed();
        if closed.insert(destination.clone()) {
            tracing::error!(%destination, error = error.chain(), "cannot open a secret; the deliveries of its destination wait");
            self.show(&closed);
        }
    }

    /// Checks the secrets again, and forgets destinations that are gone or whose secrets all open.
    fn look_again(&self, registry: &Registry, key: &MasterKey) {
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
                    self.look_again(&changed, key);
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
            "the deliveries of {} destinations wait because their secrets do not open; the log names the destinations. Start \
             the dispatcher with the key that sealed the secrets (--master-key), or rotate the tokens and give the credentials \
             again",
            closed.len()
        ));
    }

    fn closed(&self) -> MutexGuard<'_, BTreeSet<DestinationId>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
