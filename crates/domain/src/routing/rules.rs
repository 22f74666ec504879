//! The rules of routing, each with the reason of its answer.

use std::{cell::OnceCell, fmt, sync::Arc};

use jiff::Timestamp;

use crate::{
    condition::{Condition, Found, Unmet},
    ids::{ClientId, DestinationId, EventType, InterfaceId},
    json::{self, Json},
    lead::LeadEvent,
    registry::{Destination, EventTypePattern, Registry, Routing, Scope},
};

/// A rule that decides whether a destination gets an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The destination exists in the account of the event.
    Existence,
    /// The event names this destination, or no destination.
    Name,
    /// The scope of the destination covers the event's origin.
    Scope,
    /// One of the destination's patterns matches the type of the event.
    EventType,
    /// The destination's condition holds for the payload.
    Condition,
    /// No destination of a higher level wants the event.
    Override,
}

impl Rule {
    /// Every rule, in the order of evaluation.
    pub const ALL: [Self; 6] =
        [Self::Existence, Self::Name, Self::Scope, Self::EventType, Self::Condition, Self::Override];

    /// The rules that depend on the destination alone. If an event names its destination, scope, patterns and condition
    /// are ignored.
    pub(super) const fn of_destinations(event: &LeadEvent) -> &'static [Self] {
        match event.destination {
            Some(_) => &[Self::Existence, Self::Name],
            None => &[Self::Existence, Self::Name, Self::Scope, Self::EventType, Self::Condition],
        }
    }

    /// Whether this rule allows the destination to get the event.
    ///
    /// # Errors
    /// Why the rule does not allow it.
    pub(super) fn ask<'a>(self, input: &RuleInput<'a>, destination: &'a Destination) -> Result<Reason<'a>, Reason<'a>> {
        let event = input.event;
        let (allows, reason) = match self {
            Self::Existence => match destination.account == event.account && !destination.deleted {
                true => (true, Reason::Exists),
                false => (false, Reason::NoSuchDestination),
            },
            Self::Name => match &event.destination {
                None => (true, Reason::NamesNone),
                Some(named) if *named == destination.id => (true, Reason::NamesThis),
                Some(named) => (false, Reason::NamesAnother(named)),
            },
            Self::Scope => match &destination.scope {
                Scope::Account => (true, Reason::WholeAccount),
                Scope::Client(of) => (event.client.as_ref() == Some(of), Reason::Client { of, from: &event.client }),
                Scope::Interface(of) => (*of == event.interface, Reason::Interface { of, from: &event.interface }),
            },
            Self::EventType => {
                let matching = destination.event_types.iter().find(|pattern| pattern.matches(&event.event_type));
                match matching {
                    Some(pattern) => (true, Reason::Matches(pattern, &event.event_type)),
                    None => (false, Reason::MatchesNone(&destination.event_types, &event.event_type)),
                }
            }
            Self::Condition => match destination.condition.as_ref().map(|condition| input.check(condition)) {
                None => (true, Reason::Unconditional),
                Some(Ok(())) => (true, Reason::ConditionHolds),
                Some(Err(unmet)) => (false, Reason::Unmet(unmet)),
            },
            // Answered by `overriding`, which knows the other destinations.
            Self::Override => (true, Reason::NotOverridden),
        };
        if allows { Ok(reason) } else { Err(reason) }
    }

    /// The word that the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Existence => "existence",
            Self::Name => "name",
            Self::Scope => "scope",
            Self::EventType => "event_type",
            Self::Condition => "condition",
            Self::Override => "override",
        }
    }
}

/// The destination that overrides this one: one of a higher level that also wants the event. `None` if no destination
/// does, or the account routes to all.
pub(super) fn overriding<'a>(
    routing: Routing,
    wanting: &'a [Arc<Destination>],
    destination: &Destination,
) -> Option<&'a Arc<Destination>> {
    match routing {
        Routing::All => None,
        Routing::Override => wanting.iter().find(|other| other.scope.level() < destination.scope.level()),
    }
}

