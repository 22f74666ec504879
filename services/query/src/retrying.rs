//! The one way in which deliveries are asked for again, by a person or in a job.

use domain::{
    AccountId, Delivery, DeliveryFact, DeliveryStatus, DestinationId, InterfaceId, Registry,
    delivery::{FailureReason, RetryRefusal, Subject},
};
use journal::{Journal, JournalError};
use runtime::trace::TraceContext;

use crate::store::{Store, StoreError};

/// What a retry depends on besides the delivery itself.
///
/// # Errors
/// When the broker or the database does not answer.
pub(crate) async fn subject<E: From<JournalError> + From<StoreError>>(
    journal: &Journal,
    store: &Store,
    registry: &Registry,
    delivery: &Delivery,
) -> Result<Subject, E> {
    let reference = &delivery.reference;
    let configured = configured(registry, &reference.account, &reference.interface, &reference.destination);
    // Whoever is not failed is refused anyway.
    let payload_gone =
        delivery.status == DeliveryStatus::Failed && journal.lead_at(reference.lead_sequence).await?.is_none();
    let anonymised_until = store.anonymised_until(&reference.account, &reference.lead).await?;
    let lead_anonymised =
        reference.lead_sequence <= anonymised_until || delivery.failure == Some(FailureReason::Anonymised);
    Ok(Subject { lead_anonymised, payload_gone, ..configured })
}

/// What can be said without looking at a delivery or its payload.
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

/// Stores that a delivery is asked for; where. `Ok(Err)`: somebody else asked first, and the read model did not show it
/// yet.
pub(crate) async fn ask(
    journal: &Journal,
    fact: &DeliveryFact,
    trace: &TraceContext,
) -> Result<Result<u64, RetryRefusal>, JournalError> {
    let appended = journal.append_delivery(fact, trace).await?;
    Ok(if appended.duplicate { Err(RetryRefusal::NotFailed(DeliveryStatus::Pending)) } else { Ok(appended.sequence) })
}
