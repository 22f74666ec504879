//! Which destinations want a lead event.

use std::sync::Arc;

use crate::{
    ids::DestinationId,
    lead::LeadEvent,
    registry::{Destination, Registry, Routing},
};

/// The destinations that get a delivery of this event, in the order of their ids.
///
/// A destination wants an event if its scope covers the event's origin and one of its patterns matches the type. Among
/// those that want it, the highest level wins: a destination of the account overrides those of its clients, and these
/// those of its interfaces, until it is removed. An account that routes to all sends it to every one of them. A disabled
/// destination still wants its events; they are held for it.
///
/// An event that names its destination goes there and nowhere else, whatever that destination asks for.
pub fn destinations_for(registry: &Registry, event: &LeadEvent) -> Vec<Arc<Destination>> {
    let Some(account) = registry.account(&event.account) else { return vec![] };
    if let Some(named) = &event.destination {
        let named = registry.destination(named).filter(|d| d.account == event.account);
        return named.cloned().into_iter().collect();
    }
    let covering = account.destinations_covering(event.client.as_ref(), &event.interface);
    let mut wanting: Vec<_> =
        covering.filter(|d| d.event_types.iter().any(|pattern| pattern.matches(&event.event_type))).cloned().collect();
    if account.account.routing == Routing::Override
        && let Some(highest) = wanting.first().map(|d| d.scope.level())
    {
        wanting.retain(|d| d.scope.level() == highest);
    }
    wanting.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    wanting
}

/// The destinations that have to have a delivery of an event: those that wanted it when it was published, and want it now.
/// What came or changed in between may have been routed either way. A test is no event that anybody misses.
pub fn owed(then: &Registry, now: &Registry, event: &LeadEvent) -> Vec<DestinationId> {
    if event.interface.is_tests() {
        return vec![];
    }
    let still = destinations_for(now, event);
    let wanted = destinations_for(then, event).into_iter().map(|destination| destination.id.clone());
    wanted.filter(|id| still.iter().any(|destination| destination.id == *id)).collect()
}

/// Whether the deliveries of this event are requested in the order of events, because some destination of its account
/// keeps it. Whoever knows the configuration that the event needs gets the same answer, so that of two who route events
/// exactly one is in charge of each.
pub fn is_routed_in_order(registry: &Registry, event: &LeadEvent) -> bool {
    registry.kept_order_in(&event.account, event.registry_sequence)
}

/// Whether this destination gets the event in turn: when the deliveries of the lead's earlier events have ended.
pub fn goes_in_turn(registry: &Registry, event: &LeadEvent, destination: &Destination) -> bool {
    registry.kept_order(&event.account, &destination.id, event.registry_sequence)
}
