//! Events about Leadline's own work, for destinations that subscribe to them. They are lead events with a reserved type
//! and a reserved interface, and are delivered like any other. An event names the operation and the lead, and repeats
//! none of the lead's data.

use bytes::Bytes;
use domain::{
    DeliveryFact, EventType, InterfaceId, LeadEvent, LeadId, Registry, advice::suggested_action, notice::Operation,
    routing::deliveries_at_most,
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView};
use runtime::trace::TraceContext;
use serde_json::{Value, json};

/// Stores the event if a destination wants it.
pub(crate) async fn publish(
    journal: &Journal,
    registry: &RegistryView,
    operation: &Operation,
    fact: &DeliveryFact,
    trace: &TraceContext,
) -> Result<(), JournalError> {
    let registry = registry.snapshot();
    let mut event = event(operation, &registry, Timestamp::now());
    // This count is an upper bound: only the router compares conditions with the payload, which is made below.
    if deliveries_at_most(&registry, &event) == 0 {
        return Ok(());
    }
    // The event continues the hops of the lead's event. So a loop is detected even if a receiver of this event
    // publishes a new lead that fails, too. The hops are 0 if the lead's event is no longer stored.
    let origin = journal.leads().get(operation.reference.lead_sequence).await?;
    event.hops = origin.map_or(0, |origin| origin.hops);
    let mut payload = payload(operation, fact, &registry);
    if operation.event_type.as_str() == EventType::DESTINATION_DEACTIVATED {
        payload["destination"]["held"] = journal.pending_work().count(&operation.reference.destination).await?.into();
    }
    event.payload = Bytes::from(payload.to_string());
    journal.leads().append(&event, trace).await.map(drop)
}

/// The event without its payload.
fn event(operation: &Operation, registry: &Registry, now: Timestamp) -> LeadEvent {
    let reference = &operation.reference;
    LeadEvent {
        event_id: operation.event_id.clone(),
        account: reference.account.clone(),
        interface: InterfaceId::operations(),
        client: reference.client.clone(),
        // The event has a separate lead, because its deliveries are not deliveries of the lead that it names.
        lead: LeadId::of_event(&reference.account, &operation.event_id),
        destination: None,
        event_type: operation.event_type.clone(),
        occurred_at: operation.at,
        received_at: now,
        registry_sequence: registry.sequence(),
        hops: 0,
        payload: Bytes::new(),
    }
}

fn payload(operation: &Operation, fact: &DeliveryFact, registry: &Registry) -> Value {
    let reference = &operation.reference;
    let destination = registry.destination_ever(&reference.destination);
    let mut payload = json!({
        "type": operation.event_type.as_str(),
        "occurred_at": operation.at.to_string(),
        "account": reference.account.as_str(),
        "destination": {
            "id": reference.destination.as_str(),
            "name": destination.map(|d| d.name.clone()).unwrap_or_default(),
        },
        "delivery": {
            "id": reference.delivery.to_string(),
            "event_id": reference.event_id.as_str(),
            "event_type": reference.event_type.as_str(),
            "interface": reference.interface.as_str(),
            "lead_id": reference.lead.as_str(),
        },
    });
    if let DeliveryFact::Attempted(f) = fact {
        let (status, kind) = (f.outcome.status_code(), f.outcome.error_kind());
        payload["delivery"]["attempts"] = f.attempt.into();
        payload["delivery"]["http_status_code"] = status.into();
        payload["delivery"]["error_kind"] = kind.map(domain::ErrorKind::as_str).into();
        payload["delivery"]["suggested_action"] = suggested_action(status, kind).into();
        if let Some(cause) = f.deactivated {
            payload["destination"]["deactivated_because"] = cause.as_str().into();
            let why = destination.and_then(|d| d.deactivated.as_ref());
            let first_failed_at = why.and_then(|why| why.first_failed_at).map(|at| at.to_string());
            payload["destination"]["first_failed_at"] = first_failed_at.into();
        }
    }
    payload
}