/// Why a rule allows a destination to get an event, or not. No reason contains a value of the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason<'a> {
    Exists,
    NoSuchDestination,
    /// The destination was created at this time, so only later events reach it.
    CreatedLater(Timestamp),
    DeletedBefore,
    NamesNone,
    NamesThis,
    NamesAnother(&'a DestinationId),
    WholeAccount,
    Client {
        of: &'a ClientId,
        from: &'a Option<ClientId>,
    },
    Interface {
        of: &'a InterfaceId,
        from: &'a InterfaceId,
    },
    Matches(&'a EventTypePattern, &'a EventType),
    MatchesNone(&'a [EventTypePattern], &'a EventType),
    Unconditional,
    ConditionHolds,
    Unmet(Unmet),
    NotOverridden,
    RoutesToAll,
    Overridden(Arc<Destination>),
    /// The rule is not evaluated, because the event names its destination.
    NamedInstead,
    /// The rule is not evaluated, because the destination did not exist.
    NothingToAsk,
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("the destination existed when the event was published"),
            Self::NoSuchDestination => f.write_str("the account had no such destination when the event was published"),
            Self::CreatedLater(at) => {
                write!(f, "the destination was created at {at:.0}, after the event was published")
            }
            Self::DeletedBefore => f.write_str("the destination was deleted before the event was published"),
            Self::NamesNone => f.write_str("the event names no destination, so routing decides"),
            Self::NamesThis => f.write_str("the event names this destination, so routing does not decide"),
            Self::NamesAnother(other) => write!(f, "the event names destination {other}, so it goes there alone"),
            Self::WholeAccount => f.write_str("the destination is for the whole account"),
            Self::Client { of, from: Some(from) } => {
                write!(f, "the destination is for client {of}; the event names client {from}")
            }
            Self::Client { of, from: None } => {
                write!(f, "the destination is for client {of}; the event names no client")
            }
            Self::Interface { of, from } => {
                write!(f, "the destination is for interface {of}; the event came from interface {from}")
            }
            Self::Matches(pattern, event_type) => write!(f, "the type {event_type} matches {}", pattern.as_str()),
            Self::MatchesNone(patterns, event_type) => {
                let patterns: Vec<_> = patterns.iter().map(EventTypePattern::as_str).collect();
                write!(f, "the type {event_type} matches none of {}", patterns.join(", "))
            }
            Self::Unconditional => f.write_str("the destination has no condition"),
            Self::ConditionHolds => f.write_str("the condition holds for the payload"),
            Self::Unmet(unmet) => write!(f, "the condition does not hold: {unmet}"),
            Self::NotOverridden => f.write_str("no destination of a higher level wants the event"),
            Self::RoutesToAll => f.write_str("the account routes to all, so no destination overrides another"),
            Self::Overridden(by) => {
                let level = match by.scope {
                    Scope::Account => "of the account",
                    Scope::Client(_) => "of the client",
                    Scope::Interface(_) => "of the interface",
                };
                write!(f, "destination {} ({}) {level} wants the event, too, and overrides this one", by.name, by.id)
            }
            Self::NamedInstead => f.write_str("not evaluated, because the event names its destination"),
            Self::NothingToAsk => f.write_str("not evaluated, because the account had no such destination"),
        }
    }
}

/// The event that the rules are evaluated for. Its payload is parsed on first use.
pub(super) struct RuleInput<'a> {
    pub(super) event: &'a LeadEvent,
    payload: OnceCell<Option<Json>>,
    /// Whether conditions are evaluated; otherwise every condition holds.
    reads: bool,
}

impl<'a> RuleInput<'a> {
    pub(super) const fn about(event: &'a LeadEvent) -> Self {
        Self { event, payload: OnceCell::new(), reads: true }
    }

    pub(super) const fn as_if_conditions_held(event: &'a LeadEvent) -> Self {
        Self { event, payload: OnceCell::new(), reads: false }
    }

    /// A payload that is not JSON, such as an erased one, meets no condition.
    fn check(&self, condition: &Condition) -> Result<(), Unmet> {
        if !self.reads {
            return Ok(());
        }
        match self.payload.get_or_init(|| json::parse(&self.event.payload).ok()) {
            Some(payload) => condition.check(payload),
            None => Err(Unmet { place: "payload".to_owned(), found: Found::NoPayload }),
        }
    }
}

/// The destinations whose own rules all allow the event.
pub(super) fn wanting(registry: &Registry, input: &RuleInput<'_>) -> Vec<Arc<Destination>> {
    let event = input.event;
    let Some(account) = registry.account(&event.account) else { return vec![] };
    let wants = |destination: &&Arc<Destination>| {
        Rule::of_destinations(event).iter().all(|rule| rule.ask(input, destination).is_ok())
    };
    match &event.destination {
        Some(named) => registry.destination(named).filter(wants).cloned().into_iter().collect(),
        None => {
            // The index contains exactly the destinations that the rule `Scope` allows.
            account.destinations_covering(event.client.as_ref(), &event.interface).filter(wants).cloned().collect()
        }
    }
}
