//! The texts of notices.

use domain::{
    AccountId, AttemptOutcome, DeliveryFact, DeliveryId, ErrorKind, InterfaceId, LeadEvent, LeadId, Registry,
    advice::suggested_action,
    delivery::{FailureReason, Verdict},
    notice::{ErrorCount, LeadExample, LeadWindow, NoticeKind, Window},
    policy::Deactivate,
    registry::{Deactivation, DeactivationCause, Destination, Interface},
};
use jiff::Timestamp;

use crate::page::{Block, Page};

/// Bytes of a lead's data that a mail shows, at most.
const MAX_DATA: usize = 16 * 1024;
/// The advice if the payload is gone.
const PAYLOAD_GONE: &str = "The lead's data is no longer stored, so it cannot be sent again. Publish it again.";
/// The advice if Leadline itself failed.
const CRASHED: &str = "Leadline itself failed while it worked on this delivery. Ask its operator to look into the log of \
    the dispatcher, and retry the delivery once the cause is found.";
/// The advice for every failure.
const KEPT: &str =
    "The lead is kept. Once the receiver works again, retry the delivery, and the original payload is sent.";

/// A delivery failed.
pub(crate) fn failure(fact: &DeliveryFact, registry: &Registry) -> Page {
    let reference = fact.reference();
    let destination = registry.destination_ever(&reference.destination);
    let shown = destination.map_or_else(|| reference.destination.to_string(), |found| named(found));
    let (attempts, reason, outcome, url) = match fact {
        DeliveryFact::Attempted(f) => {
            let reason = if let Verdict::Failed(reason) = f.verdict { reason.as_str() } else { "" };
            (f.attempt, reason, Some(&f.outcome), f.request.url.clone())
        }
        DeliveryFact::Abandoned(f) => {
            (f.attempts, f.reason.as_str(), None, destination.map(|d| d.url.clone()).unwrap_or_default())
        }
        _ => (0, "", None, String::new()),
    };
    let mut facts = vec![
        ("Lead", reference.lead.to_string()),
        ("Interface", reference.interface.to_string()),
        ("Event", format!("{} {}", reference.event_type, reference.event_id)),
        ("Destination", shown),
        ("URL", url),
        ("Attempts", attempts.to_string()),
        ("Failed at", format!("{:.0} ({reason})", fact.at())),
        ("Delivery", reference.delivery.to_string()),
    ];
    let advice = match outcome {
        Some(outcome) => {
            facts.push(("Status", status(outcome)));
            facts.push(("Response", outcome.webhook_response().to_owned()));
            suggested_action(outcome.status_code(), outcome.error_kind())
        }
        None => without_attempt(fact),
    };
    let mut blocks = vec![Block::Facts(facts), Block::Advice(advice.to_owned()), Block::Text(KEPT.to_owned())];
    blocks.push(retry(&reference.account, reference.delivery));
    Page { title: "A lead could not be delivered to a webhook.".into(), blocks }
}

/// The advice for a delivery that ended without an attempt.
fn without_attempt(fact: &DeliveryFact) -> &'static str {
    match fact {
        DeliveryFact::Abandoned(f) if f.reason == FailureReason::Crashed => CRASHED,
        _ => PAYLOAD_GONE,
    }
}

