//! Tests of destinations: an event that names its destination, and is delivered like any other.

use api::{
    request::{Violations, required},
    status::{because, unavailable},
};
use bytes::Bytes;
use domain::{
    DeliveryId, DestinationId, EventId, EventType, InterfaceId, LeadEvent, LeadId,
    registry::{Destination, Scope},
};
use jiff::Timestamp;
use journal::StreamName;
use runtime::{ErrorChain as _, publishing, trace::TraceContext};
use serde_json::json;
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Instrument as _;
use uuid::Uuid;

use super::{
    requests::payload,
    state::{DeliveryService, destination, no_destination},
};
use crate::call::{
    caller::Caller,
    errors::{failed, unknown_configuration},
};
use read_model::read_barrier::{SHOWN_DEADLINE, SHOWN_POLL};

/// The largest payload of a test, in bytes.
const MAX_PAYLOAD: usize = 64 * 1024;

impl DeliveryService {
    /// Publishes a test for one destination. Returns when the read model shows its delivery, or after
    /// [`SHOWN_DEADLINE`].
    pub(super) async fn send_test(
        &self,
        request: api::SendTestDeliveryRequest,
        caller: &Caller,
        trace: Option<&TraceContext>,
    ) -> Result<api::SendTestDeliveryResponse, Status> {
        let mut fields = Violations::default();
        let id = required("destination_id", &request.destination_id, DestinationId::parse);
        let of = fields.note(caller.account_and(&request.account_id, id));
        let given = Some(request.payload).filter(|payload| !payload.is_empty());
        let given = fields.note(given.map(|given| payload(given, MAX_PAYLOAD)).transpose());
        let ((account, id), given) = fields.end(|| of.zip(given))?;
        // Another process may have created or enabled it a moment ago.
        let registry = self.registry.up_to_date().await.map_err(unknown_configuration)?;
        let destination = destination(&registry, &account, &id)?;
        if !caller.owns(destination) {
            return Err(no_destination(&account, &id));
        }
        takes_tests(destination)?;
        let event_id = EventId::from_uuid(Uuid::now_v7());
        let now = Timestamp::now();
        let event = LeadEvent {
            lead: LeadId::of_event(&account, &event_id),
            payload: given.unwrap_or_else(|| usual_payload(destination, &caller.by(), now)),
            event_id,
            account,
            interface: InterfaceId::tests(),
            client: match &destination.scope {
                Scope::Client(client) => Some(client.clone()),
                Scope::Account | Scope::Interface(_) => None,
            },
            destination: Some(id.clone()),
            event_type: EventType::webhook_test(),
            occurred_at: now,
            received_at: now,
            registry_sequence: registry.sequence(),
            hops: 0,
        };
        let delivery = DeliveryId::of(&event.account, &event.event_id, &id);
        let (span, trace) = TraceContext::enter(
            trace,
            || publishing!(StreamName::Leads, leadline.delivery.id = %delivery, leadline.destination.id = %id),
        );
        self.journal.leads().append(&event, &trace).instrument(span).await.map_err(|error| {
            tracing::warn!(error = error.chain(), "cannot append the event of a test; refused the call");
            unavailable(format!("cannot confirm that the test was stored: {error}; send another one"))
        })?;
        self.wait_until_known(delivery).await?;
        Ok(api::SendTestDeliveryResponse { delivery_id: delivery.to_string(), event_id: event.event_id.to_string() })
    }

    async fn wait_until_known(&self, delivery: DeliveryId) -> Result<(), Status> {
        let give_up = Instant::now() + SHOWN_DEADLINE;
        while self.store.delivery(delivery).await.map_err(failed)?.is_none() && Instant::now() < give_up {
            self.store.flush_hints.request(StreamName::Deliveries);
            tokio::time::sleep(SHOWN_POLL).await;
        }
        Ok(())
    }
}

/// Refuses a test if the destination is off, because its delivery would be held and so test nothing.
fn takes_tests(destination: &Destination) -> Result<(), Status> {
    let state = match destination {
        Destination { enabled: false, .. } => "disabled",
        Destination { deactivated: Some(_), .. } => "deactivated",
        _ => return Ok(()),
    };
    let id = &destination.id;
    Err(because(
        Code::FailedPrecondition,
        "DESTINATION_OFF",
        format!("destination {id} is {state}, so a test would be held; enable it with EnableDestination first"),
    ))
}

fn usual_payload(destination: &Destination, by: &str, now: Timestamp) -> Bytes {
    let usual = json!({
        "type": EventType::WEBHOOK_TEST,
        "message": "A test from Leadline. If you can read this, the webhook works.",
        "account": destination.account.as_str(),
        "destination": {"id": destination.id.as_str(), "name": destination.name},
        "requested_by": by,
        "sent_at": now.to_string(),
    });
    Bytes::from(usual.to_string())
}
