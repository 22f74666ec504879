//! Requests retries. Calls and jobs use it, so both apply the same conditions.

use domain::{
    AccountId, Delivery, DeliveryFact, DeliveryStatus, DestinationId, InterfaceId, Registry,
    delivery::{FailureReason, RetryContext, RetryRefusal},
};
use journal::{Journal, JournalError};
use runtime::trace::TraceContext;

use crate::{error::StoreError, store::Store};

/// The conditions of a retry besides the delivery itself.
///
/// # Errors
/// Fails if the broker or the database does not answer.
pub async fn context<E: From<JournalError> + From<StoreError>>(
    journal: &Journal,
    store: &Store,
    registry: &Registry,
    delivery: &Delivery,
    force: bool,
) -> Result<RetryContext, E> {
    let reference = &delivery.reference;
    let configured = configured(registry, &reference.account, &reference.interface, &reference.destination);
    // Every other delivery is refused anyway.
    let may_be_sent = match delivery.status {
        DeliveryStatus::Failed => true,
        DeliveryStatus::Succeeded => force,
        _ => false,
    };
    let payload_gone = may_be_sent && journal.leads().get(reference.lead_sequence).await?.is_none();
    let anonymised_until = store.anonymised_until(&reference.account, &reference.lead).await?;
    let lead_anonymised =
        reference.lead_sequence <= anonymised_until || delivery.failure == Some(FailureReason::Anonymised);
    Ok(RetryContext { lead_anonymised, payload_gone, ..configured })
}

/// The conditions that depend neither on the delivery nor on its payload.
pub fn configured(
    registry: &Registry,
    account: &AccountId,
    interface: &InterfaceId,
    destination: &DestinationId,
) -> RetryContext {
    RetryContext {
        interface_deleted: !interface.is_reserved() && registry.interface(account, interface).is_none(),
        destination_deleted: registry.destination(destination).is_none(),
        switch: registry.switch(destination),
        ..RetryContext::default()
    }
}

/// Appends the request of a retry, and returns its sequence. Returns `Ok(Err(_))` if another request was stored first
/// and the read model did not show it yet.
pub async fn append(
    journal: &Journal,
    fact: &DeliveryFact,
    trace: &TraceContext,
) -> Result<Result<u64, RetryRefusal>, JournalError> {
    let appended = journal.deliveries().append(fact, trace).await?;
    Ok(if appended.duplicate { Err(RetryRefusal::NotFailed(DeliveryStatus::Pending)) } else { Ok(appended.sequence) })
}
