//! Explanations as the API shows them.

use std::borrow::Cow;

use api::{RoutingAnswer, RoutingExplanation, RoutingOutcome, RoutingRule, timestamp_to_api};
use bytes::Bytes;
use domain::{
    AccountId, Delivery, DeliveryStatus, DestinationId, LeadEvent, Registry,
    routing::{Answer, Outcome, Reason, Rule, destinations_for, explain},
};

use super::event_history::EventHistory;
use crate::{call::caller::Caller, delivery_service};

/// The reason of a rule that needs an erased payload.
const PAYLOAD_GONE: &str = "not evaluated, because the payload is erased";

pub(super) fn explanation(
    caller: &Caller,
    account: &AccountId,
    id: &DestinationId,
    then: &Registry,
    now: &Registry,
    of: &EventHistory,
) -> RoutingExplanation {
    let event = of.stored.as_ref().map_or_else(|| Cow::Owned(outlined(account, of)), Cow::Borrowed);
    let payload_gone = of.stored.is_none();
    let of_routing: Vec<_> =
        explain(then, now, &event, id).into_iter().map(|answer| answer_to_api(answer, payload_gone)).collect();
    let refused = of_routing.iter().find(|answer| answer.outcome() == RoutingOutcome::No);
    let (routed, why_not) = (refused.is_none(), refused.map(|answer| answer.reason.clone()));
    let delivery = of.delivery.as_ref().map(|delivery| delivery_service::delivery_for(caller, delivery, now));
    let summary = summary(why_not, delivery.as_ref(), of);
    let circumstances = [enabled(now, id), order(now, &event, id, of), anonymised(of)];
    RoutingExplanation {
        event_id: of.event.event_id.to_string(),
        event_type: of.event.event_type.to_string(),
        lead_id: of.event.lead.to_string(),
        received_at: Some(timestamp_to_api(of.event.received_at)),
        routed,
        summary,
        answers: of_routing.into_iter().chain(circumstances).collect(),
        delivery,
        routed_now: is_routed(now, &event, id),
    }
}

/// The event, with only the fields that the read model has.
fn outlined(account: &AccountId, of: &EventHistory) -> LeadEvent {
    LeadEvent {
        event_id: of.event.event_id.clone(),
        account: account.clone(),
        interface: of.event.interface.clone(),
        client: of.event.client.clone(),
        lead: of.event.lead.clone(),
        destination: None,
        event_type: of.event.event_type.clone(),
        occurred_at: of.event.received_at,
        received_at: of.event.received_at,
        registry_sequence: 0,
        hops: 0,
        payload: Bytes::new(),
    }
}

fn answer_to_api(answer: Answer<'_>, payload_gone: bool) -> RoutingAnswer {
    let rule = match answer.rule {
        Rule::Existence => RoutingRule::Existence,
        Rule::Name => RoutingRule::Name,
        Rule::Scope => RoutingRule::Scope,
        Rule::EventType => RoutingRule::EventType,
        Rule::Condition => RoutingRule::Condition,
        Rule::Override => RoutingRule::Override,
    };
    let outcome = match answer.outcome {
        Outcome::Yes => RoutingOutcome::Yes,
        Outcome::No => RoutingOutcome::No,
        Outcome::NotAsked => RoutingOutcome::NotAsked,
    };
    match answer.reason {
        Reason::Unmet(_) if payload_gone => a(rule, RoutingOutcome::NotAsked, PAYLOAD_GONE),
        reason => a(rule, outcome, reason.to_string()),
    }
}

fn a(rule: RoutingRule, outcome: RoutingOutcome, reason: impl Into<String>) -> RoutingAnswer {
    RoutingAnswer { rule: rule.into(), outcome: outcome.into(), reason: reason.into() }
}

fn enabled(now: &Registry, id: &DestinationId) -> RoutingAnswer {
    let answer = |outcome, reason: String| a(RoutingRule::Enabled, outcome, reason);
    let Some(destination) = now.destination(id) else {
        return answer(RoutingOutcome::No, "the destination is deleted, so its deliveries are abandoned".to_owned());
    };
    match (&destination.deactivated, destination.enabled) {
        (Some(why), _) => {
            let (cause, at) = (why.cause.as_str(), why.at);
            let reason = format!("a rule deactivated the destination at {at:.0} ({cause}), so its deliveries are held");
            answer(RoutingOutcome::No, reason)
        }
        (None, false) => {
            answer(RoutingOutcome::No, "a person disabled the destination, so its deliveries are held".to_owned())
        }
        (None, true) => answer(RoutingOutcome::Yes, "the destination is enabled".to_owned()),
    }
}

fn order(now: &Registry, event: &LeadEvent, id: &DestinationId, of: &EventHistory) -> RoutingAnswer {
    let answer = |outcome, reason: String| a(RoutingRule::Order, outcome, reason);
    let ordered = match event.registry_sequence {
        0 => now.destination(id).is_some_and(|destination| destination.ordered),
        sequence => now.kept_order(&event.account, id, sequence),
    };
    let ended = |delivery: &Delivery| matches!(delivery.status, DeliveryStatus::Succeeded | DeliveryStatus::Failed);
    let unfinished = !of.delivery.as_ref().is_some_and(ended);
    match &of.after {
        _ if !ordered => answer(RoutingOutcome::Yes, "the destination is not ordered".to_owned()),
        Some(first) if unfinished => {
            let reason = format!("the destination is ordered: delivery {first} of an earlier event has to end first");
            answer(RoutingOutcome::No, reason)
        }
        _ => {
            answer(RoutingOutcome::Yes, "the destination is ordered, and no earlier delivery of the lead waits".into())
        }
    }
}

fn anonymised(of: &EventHistory) -> RoutingAnswer {
    match of.anonymised {
        true => {
            a(RoutingRule::Anonymised, RoutingOutcome::No, "the lead was anonymised, so the event is not sent any more")
        }
        false => a(RoutingRule::Anonymised, RoutingOutcome::Yes, "the lead is not anonymised"),
    }
}

fn summary(why_not: Option<String>, delivery: Option<&api::Delivery>, of: &EventHistory) -> String {
    let status = delivery.map(|delivery| {
        let word = delivery.status().as_str_name().trim_start_matches("DELIVERY_STATUS_").to_lowercase();
        let has_ended = matches!(delivery.status(), api::DeliveryStatus::Succeeded | api::DeliveryStatus::Failed);
        let verb = if has_ended { "has" } else { "is" };
        let reason = &delivery.failure_reason;
        if reason.is_empty() { format!("{verb} {word}") } else { format!("{verb} {word} ({reason})") }
    });
    match (why_not, status) {
        (None, Some(status)) => format!("The destination gets the event. The delivery {status}."),
        (None, None) if of.stored.is_none() => {
            "No rule that can still be evaluated stops the event, and there is no delivery.".to_owned()
        }
        (None, None) => "The destination gets the event, but there is no delivery yet.".to_owned(),
        (Some(why), None) => format!("The destination does not get the event: {why}."),
        (Some(why), Some(status)) => format!(
            "The destination got the event, although routing would not give it ({why}): a recovery sent it, or the \
             configuration changed at the same time. The delivery {status}."
        ),
    }
}

/// Whether the router would give the destination the event with this configuration.
fn is_routed(registry: &Registry, event: &LeadEvent, id: &DestinationId) -> bool {
    destinations_for(registry, event).iter().any(|destination| destination.id == *id)
}
