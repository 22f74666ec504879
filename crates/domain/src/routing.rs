//! Routing: which destinations want a lead event, and why.
//!
//! One function evaluates the [`rules`] of a destination. The router decides by the answers, and [`explain`] shows the
//! same answers, so both always agree.

mod explanation;
mod overlap;
mod rules;

use std::sync::Arc;

pub use explanation::{Answer, Outcome, explain};
pub use overlap::{Overlap, Overlaps, overlaps};
pub use rules::{Reason, Rule};
use rules::{RuleInput, overriding, wanting};

use crate::{
    ids::DestinationId,
    lead::LeadEvent,
    registry::{Destination, Registry},
};

/// The destinations that get a delivery of this event, in the order of their ids.
///
/// A destination wants an event if its scope covers the event's origin, one of its patterns matches the type, and its
/// condition holds for the payload. Among the destinations that want the event, the highest level wins: a destination
/// of the account overrides those of its clients, and these override those of its interfaces. A destination whose
/// condition does not hold does not want the event, so it overrides nothing. With the routing `all`, every destination
/// that wants the event gets it. A disabled destination still wants its events, and their deliveries are held.
///
/// An event that names its destination goes only there, and patterns and condition are ignored.
///
/// The payload is parsed only if a destination that might want the event has a condition.
pub fn destinations_for(registry: &Registry, event: &LeadEvent) -> Vec<Arc<Destination>> {
    routed(registry, &RuleInput::about(event))
}

/// The maximum number of deliveries of an event, as if every condition held. The payload is not parsed.
pub fn deliveries_at_most(registry: &Registry, event: &LeadEvent) -> usize {
    routed(registry, &RuleInput::as_if_conditions_held(event)).len()
}

/// The destinations whose own rules all allow the event, and that no other destination overrides.
fn routed(registry: &Registry, input: &RuleInput<'_>) -> Vec<Arc<Destination>> {
    let Some(account) = registry.account(&input.event.account) else { return vec![] };
    let wanting = wanting(registry, input);
    let routing = account.account.routing;
    let gets = |destination: &&Arc<Destination>| overriding(routing, &wanting, destination).is_none();
    let mut routed: Vec<_> = wanting.iter().filter(gets).cloned().collect();
    routed.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    routed
}

/// The destinations that must have a delivery of an event: those that wanted it when it was published and still want
/// it. For a destination that was created or changed in between, both results of the routing are correct. A test
/// delivery is never missing.
pub fn required_destinations(then: &Registry, now: &Registry, event: &LeadEvent) -> Vec<DestinationId> {
    if event.interface.is_tests() {
        return vec![];
    }
    let still = destinations_for(now, event);
    let wanted = destinations_for(then, event).into_iter().map(|destination| destination.id.clone());
    wanted.filter(|id| still.iter().any(|destination| destination.id == *id)).collect()
}

/// Whether the sequencer requests the deliveries of this event, because its account has an ordered destination. Every
/// process that knows the event's configuration gets the same answer, so that either the router or the sequencer routes
/// an event, never both.
pub fn is_routed_in_order(registry: &Registry, event: &LeadEvent) -> bool {
    registry.kept_order_in(&event.account, event.registry_sequence)
}

/// Whether this destination gets the event through its ordered queue, after the deliveries of the lead's earlier
/// events.
pub fn goes_in_turn(registry: &Registry, event: &LeadEvent, destination: &Destination) -> bool {
    registry.kept_order(&event.account, &destination.id, event.registry_sequence)
}
