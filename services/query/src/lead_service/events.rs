//! An event as its publisher sent it.

use api::{PayloadState, timestamp_to_api};
use domain::{AccountId, EventId};
use read_model::tables::events::EventOutline;
use tonic::Status;

use super::LeadService;
use crate::call::{caller::Caller, not_found, payload_views::Viewed};

impl LeadService {
    pub(super) async fn event(&self, caller: &Caller, account: &AccountId, id: &EventId) -> Result<api::Event, Status> {
        let Some(found) = self.payloads.event(account, id).await? else {
            let what = format!("account {account} has no event {id}");
            return Err(not_found::in_history(self.history, &self.registry.snapshot(), Some(account), "EVENT", &what));
        };
        let viewed = self.payloads.view(caller, &found).await?;
        Ok(with_payload(outline(found), viewed))
    }
}

fn outline(row: EventOutline) -> api::Event {
    api::Event {
        account_id: row.account.to_string(),
        event_id: row.event_id.to_string(),
        lead_id: row.lead.to_string(),
        interface_id: row.interface.to_string(),
        client_id: row.client.map(|client| client.to_string()).unwrap_or_default(),
        event_type: row.event_type.to_string(),
        received_at: Some(timestamp_to_api(row.received_at)),
        ..api::Event::default()
    }
}

fn with_payload(outline: api::Event, viewed: Viewed) -> api::Event {
    let state = |payload_state: PayloadState| payload_state.into();
    match viewed {
        Viewed::Anonymised => api::Event { payload_state: state(PayloadState::Anonymised), ..outline },
        Viewed::Expired => api::Event { payload_state: state(PayloadState::Expired), ..outline },
        Viewed::Stored(event) => api::Event {
            payload_state: state(PayloadState::Stored),
            occurred_at: Some(timestamp_to_api(event.occurred_at)),
            destination_id: event.destination.map(|destination| destination.to_string()).unwrap_or_default(),
            payload_json: as_json(&event.payload).unwrap_or_default(),
            payload: event.payload,
            ..outline
        },
    }
}

/// The payload as text, if it is JSON.
fn as_json(payload: &[u8]) -> Option<String> {
    serde_json::from_slice::<serde::de::IgnoredAny>(payload).ok()?;
    std::str::from_utf8(payload).ok().map(str::to_owned)
}
