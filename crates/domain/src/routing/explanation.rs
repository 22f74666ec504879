//! Why a destination gets an event or not: the answers of the rules that the router evaluates.

use super::rules::{Reason, Rule, RuleInput, overriding, wanting};
use crate::{
    ids::DestinationId,
    lead::LeadEvent,
    registry::{Registry, Routing},
};

/// The outcome of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Yes,
    No,
    /// The rule was not evaluated, because an earlier one decided.
    NotAsked,
}

/// The answer of a rule, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<'a> {
    pub rule: Rule,
    pub outcome: Outcome,
    pub reason: Reason<'a>,
}

/// The answer of every rule, in their order. The destination gets the event if no rule refuses it;
/// [`destinations_for`](super::destinations_for) decides the same with the same registry.
///
/// `then` is the configuration that the router used. `now` is a later one. It shows whether a missing destination was
/// created later.
pub fn explain<'a>(then: &'a Registry, now: &Registry, event: &'a LeadEvent, id: &DestinationId) -> Vec<Answer<'a>> {
    let input = RuleInput::about(event);
    let account = then.account(&event.account);
    let destination = then.destination(id).filter(|destination| destination.account == event.account);
    let (Some(account), Some(destination)) = (account, destination) else {
        let answer = |rule| match rule {
            Rule::Existence => Answer { rule, outcome: Outcome::No, reason: absence(then, now, id) },
            _ => Answer { rule, outcome: Outcome::NotAsked, reason: Reason::NothingToAsk },
        };
        return Rule::ALL.map(answer).into();
    };
    let of_destination = Rule::of_destinations(event);
    let answer = |rule: Rule| match rule {
        Rule::Override if event.destination.is_none() => {
            let routing = account.account.routing;
            let wanting = wanting(then, &input);
            match (routing, overriding(routing, &wanting, destination)) {
                (Routing::All, _) => (Outcome::Yes, Reason::RoutesToAll),
                (_, None) => (Outcome::Yes, Reason::NotOverridden),
                (_, Some(other)) => (Outcome::No, Reason::Overridden(other.clone())),
            }
        }
        rule if of_destination.contains(&rule) => match rule.ask(&input, destination) {
            Ok(reason) => (Outcome::Yes, reason),
            Err(reason) => (Outcome::No, reason),
        },
        _ => (Outcome::NotAsked, Reason::NamedInstead),
    };
    let answered = |rule| {
        let (outcome, reason) = answer(rule);
        Answer { rule, outcome, reason }
    };
    Rule::ALL.map(answered).into()
}

/// Why the destination did not exist.
fn absence(then: &Registry, now: &Registry, id: &DestinationId) -> Reason<'static> {
    if then.destination_ever(id).is_some() {
        return Reason::DeletedBefore;
    }
    now.destination_created_at(id).map_or(Reason::NoSuchDestination, Reason::CreatedLater)
}
