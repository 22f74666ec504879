//! Routing: which destinations want a lead event.

use std::{cell::OnceCell, sync::Arc};

use crate::{
    condition::{Condition, Found, Unmet},
    ids::DestinationId,
    json::{self, Json},
    lead::LeadEvent,
    registry::{Destination, Registry, Routing, Scope},
};

/// The destinations that get a delivery of this event, in the order of their ids.
///
/// A destination wants an event if its scope covers the event's origin, one of its patterns matches the type, and its
/// condition holds for the payload. Among those that want it, the highest level wins: a destination of the account
/// overrides those of its clients, and these override those of its interfaces, until it is removed. A destination whose
/// condition does not hold does not want the event, so it overrides nothing. With the routing `all`, every destination
/// that wants the event gets it. A disabled destination still wants its events; they are held for it.
///
/// An event that names its destination goes to it alone, whatever its patterns and condition are.
///
/// The payload is parsed only if a destination that might want the event has a condition.
pub fn destinations_for(registry: &Registry, event: &LeadEvent) -> Vec<Arc<Destination>> {
    let payload = ReadPayload::of(event);
    routed(registry, event, |destination| payload.meets(destination))
}

/// The maximum number of deliveries of an event, as if every condition held. The payload is not parsed.
pub fn deliveries_at_most(registry: &Registry, event: &LeadEvent) -> usize {
    routed(registry, event, |_| true).len()
}

fn routed(registry: &Registry, event: &LeadEvent, meets: impl Fn(&Destination) -> bool) -> Vec<Arc<Destination>> {
    let Some(account) = registry.account(&event.account) else { return vec![] };
    if let Some(named) = &event.destination {
        let named = registry.destination(named).filter(|d| d.account == event.account);
        return named.cloned().into_iter().collect();
    }
    let covering = account.destinations_covering(event.client.as_ref(), &event.interface);
    let wants = |d: &&Arc<Destination>| matches_type(d, event) && meets(d);
    let mut wanting: Vec<_> = covering.filter(wants).cloned().collect();
    if account.account.routing == Routing::Override
        && let Some(highest) = wanting.first().map(|d| d.scope.level())
    {
        wanting.retain(|d| d.scope.level() == highest);
    }
    wanting.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    wanting
}

/// Why a destination does not get an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    /// The account of the event has no such destination.
    Gone,
    /// The event names another destination.
    NamesAnother,
    /// The scope of the destination does not cover the event's origin.
    Scope,
    /// None of its patterns matches the type.
    EventType,
    /// Its condition does not hold.
    Condition(Unmet),
    /// This destination of a higher level wants the event too.
    Overridden(DestinationId),
}

/// Why a destination does not get an event; `None` if the destination gets it.
pub fn why_not(registry: &Registry, event: &LeadEvent, id: &DestinationId) -> Option<WhyNot> {
    let destinations = destinations_for(registry, event);
    if destinations.iter().any(|destination| destination.id == *id) {
        return None;
    }
    let destination = registry.destination(id).filter(|found| found.account == event.account && !found.deleted);
    let Some(destination) = destination else { return Some(WhyNot::Gone) };
    Some(match destination.condition.as_ref().map(|condition| check(condition, event)) {
        _ if event.destination.is_some() => WhyNot::NamesAnother,
        _ if !covers(&destination.scope, event) => WhyNot::Scope,
        _ if !matches_type(destination, event) => WhyNot::EventType,
        Some(Err(unmet)) => WhyNot::Condition(unmet),
        _ => match destinations.first() {
            Some(winner) => WhyNot::Overridden(winner.id.clone()),
            None => WhyNot::Gone,
        },
    })
}

fn check(condition: &Condition, event: &LeadEvent) -> Result<(), Unmet> {
    match json::parse(&event.payload) {
        Ok(payload) => condition.check(&payload),
        Err(_) => Err(Unmet { place: String::new(), found: Found::NoPayload }),
    }
}

/// The payload of an event, parsed on first use.
struct ReadPayload<'a> {
    event: &'a LeadEvent,
    read: OnceCell<Option<Json>>,
}

impl<'a> ReadPayload<'a> {
    const fn of(event: &'a LeadEvent) -> Self {
        Self { event, read: OnceCell::new() }
    }

    /// Whether the payload meets the condition of a destination. A payload that is not JSON, such as an erased one,
    /// meets no condition.
    fn meets(&self, destination: &Destination) -> bool {
        let Some(condition) = &destination.condition else { return true };
        let payload = self.read.get_or_init(|| json::parse(&self.event.payload).ok());
        payload.as_ref().is_some_and(|payload| condition.holds(payload))
    }
}

/// The destinations that must have a delivery of an event: those that wanted it when it was published and still want
/// it. Destinations that were created or changed in between may have been routed either way. A test
/// delivery is never missing.
pub fn owed(then: &Registry, now: &Registry, event: &LeadEvent) -> Vec<DestinationId> {
    if event.interface.is_tests() {
        return vec![];
    }
    let still = destinations_for(now, event);
    let wanted = destinations_for(then, event).into_iter().map(|destination| destination.id.clone());
    wanted.filter(|id| still.iter().any(|destination| destination.id == *id)).collect()
}

/// Whether the sequencer requests the deliveries of this event, because its account has an ordered destination. Every
/// process that knows the configuration that the event needs gets the same answer, so that either the router or the
/// sequencer routes an event, never both.
pub fn is_routed_in_order(registry: &Registry, event: &LeadEvent) -> bool {
    registry.kept_order_in(&event.account, event.registry_sequence)
}

/// Whether this destination gets the event through its ordered queue, after the deliveries of the lead's earlier
/// events.
pub fn goes_in_turn(registry: &Registry, event: &LeadEvent, destination: &Destination) -> bool {
    registry.kept_order(&event.account, &destination.id, event.registry_sequence)
}

fn matches_type(destination: &Destination, event: &LeadEvent) -> bool {
    destination.event_types.iter().any(|pattern| pattern.matches(&event.event_type))
}

fn covers(scope: &Scope, event: &LeadEvent) -> bool {
    match scope {
        Scope::Account => true,
        Scope::Client(client) => event.client.as_ref() == Some(client),
        Scope::Interface(interface) => *interface == event.interface,
    }
}
