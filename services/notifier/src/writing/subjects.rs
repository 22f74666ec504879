//! The part of a subject line after the fixed words: the destination and the cause of its failure, or the interface.
//!
//! Mail programs group mails by their subject, and people choose by the subject what to read first. No part of a
//! subject comes from a lead or a receiver, because the log keeps subjects after a lead was anonymised.

use domain::{
    DeliveryFact, ErrorKind,
    notice::Window,
    registry::{Deactivation, Destination, Interface},
};

/// How many characters of a name a subject shows: most mail programs show about 70 characters of a subject.
const MAX_NAME: usize = 60;
/// How many causes a subject about several failures names.
const MAX_CAUSES: usize = 2;

/// For a failed delivery, alone or as the last of several in a row.
pub(crate) fn failure(destination: &str, fact: Option<&DeliveryFact>) -> String {
    match fact.and_then(cause_of) {
        Some(cause) => format!("{} ({cause})", short(destination)),
        None => short(destination),
    }
}

/// For deliveries that failed after the notice about the first one.
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

/// For a destination that a rule deactivated.
pub(crate) fn deactivation(destination: &Destination, why: &Deactivation) -> String {
    let by = why.delivery.as_ref().map(|by| cause(by.status_code, by.error_kind));
    format!("{} ({})", short(name(destination)), by.unwrap_or_else(|| why.cause.as_str().to_owned()))
}

/// For a destination that works again.
pub(crate) fn recovery(destination: &Destination) -> String {
    short(name(destination))
}

/// For new leads. `count` is `None` if the mail is about one lead.
pub(crate) fn leads(interface: &Interface, count: Option<u64>) -> String {
    let name = if interface.name.is_empty() { interface.id.as_str() } else { &interface.name };
    count.map_or_else(|| short(name), |count| format!("{} ({count})", short(name)))
}

/// The name of a destination, or its id if it has no name.
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

/// The status, or the kind of error if there was no response.
fn cause(status: u16, kind: Option<ErrorKind>) -> String {
    match (status, kind) {
        (_, Some(kind)) => kind.to_string(),
        (0, None) => "no data".to_owned(),
        (status, None) => status.to_string(),
    }
}

/// A name on one line, cut after [`MAX_NAME`] characters. A name that was set before names were checked may contain
/// anything.
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
