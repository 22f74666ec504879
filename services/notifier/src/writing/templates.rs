//! The mails about notices: the values of each template. The words are in `templates/*.jinja`.

use domain::{
    AccountId, AttemptOutcome, DeliveryFact, DeliveryId, ErrorKind, InterfaceId, LeadEvent, LeadId, Registry,
    advice::suggested_action,
    delivery::{FailureReason, NextStep, SpanRef},
    notice::{ErrorCount, LeadExample, LeadWindow, NoticeKind, Window},
    policy::Deactivate,
    registry::{Deactivation, DeactivationCause, Destination, Interface},
};
use jiff::Timestamp;
use minijinja::{Value, context};

use crate::writing::{body::Content, compose::compose};

/// A mail shows at most this many bytes of a lead's data.
const MAX_DATA: usize = 16 * 1024;
/// The advice if the payload is gone.
const PAYLOAD_GONE: &str = "The lead's data is no longer stored, so it cannot be sent again. Publish it again.";
/// The advice if Leadline itself failed.
const CRASHED: &str = "Leadline itself failed while it worked on this delivery. Ask its operator to look into the log of \
    the dispatcher, and retry the delivery once the cause is found.";

/// The mail about a failed delivery.
pub(crate) fn failure(fact: &DeliveryFact, registry: &Registry) -> Content {
    let reference = fact.reference();
    let destination = registry.destination_ever(&reference.destination);
    let shown = destination.map_or_else(|| reference.destination.to_string(), |found| named(found));
    let (attempts, reason, outcome, url) = match fact {
        DeliveryFact::Attempted(f) => {
            let reason = if let NextStep::Failed(reason) = f.next_step { reason.as_str() } else { "" };
            (f.attempt, reason, Some(&f.outcome), f.request.url.clone())
        }
        DeliveryFact::Abandoned(f) => {
            (f.attempts, f.reason.as_str(), None, destination.map(|d| d.url.clone()).unwrap_or_default())
        }
        _ => (0, "", None, String::new()),
    };
    let advice = outcome
        .map_or_else(|| without_attempt(fact), |outcome| suggested_action(outcome.status_code(), outcome.error_kind()));
    mail(
        "failure.jinja",
        context! {
            account => reference.account.as_str(),
            lead => reference.lead.as_str(),
            interface => reference.interface.as_str(),
            event_type => reference.event_type.as_str(),
            event => reference.event_id.as_str(),
            destination => shown,
            url,
            attempts,
            failed_at => time(fact.at()),
            reason,
            delivery => reference.delivery.to_string(),
            trace => trace_of(fact),
            status => outcome.map(status),
            response => outcome.map(|outcome| outcome.webhook_response().to_owned()),
            advice,
        },
    )
}

/// The id of the trace of an attempt; `None` if it has none.
fn trace_of(fact: &DeliveryFact) -> Option<String> {
    match fact {
        DeliveryFact::Attempted(f) => f.trace.as_ref().map(SpanRef::trace_id),
        _ => None,
    }
}

/// The advice for a delivery that ended without an attempt.
fn without_attempt(fact: &DeliveryFact) -> &'static str {
    match fact {
        DeliveryFact::Abandoned(f) if f.reason == FailureReason::Crashed => CRASHED,
        _ => PAYLOAD_GONE,
    }
}

/// The mail about deliveries that failed after the notice about the first one.
pub(crate) fn further_failures(destination: &Destination, window: &Window, examples: &[DeliveryFact]) -> Content {
    let mut errors = window.errors.clone();
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    let counted: u64 = errors.iter().map(|error| error.count).sum();
    let example = |fact: &DeliveryFact| {
        let reference = fact.reference();
        context! {
            at => time(fact.at()),
            lead => reference.lead.as_str(),
            interface => reference.interface.as_str(),
            delivery => reference.delivery.to_string(),
        }
    };
    about_destination(
        "further_failures.jinja",
        destination,
        context! {
            count => window.count,
            from => time(window.from),
            until => time(window.until),
            errors => errors.iter().map(error).collect::<Value>(),
            others => window.count.saturating_sub(counted),
            examples => examples.iter().map(example).collect::<Value>(),
        },
    )
}

/// The mail about a destination that fails again and again.
pub(crate) fn repeated_failures(
    destination: &Destination,
    failures: u32,
    failing_since: Timestamp,
    last: Option<&DeliveryFact>,
) -> Content {
    let outcome = match last {
        Some(DeliveryFact::Attempted(f)) => Some(&f.outcome),
        _ => None,
    };
    let advice = outcome.map_or_else(
        || last.map_or(PAYLOAD_GONE, without_attempt),
        |outcome| suggested_action(outcome.status_code(), outcome.error_kind()),
    );
    about_destination(
        "repeated_failures.jinja",
        destination,
        context! {
            failures,
            failing_since => time(failing_since),
            status => outcome.map(status),
            advice,
        },
    )
}

/// The mail about a destination that works again.
pub(crate) fn recovery(destination: &Destination, at: Timestamp, failing_since: Option<Timestamp>) -> Content {
    let (succeeded_at, failing_since) = (time(at), failing_since.map(time));
    about_destination("recovery.jinja", destination, context! { succeeded_at, failing_since })
}

