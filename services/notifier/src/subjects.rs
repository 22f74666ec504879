//! What follows the prescribed words of a subject line: the destination and why it failed, or the interface.
//!
//! Mail programs put mails with the same subject together, and people decide by the subject what to look at first. Nothing
//! in it comes from a lead or a receiver: subjects are kept in the log, also after a lead was anonymised.

use domain::{
    DeliveryFact, ErrorKind,
    notice::Window,
    registry::{Deactivation, Destination, Interface},
};

/// Characters of a name that a subject shows: most mail programs show about 70 of a subject.
const MAX_NAME: usize = 60;
/// Causes that are named of several failures.
const MAX_CAUSES: usize = 2;

/// A delivery failed, or failed as the last of many.
pub(crate) fn failure(destination: &str, fact: Option<&DeliveryFact>) -> String {
    match fact.and_then(cause_of) {
        Some(cause) => format!("{} ({cause})", short(destination)),
        None => short(destination),
    }
}

/// Deliveries failed after people were told of the first one.
pub(crate) fn further_failures(destination: &Destination, window: &Window) -> String {
    let mut errors: Vec<_> = window.errors.iter().collect();
    errors.sort_by_key(|error| std::cmp::Reverse(error.count));
    let causes: Vec<_> = errors.iter().take(MAX_CAUSES).map(|error| cause(error.status, error.kind)).collect();
    let (name, count) = (short(name(destination)), window.count);
    if causes.is_empty() {
        return format!("{name} ({count} more)");
    }
    format!("{name} ({count} more: {})", causes.join(", "))
}

/// A rule switched a destination off.
pub(crate) fn deactivation(destination: &Destination, why: &Deactivation) -> String {
    let by = why.delivery.as_ref().map(|by| cause(by.status_code, by.error_kind));
    format!("{} ({})", short(name(destination)), by.unwrap_or_else(|| why.cause.as_str().to_owned()))
}

/// A destination works again.
pub(crate) fn recovery(destination: &Destination) -> String {
    short(name(destination))
}

/// Leads came in; `count` of several.
pub(crate) fn leads(interface: &Interface, count: Option<u64>) -> String {
    let name = if interface.name.is_empty() { interface.id.as_str() } else { &interface.name };
    count.map_or_else(|| short(name), |count| format!("{} ({count})", short(name)))
}

/// How a destination is called: its name, or its id if it has none.
pub(crate) fn name(destination: &Destination) -> &str {
    if destination.name.is_empty() { destination.id.as_str() } else { &destination.name }
}

fn cause_of(fact: &DeliveryFact) -> Option<String> {
    match fact {
        DeliveryFact::Attempted(f) => Some(cause(f.outcome.status_code(), f.outcome.error_kind())),
        DeliveryFact::Abandoned(f) => Some(f.reason.as_str().to_owned()),
        _ => None,
    }
}

/// The status, or the kind of error if no answer came.
fn cause(status: u16, kind: Option<ErrorKind>) -> String {
    match (status, kind) {
        (_, Some(kind)) => kind.to_string(),
        (0, None) => "no data".to_owned(),
        (status, None) => status.to_string(),
    }
}

/// A name on one line and cut: what was accepted before there was a rule may be anything.
fn short(name: &str) -> String {
    let mut characters = name.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = characters.by_ref().take(MAX_NAME).collect();
    if characters.next().is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_short_line() {
        assert_eq!(short("CRM\r\nBcc: x"), "CRM  Bcc: x");
        assert_eq!(short(&"ä".repeat(60)), "ä".repeat(60));
        assert_eq!(short(&"ä".repeat(61)), format!("{}…", "ä".repeat(60)));
    }
}
