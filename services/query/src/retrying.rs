//! The one way in which people and jobs request retries.

use domain::{
    AccountId, Delivery, DeliveryFact, DeliveryStatus, DestinationId, InterfaceId, Registry,
    delivery::{FailureReason, RetryRefusal, Subject},
};
use journal::{Journal, JournalError};
use runtime::trace::TraceContext;

use crate::store::{Store, StoreError};

/// The conditions of a retry besides the delivery itself.
///
/// # Errors
/// Fails if the broker or the database does not answer.
pub(crate) async fn subject<E: From<JournalError> + From<StoreError>>(
    journal: &Journal,
    store: &Store,
    registry: &Registry,
    delivery: &Delivery,
) -> Result<Subject, E> {
    let reference = &delivery.reference;
    let configured = configured(registry, &reference.account, &reference.interface, &reference.destination);
    // A delivery that is not failed is refused anyway.
    let payload_gone =
        delivery.status == DeliveryStatus::Failed && journal.lead_at(reference.lead_sequence).await?.is_none();
    let anonymised_until = store.anonymised_until(&reference.account, &reference.lead).await?;
    let lead_anonymised =
        reference.lead_sequence <= anonymised_until || delivery.failure == Some(FailureReason::Anonymised);
    Ok(Subject { lead_anonymised, payload_gone, ..configured })
}

/// The conditions that need no look at the delivery or its payload.
pub(crate) fn configured(
    registry: &Registry,
    account: &AccountId,
    interface: &InterfaceId,
    destination: &DestinationId,
) -> Subject {
    Subject {
        interface_deleted: !interface.is_reserved() && registry.interface(account, interface).is_none(),
        destination_deleted: registry.destination(destination).is_none(),
        switch: registry.switch(destination),
        ..Subject::default()
    }
}

/// Appends the request of a retry; returns its sequence. `Ok(Err)` if another request came first that the read model
/// did not show yet.
pub(crate) async fn ask(
    journal: &Journal,
    fact: &DeliveryFact,
    trace: &TraceContext,
) -> Result<Result<u64, RetryRefusal>, JournalError> {
    let appended = journal.append_delivery(fact, trace).await?;
    Ok(if appended.duplicate { Err(RetryRefusal::NotFailed(DeliveryStatus::Pending)) } else { Ok(appended.sequence) })
}
