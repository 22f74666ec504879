//! Which destinations want a lead event.

use std::sync::Arc;

use crate::{
    lead::LeadEvent,
    registry::{Destination, Registry, Scope},
};

/// The destinations that get a delivery of this event, in the order of their ids.
///
/// A destination wants an event if its scope covers the event's origin and one of its patterns matches the type. Among
/// those that want it, the highest scope wins: an account's destination overrides those of its interfaces until it is
/// removed. A disabled destination still wants its events; they are held for it.
pub fn destinations_for(registry: &Registry, event: &LeadEvent) -> Vec<Arc<Destination>> {
    let Some(account) = registry.account(&event.account) else { return vec![] };
    let wants = |d: &&Arc<Destination>| {
        !d.deleted && covers(&d.scope, event) && d.event_types.iter().any(|pattern| pattern.matches(&event.event_type))
    };
    let wanting: Vec<_> = account.destinations().filter(wants).collect();
    let highest = wanting.iter().map(|d| d.scope.level()).min();
    wanting.into_iter().filter(|d| Some(d.scope.level()) == highest).cloned().collect()
}

fn covers(scope: &Scope, event: &LeadEvent) -> bool {
    match scope {
        Scope::Account => true,
        Scope::Interface(interface) => *interface == event.interface,
    }
}
