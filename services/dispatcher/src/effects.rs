//! Performs effects: timers, facts, deactivations and releases. No other module does.

use std::time::Duration;

use domain::{
    AccountId, DestinationId, RegistryFact,
    delivery::Effect,
    registry::{Command, Deactivation, UrlRules},
};
use journal::JournalError;
use runtime::{ErrorChain as _, crash, trace::TraceContext};
use tokio::time::sleep;

use crate::{intake::ordered, measured, shared::Shared, wide_event};

/// The delay before an effect is retried.
const EFFECT_RETRY_DELAY: Duration = Duration::from_millis(500);
/// The time to wait until this process knows a change of the configuration.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(2);

/// Performs the effects in the given order. An effect that the broker does not store is retried until the process ends:
/// the attempt was made, and without its fact another process would repeat it.
pub(crate) async fn perform(shared: &Shared, effects: impl IntoIterator<Item = Effect>, trace: &TraceContext) {
    for effect in effects {
        while let Err(error) = perform_one(shared, &effect, trace).await {
            if !error.is_logged() {
                let log = || tracing::warn!(error = error.chain(), "cannot store the outcome of an attempt; retrying");
                trace.within(log);
            }
            sleep(EFFECT_RETRY_DELAY).await;
        }
    }
}

async fn perform_one(shared: &Shared, effect: &Effect, trace: &TraceContext) -> Result<(), JournalError> {
    match effect {
        Effect::SetTimer { work, at } => {
            shared.journal.timers().schedule(work, *at, trace).await?;
            crash::point("after a timer is set");
            Ok(())
        }
        Effect::Deactivate { account, destination, why } => deactivate(shared, account, destination, why).await,
        Effect::CancelTimer { destination, delivery, round } => {
            shared.journal.timers().cancel(destination, *delivery, *round).await
        }
        Effect::Append(fact) => {
            shared.journal.deliveries().append(fact, trace).await?;
            measured::stored(fact, trace);
            if shared.log_deliveries {
                trace.within(|| wide_event::log(fact));
            }
            Ok(())
        }
        Effect::PassTurn { ended, again } => {
            crash::point("before a turn is passed");
            // Boxed, because this future is large and seldom needed.
            Box::pin(ordered::release_next(shared, ended, *again)).await
        }
    }
}

/// Whether a destination is off, so that its deliveries are held.
pub(crate) fn is_off(shared: &Shared, destination: &DestinationId) -> bool {
    shared.registry.snapshot().destination(destination).is_none_or(|d| d.is_off())
}

/// Deactivates a destination, unless a person or another process has switched it off already.
async fn deactivate(
    shared: &Shared,
    account: &AccountId,
    destination: &DestinationId,
    why: &Deactivation,
) -> Result<(), JournalError> {
    let registry = shared.registry.snapshot();
    let is_on = registry.destination(destination).is_some_and(|d| !d.is_off());
    let command = Command::DeactivateDestination(account.clone(), destination.clone(), why.clone());
    let decision = registry.decide(command, UrlRules::default());
    let (true, Ok(decision)) = (is_on, decision) else { return Ok(()) };
    let fact = RegistryFact { at: why.at, by: "dispatcher".to_owned(), change: decision.change };
    let sequence = match shared.journal.registry().append(&fact, decision.expected_version).await {
        Ok(sequence) => sequence,
        // Another process changed the destination first, perhaps an unrelated setting. The retry decides with the newer
        // configuration.
        Err(JournalError::LostRace) => {
            shared.registry.at_least(registry.sequence() + 1, REGISTRY_TIMEOUT).await;
            return Err(JournalError::LostRace);
        }
        Err(error) => return Err(error),
    };
    tracing::warn!(%destination, cause = why.cause.as_str(), "deactivated destination");
    shared.registry.at_least(sequence, REGISTRY_TIMEOUT).await;
    Ok(())
}
