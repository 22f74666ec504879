//! Deliveries and attempts as a caller may see them. A rendered URL may have values of a payload, and only callers with
//! the scope `payload` see those.

use api::deliveries::{attempt_to_api, delivery_to_api};
use domain::{Delivery, Registry, registry::Destination};
use jiff::Timestamp;
use read_model::{
    page::Place,
    tables::attempts::{AttemptRow, DestinationEvent},
};

use crate::call::{caller::Caller, for_clients};

pub(crate) fn place(delivery: &Delivery) -> Place {
    let at = delivery.requested_at.unwrap_or(Timestamp::UNIX_EPOCH).as_microsecond();
    Place { at, id: delivery.reference.delivery.to_string() }
}

pub(crate) fn delivery_for(caller: &Caller, delivery: &Delivery, registry: &Registry) -> api::Delivery {
    let destination = registry.destination_ever(&delivery.reference.destination).map(AsRef::as_ref);
    let mut shown = delivery_to_api(delivery, registry);
    hide_values(caller, destination, &mut shown.request_url);
    for_clients::delivery(caller, registry, shown)
}

pub(super) fn attempt_for(caller: &Caller, row: &AttemptRow, destination: Option<&Destination>) -> api::Attempt {
    let mut shown = attempt_to_api(&row.attempt, row.round, row.exchange.as_deref(), row.trace.as_ref());
    hide_values(caller, destination, &mut shown.request_url);
    shown
}

/// Replaces a rendered URL by its template, unless the caller sees payloads.
fn hide_values(caller: &Caller, destination: Option<&Destination>, url: &mut String) {
    if !url.is_empty() && !caller.sees_payloads() {
        *url = render::without_values(destination.map_or("", |destination| &destination.url), url);
    }
}

pub(super) fn event_for(caller: &Caller, event: DestinationEvent, destination: &Destination) -> api::DestinationEvent {
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
        attempt: Some(attempt_for(caller, &event.attempt, Some(destination))),
    }
}
