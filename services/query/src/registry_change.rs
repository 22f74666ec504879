//! Changes of the configuration. Every command becomes a fact here.
//!
//! A change is decided on a snapshot of the registry that contains every change that was confirmed before. Its append
//! expects the last sequence of the subject that the decision depends on. So if two such changes are decided on the
//! same snapshot, one is refused. The answer is sent once this process knows the change. The caller's account is
//! checked again against the change that was decided.

use std::{sync::Arc, time::Duration};

use api::status::{aborted, refusal, unavailable};
use domain::{
    Registry, RegistryFact,
    registry::{Command, Decision, Limits, UrlRules},
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView};
use runtime::ErrorChain as _;
use tonic::{Code, Status};

use crate::call::caller::Caller;

/// How long an answer waits until this process knows the change. After that, the answer is sent anyway.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes changes. Clones share the connection.
#[derive(Debug, Clone)]
pub(crate) struct Changes {
    journal: Journal,
    registry: RegistryView,
    rules: UrlRules,
    limits: Limits,
}

/// The result of a creation that may be a repeat.
pub(crate) struct Made<T> {
    /// The entity as it is now.
    pub(crate) found: T,
    /// Whether this call created the entity; `false` if another call did.
    pub(crate) by_this_call: bool,
}

impl Changes {
    pub(crate) fn new(journal: Journal, registry: RegistryView, rules: UrlRules, limits: Limits) -> Self {
        Self { journal, registry, rules, limits }
    }

    /// Decides, appends, and waits until this process knows the change. Returns the registry with the change.
    pub(crate) async fn make(
        &self,
        caller: &Caller,
        command: impl FnOnce(&Registry) -> Result<Command, Status>,
    ) -> Result<Arc<Registry>, Status> {
        let snapshot = self.latest().await?;
        self.make_from(&snapshot, caller, command(&snapshot)?).await
    }

    async fn make_from(
        &self,
        snapshot: &Arc<Registry>,
        caller: &Caller,
        command: Command,
    ) -> Result<Arc<Registry>, Status> {
        let (fact, expected_version) = self.decided(snapshot, caller, command)?;
        let sequence = self.journal.registry().append(&fact, expected_version).await.map_err(|e| not_stored(&e))?;
        let known = self.registry.at_least(sequence, KNOWN_TIMEOUT).await;
        // The change is stored. A caller that got an error would repeat it.
        Ok(known.unwrap_or_else(|| with(snapshot, sequence, &fact)))
    }

    /// Decides and checks like [`Self::make`], and appends nothing. Returns the registry with the change, or the
    /// current one if there is no command.
    pub(crate) async fn validate(
        &self,
        caller: &Caller,
        command: impl FnOnce(&Registry) -> Result<Option<Command>, Status>,
    ) -> Result<Arc<Registry>, Status> {
        let snapshot = self.latest().await?;
        let Some(command) = command(&snapshot)? else { return Ok(snapshot) };
        let (fact, _) = self.decided(&snapshot, caller, command)?;
        Ok(with(&snapshot, snapshot.sequence() + 1, &fact))
    }

    /// The fact that a command leads to, and the last sequence of the subject that its append has to expect.
    fn decided(&self, snapshot: &Registry, caller: &Caller, command: Command) -> Result<(RegistryFact, u64), Status> {
        let Decision { change, expected_version } = snapshot.decide(command, self.rules).map_err(|e| refusal(&e))?;
        if let (Some(account), _, _) = change.entity() {
            caller.may_touch(account)?;
        }
        self.limits.check(snapshot, &change).map_err(|e| refusal(&e))?;
        Ok((RegistryFact { at: Timestamp::now(), by: caller.by(), change }, expected_version))
    }

    /// Creates an entity whose id is computed from the call, unless it exists. `find` looks it up.
    pub(crate) async fn make_once<T>(
        &self,
        caller: &Caller,
        command: Command,
        find: impl Fn(&Registry) -> Result<T, Status>,
    ) -> Result<Made<T>, Status> {
        let snapshot = self.latest().await?;
        if let Ok(found) = find(&snapshot) {
            // The call that created the entity may not be answered yet, so other processes may not know it.
            journal::wait_propagation().await;
            return Ok(Made { found, by_this_call: false });
        }
        match self.make_from(&snapshot, caller, command).await {
            Ok(registry) => Ok(Made { found: find(&registry)?, by_this_call: true }),
            Err(lost) if lost.code() == Code::Aborted => {
                // Another call created it first.
                let registry = self.latest().await.map_err(|_| lost.clone())?;
                find(&registry).map(|found| Made { found, by_this_call: false }).map_err(|_| lost)
            }
            Err(refused) => Err(refused),
        }
    }

    /// The registry with every change that was confirmed before.
    pub(crate) async fn latest(&self) -> Result<Arc<Registry>, Status> {
        self.registry.up_to_date().await.map_err(|why| {
            unavailable(format!("nothing was changed: the latest configuration is not known: {why}; try again"))
        })
    }
}

/// A copy of the registry with one more fact.
fn with(snapshot: &Registry, sequence: u64, fact: &RegistryFact) -> Arc<Registry> {
    let mut ahead = Registry::clone(snapshot);
    ahead.apply(sequence, fact);
    Arc::new(ahead)
}

fn not_stored(error: &JournalError) -> Status {
    match error {
        JournalError::LostRace => aborted(error.to_string()),
        _ => {
            tracing::warn!(error = error.chain(), "cannot append a change of the configuration; refused the call");
            unavailable(format!(
                "cannot confirm that the change was stored: {error}; repeat a creation with the same request_id; \
                 before you repeat any other change, read the current settings"
            ))
        }
    }
}
