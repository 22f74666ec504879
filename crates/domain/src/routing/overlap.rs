//! Which destinations override a destination, and which ones it overrides, according to their settings.

use std::sync::Arc;

use crate::{
    ids::EventType,
    registry::{Destination, EventTypePattern, Registry, Routing, Scope},
};

/// A destination that shares events with a destination of another level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    pub other: Arc<Destination>,
    /// Whether every shared event goes to the higher destination, because it has no condition.
    pub always: bool,
}

/// The destinations of other levels that may want the same events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlaps {
    /// Destinations of higher levels, which get the shared events instead.
    pub overridden_by: Vec<Overlap>,
    /// Destinations of lower levels, which do not get the shared events.
    pub overrides: Vec<Overlap>,
}

/// The overlaps of a destination. They are empty if the account routes to all.
pub fn overlaps(registry: &Registry, destination: &Destination) -> Overlaps {
    let Some(account) = registry.account(&destination.account) else { return Overlaps::default() };
    if account.account.routing == Routing::All {
        return Overlaps::default();
    }
    let mut found = Overlaps::default();
    let others = account.destinations().filter(|other| !other.deleted && other.id != destination.id);
    for other in others.filter(|other| may_share(other, destination)) {
        let (level, own) = (other.scope.level(), destination.scope.level());
        if level < own {
            found.overridden_by.push(Overlap { other: Arc::clone(other), always: other.condition.is_none() });
        } else if level > own {
            found.overrides.push(Overlap { other: Arc::clone(other), always: destination.condition.is_none() });
        }
    }
    found
}

/// Whether both can want the same event, if their conditions hold.
fn may_share(a: &Destination, b: &Destination) -> bool {
    let origins = match (&a.scope, &b.scope) {
        (Scope::Client(a), Scope::Client(b)) => a == b,
        (Scope::Interface(a), Scope::Interface(b)) => a == b,
        // An event of any client may come from any interface.
        _ => true,
    };
    origins && a.event_types.iter().any(|a| b.event_types.iter().any(|b| a.shares_with(b)))
}

impl EventTypePattern {
    /// Whether some event type matches both patterns.
    fn shares_with(&self, other: &Self) -> bool {
        // `*` does not match operational events.
        let apart = |a: &Self, b: &Self| a.as_str() == "*" && b.as_str().starts_with(EventType::OPERATIONAL);
        if apart(self, other) || apart(other, self) {
            return false;
        }
        match (self.beginning(), other.beginning()) {
            (Some(a), Some(b)) => a.starts_with(b) || b.starts_with(a),
            (Some(beginning), None) => other.as_str().starts_with(beginning),
            (None, Some(beginning)) => self.as_str().starts_with(beginning),
            (None, None) => self == other,
        }
    }

    /// The beginning of the types that match; `None` if only one type does.
    fn beginning(&self) -> Option<&str> {
        self.as_str().strip_suffix('*')
    }
}