/// Deliveries failed after the notice about the first one.
pub(crate) fn further_failures(destination: &Destination, window: &Window, examples: &[DeliveryFact]) -> Page {
    let count = window.count;
    let deliveries = if count == 1 { "delivery" } else { "deliveries" };
    let mut errors = window.errors.clone();
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    let counted: u64 = errors.iter().map(|error| error.count).sum();
    let mut lines: Vec<_> = errors.iter().map(error_line).collect();
    if counted < count {
        lines.push(format!("{} times something else", count - counted));
    }
    let facts = vec![
        ("Destination", named(destination)),
        ("URL", destination.url.clone()),
        ("Failed", format!("{count} {deliveries}")),
        ("From", format!("{:.0}", window.from)),
        ("Until", format!("{:.0}", window.until)),
    ];
    let mut blocks = vec![Block::Facts(facts), Block::List("What went wrong", lines)];
    if !examples.is_empty() {
        let example = |fact: &DeliveryFact| {
            let r = fact.reference();
            format!("{:.0} lead {} of interface {}: delivery {}", fact.at(), r.lead, r.interface, r.delivery)
        };
        blocks.push(Block::List("The first of them", examples.iter().map(example).collect()));
    }
    blocks.push(Block::Text(
        "The leads are kept. Once the receiver works again, retry the deliveries, and the original payloads are sent."
            .into(),
    ));
    blocks.push(retry_all(destination));
    let more = if count == 1 { "One more lead".to_owned() } else { format!("{count} more leads") };
    Page { title: format!("{more} could not be delivered to a webhook."), blocks }
}

/// A destination fails again and again.
pub(crate) fn repeated_failures(
    destination: &Destination,
    failures: u32,
    failing_since: Timestamp,
    last: Option<&DeliveryFact>,
) -> Page {
    let mut facts = vec![
        ("Destination", named(destination)),
        ("URL", destination.url.clone()),
        ("Failed in a row", failures.to_string()),
        ("First failure", format!("{failing_since:.0}")),
    ];
    let mut advice = last.map_or(PAYLOAD_GONE, without_attempt);
    if let Some(DeliveryFact::Attempted(f)) = last {
        facts.push(("Last status", status(&f.outcome)));
        // The response of the receiver may repeat a lead's data. Only the notice about one delivery shows it, because
        // that notice can be found when the lead is anonymised.
        advice = suggested_action(f.outcome.status_code(), f.outcome.error_kind());
    }
    let blocks = vec![
        Block::Facts(facts),
        Block::Advice(advice.to_owned()),
        Block::Text("You hear of this once, and again when a delivery succeeds.".into()),
        retry_all(destination),
    ];
    Page { title: format!("{failures} deliveries in a row have failed at a webhook."), blocks }
}

/// A destination works again.
pub(crate) fn recovery(destination: &Destination, at: Timestamp, failing_since: Option<Timestamp>) -> Page {
    let mut facts = vec![
        ("Destination", named(destination)),
        ("URL", destination.url.clone()),
        ("Succeeded at", format!("{at:.0}")),
    ];
    facts.extend(failing_since.map(|since| ("First failure", format!("{since:.0}"))));
    let advice = "Deliveries that failed meanwhile can be retried; what was held is sent by itself.";
    let blocks = vec![Block::Facts(facts), Block::Advice(advice.into()), retry_all(destination)];
    Page { title: "A webhook works again.".into(), blocks }
}

/// A rule deactivated a destination. `held` counts the deliveries that wait for it.
pub(crate) fn deactivation(destination: &Destination, why: &Deactivation, held: u64) -> Page {
    let cause = match why.cause {
        DeactivationCause::Exhausted if destination.retry.deactivate == Deactivate::IfNothingSucceeded => {
            "a delivery used up all of its attempts and no other one succeeded meanwhile"
        }
        DeactivationCause::Exhausted => "a delivery used up all of its attempts",
        DeactivationCause::Gone => "the receiver answered 410: it is gone for good",
    };
    let mut facts = vec![
        ("Webhook", named(destination)),
        ("URL", destination.url.clone()),
        ("Deactivated at", format!("{:.0}", why.at)),
    ];
    facts.extend(why.first_failed_at.map(|at| ("First failure", format!("{at:.0}"))));
    // Only the notice about the delivery shows the response, because that notice is removed when the lead is
    // anonymised.
    let mut advice = String::new();
    if let Some(by) = &why.delivery {
        facts.extend([
            ("Lead", by.lead.to_string()),
            ("Event", by.event_id.to_string()),
            ("Delivery", by.delivery.to_string()),
            ("Attempts", by.attempts.to_string()),
            ("Last answer", answer(by.status_code, by.error_kind)),
        ]);
        advice = format!("{} ", suggested_action(by.status_code, by.error_kind));
    }
    facts.push(("Held now", held.to_string()));
    advice.push_str(
        "Once the receiver works again, enable the destination, and what is held is sent; or enable it and skip what is held.",
    );
    let blocks = vec![
        Block::Facts(facts),
        Block::Text("Nothing is lost: what it should get is held.".into()),
        Block::Advice(advice),
        enable(destination),
        retry_all(destination),
    ];
    Page { title: format!("A webhook was deactivated, because {cause}."), blocks }
}