/// The mail about a destination that a rule deactivated. `held` counts its held deliveries.
pub(crate) fn deactivation(destination: &Destination, why: &Deactivation, held: u64) -> Content {
    let cause = match why.cause {
        DeactivationCause::Exhausted if destination.retry.deactivate == Deactivate::IfNothingSucceeded => {
            "exhausted_alone"
        }
        DeactivationCause::Exhausted => "exhausted",
        DeactivationCause::Gone => "gone",
    };
    let delivery = why.delivery.as_ref().map(|by| {
        context! {
            lead => by.lead.as_str(),
            event => by.event_id.as_str(),
            id => by.delivery.to_string(),
            attempts => by.attempts,
            answer => answer(by.status_code, by.error_kind),
            advice => suggested_action(by.status_code, by.error_kind),
        }
    });
    about_destination(
        "deactivation.jinja",
        destination,
        context! {
            cause,
            deactivated_at => time(why.at),
            first_failed_at => why.first_failed_at.map(time),
            delivery,
            held,
        },
    )
}

/// The mail about a new lead.
pub(crate) fn new_lead(event: &LeadEvent, interface: &Interface) -> Content {
    let data = render::json::parse(&event.payload)
        .map_or_else(|_| String::from_utf8_lossy(&event.payload).into_owned(), |json| json.pretty(MAX_DATA));
    mail(
        "new_lead.jinja",
        context! {
            account => event.account.as_str(),
            lead => event.lead.as_str(),
            interface => &interface.name,
            interface_id => interface.id.as_str(),
            received_at => time(event.received_at),
            data => shortened(data),
        },
    )
}

/// The mail about leads that came in after the notice about the first one.
pub(crate) fn further_leads(interface: &Interface, window: &LeadWindow) -> Content {
    let lead =
        |example: &LeadExample| context! { received_at => time(example.received_at), id => example.lead.as_str() };
    mail(
        "further_leads.jinja",
        context! {
            account => interface.account.as_str(),
            interface => &interface.name,
            interface_id => interface.id.as_str(),
            count => window.count,
            from => time(window.from),
            until => time(window.until),
            leads => window.examples.iter().map(lead).collect::<Value>(),
            unlisted => window.count.saturating_sub(window.examples.len() as u64),
        },
    )
}

/// The mail that asks the owner of an address for consent.
pub(crate) fn confirmation(account: &AccountId, url: Option<String>, code: &str) -> Content {
    mail("confirmation.jinja", context! { account => account.as_str(), url, code })
}

/// The page behind the link of a mail about a destination. `held` is `None` if the number is not known.
pub(crate) fn destination_details(
    destination: &Destination,
    held: Option<u64>,
    delivery: Option<DeliveryId>,
) -> Content {
    let why = destination.deactivated.as_ref();
    let state = match why {
        _ if !destination.enabled => "disabled",
        Some(_) => "deactivated",
        None => "enabled",
    };
    about_destination(
        "destination_details.jinja",
        destination,
        context! {
            state,
            deactivated_at => why.map(|why| time(why.at)),
            cause => why.map(|why| why.cause.as_str()),
            held,
            delivery => delivery.map(|delivery| delivery.to_string()),
        },
    )
}

/// The page behind the link of a mail about leads.
pub(crate) fn lead_details(account: &AccountId, interface: &InterfaceId, lead: Option<&LeadId>) -> Content {
    let lead = lead.map(LeadId::as_str);
    mail("lead_details.jinja", context! { account => account.as_str(), interface => interface.as_str(), lead })
}

/// Adds the link into the console.
pub(crate) fn with_console(page: Content, url: String) -> Content {
    compose(page, "console.jinja", context! { url })
}

/// The links at the end of a mail, and the number of mails that a quota left out before it.
#[derive(Debug)]
pub(crate) struct Footer {
    pub(crate) kind: NoticeKind,
    pub(crate) details_url: Option<String>,
    pub(crate) unsubscribe_url: Option<String>,
    /// The number of mails to this recipient that a quota left out.
    pub(crate) left_out: u64,
}

/// Adds the end of a mail.
pub(crate) fn with_footer(page: Content, footer: Footer) -> Content {
    let Footer { kind, details_url, unsubscribe_url, left_out } = footer;
    let about = mails_about(kind);
    compose(page, "footer.jinja", context! { about, details_url, unsubscribe_url, left_out })
}

fn mail(template: &str, values: Value) -> Content {
    compose(Content::default(), template, values)
}

fn about_destination(template: &str, destination: &Destination, values: Value) -> Content {
    let common = context! {
        account => destination.account.as_str(),
        destination => named(destination),
        destination_id => destination.id.as_str(),
        url => &destination.url,
    };
    let page = mail(template, context! { ..values, ..common.clone() });
    compose(page, "retry_all.jinja", common)
}

/// The subject of mails of a kind, in words for their readers.
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

fn named(destination: &Destination) -> String {
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

fn error(error: &ErrorCount) -> Value {
    let (what, advice) = match (error.status, error.kind) {
        (0, _) => ("no data".to_owned(), PAYLOAD_GONE),
        (status, kind) => (answer(status, kind), suggested_action(status, kind)),
    };
    context! { count => error.count, answer => what, advice }
}

/// A time in full seconds.
fn time(at: Timestamp) -> String {
    format!("{at:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writing::samples;

    #[test]
    fn a_new_lead_keeps_its_digits_and_its_order() {
        let payload = r#"{"z":12345678901234567890123,"price":1.10,"big":1E400,"a":{"y":1,"b":2.0}}"#;
        let event = LeadEvent { payload: payload.into(), ..samples::event() };
        let interface = Interface {
            account: event.account.clone(),
            id: event.interface.clone(),
            name: "Form".into(),
            retention: None,
            lead_notification_emails: vec![],
            searchable: vec![],
            unconfirmed: vec![],
            deleted: false,
        };
        let text = new_lead(&event, &interface).text();
        let shown: String = text.split_whitespace().collect();
        assert!(shown.contains(payload), "{text}");
    }
}
