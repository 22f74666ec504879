//! Rows of the read model as the API shows them.

use api::deliveries::attempt_to_api;
use domain::Delivery;
use jiff::Timestamp;
use read_model::{
    page::Place,
    tables::attempts::{AttemptRow, DestinationEvent},
};

pub(crate) fn place(delivery: &Delivery) -> Place {
    let at = delivery.requested_at.unwrap_or(Timestamp::UNIX_EPOCH).as_microsecond();
    Place { at, id: delivery.reference.delivery.to_string() }
}

pub(super) fn row_to_api(row: &AttemptRow) -> api::Attempt {
    attempt_to_api(&row.attempt, row.round, row.exchange.as_deref(), row.trace.as_ref())
}

pub(super) fn event_to_api(event: DestinationEvent) -> api::DestinationEvent {
    let attempt = &event.attempt.attempt;
    let level = if attempt.outcome.is_success() {
        api::EventLevel::Success
    } else if attempt.deactivated.is_some() {
        api::EventLevel::Error
    } else {
        api::EventLevel::Debug
    };
    api::DestinationEvent {
        level: level.into(),
        delivery_id: event.delivery,
        event_id: event.event_id,
        event_type: event.event_type,
        lead_id: event.lead,
        attempt: Some(row_to_api(&event.attempt)),
    }
}