pub(crate) fn new_lead(event: &LeadEvent, interface: &Interface) -> Page {
    let facts = vec![
        ("Lead", event.lead.to_string()),
        ("Interface", format!("{} ({})", interface.name, interface.id)),
        ("Received at", format!("{:.0}", event.received_at)),
    ];
    let data = render::json::parse(&event.payload)
        .map_or_else(|_| String::from_utf8_lossy(&event.payload).into_owned(), |json| json.pretty(MAX_DATA));
    let look = look_at_leads(&event.account, &event.interface, Some(&event.lead));
    let blocks = vec![Block::Facts(facts), Block::Verbatim(shortened(data)), look];
    Page { title: "A new lead came in.".into(), blocks }
}

/// Leads came in after the notice about the first one. A mail about several leads shows no data of theirs: when a lead
/// is anonymised, a mail in the outbox is found only by the one lead that it is about.
pub(crate) fn further_leads(interface: &Interface, window: &LeadWindow) -> Page {
    let (count, listed) = (window.count, window.examples.len() as u64);
    let facts = vec![
        ("Interface", format!("{} ({})", interface.name, interface.id)),
        ("Leads", count.to_string()),
        ("From", format!("{:.0}", window.from)),
        ("Until", format!("{:.0}", window.until)),
    ];
    let line = |example: &LeadExample| format!("{:.0} {}", example.received_at, example.lead);
    let mut blocks = vec![Block::Facts(facts), Block::List("New leads", window.examples.iter().map(line).collect())];
    if listed < count {
        blocks.push(Block::Text(format!("{} more are not listed here.", count - listed)));
    }
    blocks.push(look_at_leads(&interface.account, &interface.id, None));
    let title = if count == 1 { "One more lead came in.".to_owned() } else { format!("{count} more leads came in.") };
    Page { title, blocks }
}

/// The question whether an address may be mailed. The id of the account is its only part that comes from the account,
/// and the platform made it.
pub(crate) fn confirmation(account: &AccountId, url: Option<String>, code: &str) -> Page {
    let question = format!(
        "The account {account} wants to send notices to this address: about new leads, or about leads that could not be \
         delivered. Nothing is sent unless you agree. If you do not know what this is about, do nothing."
    );
    let mut blocks = vec![Block::Text(question)];
    match url {
        Some(url) => blocks.push(Block::Link("I agree: send me these notices".into(), url)),
        None => {
            let words = "If you agree, pass this command on to the person who set the address, or run it yourself:";
            blocks.push(Block::Text(words.to_owned()));
            blocks.push(Block::Verbatim(format!("leadline accounts confirm {account} {code}")));
        }
    }
    Page { title: "May we send notices to this address?".into(), blocks }
}

/// The note about mails that a quota left out.
pub(crate) fn left_out(count: u64) -> String {
    let mails = if count == 1 { "One mail to you was".to_owned() } else { format!("{count} mails to you were") };
    format!("{mails} left out before this one: there were too many within an hour. The leads themselves are all there.")
}

/// The subject matter of a kind of mails, in the words of their readers.
pub(crate) const fn mails_about(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Error => "failed deliveries",
        NoticeKind::Deactivation => "deactivated webhooks",
        NoticeKind::RepeatedFailures => "webhooks that keep failing",
        NoticeKind::Recovery => "webhooks that work again",
        NoticeKind::Lead => "new leads",
        NoticeKind::Confirmation => "the use of this address",
    }
}

