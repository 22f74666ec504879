//! Hides parts of leads and deliveries from callers that are bound to a client.
//!
//! A lead of the client may go to destinations of the whole account as well. The caller sees these deliveries, without
//! the name and the URL of the destination, and without its answers.

use api::status::denied;
use domain::{Delivery, DestinationId, Registry};
use read_model::tables::leads::Lead;
use tonic::Status;

use crate::call::caller::Caller;

/// The kind of entry of a lead's log that names the origin of an event.
const RECEIVED: &str = "received";
/// The kind of entry of a lead's log about an attempt.
const ATTEMPTED: &str = "webhook";

fn is_elsewhere(caller: &Caller, registry: &Registry, destination: Option<&DestinationId>) -> bool {
    let destination = destination.and_then(|id| registry.destination_ever(id));
    caller.principal().client().is_some() && !destination.is_some_and(|destination| caller.owns(destination))
}

/// A delivery as the caller may see it.
pub(crate) fn delivery(caller: &Caller, registry: &Registry, mut shown: api::Delivery) -> api::Delivery {
    if is_elsewhere(caller, registry, DestinationId::parse(&shown.destination_id).ok().as_ref()) {
        for hidden in [&mut shown.destination_name, &mut shown.request_url, &mut shown.webhook_response] {
            hidden.clear();
        }
    }
    shown
}

/// An attempt of a delivery as the caller may see it.
pub(crate) fn attempt(caller: &Caller, of: &Delivery, registry: &Registry, mut shown: api::Attempt) -> api::Attempt {
    if is_elsewhere(caller, registry, Some(&of.reference.destination)) {
        shown.request_url.clear();
        shown.webhook_response.clear();
        shown.exchange = None;
    }
    shown
}

/// A lead as the caller may see it. The last answer is hidden, because it may come from a destination of the whole
/// account.
pub(crate) fn lead(caller: &Caller, mut lead: Lead) -> Lead {
    if caller.principal().client().is_some() {
        lead.webhook_response.clear();
    }
    lead
}

/// An entry of a lead's log as the caller may see it.
pub(crate) fn entry(caller: &Caller, registry: &Registry, mut shown: api::LeadLogEntry) -> api::LeadLogEntry {
    let destination = DestinationId::parse(&shown.destination_id).ok();
    if shown.entry != RECEIVED && is_elsewhere(caller, registry, destination.as_ref()) {
        shown.detail.clear();
    }
    if shown.entry == ATTEMPTED && !caller.sees_payloads() {
        let settings = destination.as_ref().and_then(|id| registry.destination_ever(id));
        shown.detail = without_values(&shown.detail, settings.map_or("", |destination| destination.url.as_str()));
    }
    shown
}

/// The log's text about an attempt, with the URL as callers without the scope `payload` may see it: `attempt 1 to URL:
/// 200`.
fn without_values(detail: &str, settings: &str) -> String {
    let parts = detail.split_once(" to ").and_then(|(before, rest)| Some((before, rest.split_once(": ")?)));
    match parts {
        Some((before, (url, after))) => format!("{before} to {}: {after}", render::without_values(settings, url)),
        None => String::new(),
    }
}

/// Whether the caller may retry a delivery that it sees.
///
/// # Errors
/// If its destination does not belong to the client that the caller is bound to.
pub(crate) fn may_retry(caller: &Caller, registry: &Registry, of: &Delivery) -> Result<(), Status> {
    let open = !is_elsewhere(caller, registry, Some(&of.reference.destination));
    caller.principal().may_as_client(open).map_err(|e| denied(&e))
}