/// The command that retries a failed delivery. Ids need no quotes in any shell.
pub(crate) fn retry(account: &AccountId, delivery: DeliveryId) -> Block {
    Block::Command("To retry it", format!("leadline retry {delivery} --account {account}"))
}

/// The command that retries all failed deliveries of a destination.
pub(crate) fn retry_all(destination: &Destination) -> Block {
    let Destination { account, id, .. } = destination;
    let words = "To retry every failed delivery to this webhook (--dry-run counts them first)";
    Block::Command(words, format!("leadline retry --destination {id} --account {account}"))
}

/// The command that enables a destination.
pub(crate) fn enable(destination: &Destination) -> Block {
    let Destination { account, id, .. } = destination;
    Block::Command(
        "To enable it, and send what is held",
        format!("leadline destinations enable {id} --account {account}"),
    )
}

/// The command that shows a lead, or the leads of an interface.
pub(crate) fn look_at_leads(account: &AccountId, interface: &InterfaceId, lead: Option<&LeadId>) -> Block {
    match lead {
        Some(lead) => {
            let words = "To see what became of it";
            Block::Command(words, format!("leadline leads show {lead} --account {account}"))
        }
        None => {
            let words = "To see what became of them";
            Block::Command(words, format!("leadline leads --interface {interface} --account {account}"))
        }
    }
}

pub(crate) fn named(destination: &Destination) -> String {
    if destination.name.is_empty() {
        return destination.id.to_string();
    }
    format!("{} ({})", destination.name, destination.id)
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_DATA {
        text.truncate(text.floor_char_boundary(MAX_DATA));
        text.push_str("\n… (the rest is left out)");
    }
    text
}

fn status(outcome: &AttemptOutcome) -> String {
    answer(outcome.status_code(), outcome.error_kind())
}

fn answer(status: u16, kind: Option<ErrorKind>) -> String {
    kind.map_or_else(|| status.to_string(), |kind| format!("{status} ({kind})"))
}

fn error_line(error: &ErrorCount) -> String {
    let count = error.count;
    let times = if count == 1 { "once".to_owned() } else { format!("{count} times") };
    let (what, advice) = match (error.status, error.kind) {
        (0, _) => ("no data".to_owned(), PAYLOAD_GONE),
        (status, Some(kind)) => (format!("{status} ({kind})"), suggested_action(status, Some(kind))),
        (status, None) => (status.to_string(), suggested_action(status, None)),
    };
    format!("{times} {what}: {advice}")
}

#[cfg(test)]
mod tests {
    use domain::{AccountId, EventId, EventType, InterfaceId, LeadId};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_new_lead_is_shown_with_its_digits_and_its_order() {
        let payload = r#"{"z":12345678901234567890123,"price":1.10,"big":1E400,"a":{"y":1,"b":2.0}}"#;
        let event = LeadEvent {
            event_id: EventId::parse("e1").unwrap(),
            account: AccountId::parse("acme").unwrap(),
            interface: InterfaceId::parse("form").unwrap(),
            client: None,
            lead: LeadId::parse("lead").unwrap(),
            destination: None,
            event_type: EventType::lead_created(),
            occurred_at: Timestamp::UNIX_EPOCH,
            received_at: Timestamp::UNIX_EPOCH,
            registry_sequence: 0,
            hops: 0,
            payload: payload.into(),
        };
        let interface = Interface {
            account: event.account.clone(),
            id: event.interface.clone(),
            name: "Form".into(),
            retention: None,
            lead_notification_emails: vec![],
            unconfirmed: vec![],
            deleted: false,
        };
        let text = new_lead(&event, &interface).text();
        let shown: String = text.split_whitespace().collect();
        assert!(shown.contains(payload), "{text}");
    }
}
