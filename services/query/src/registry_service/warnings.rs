//! Warnings about settings of a destination that may be mistakes. A call with a warning is not refused.

use api::registry::destination_to_api;
use domain::{
    Registry,
    registry::{Destination, Scope},
    routing::{Overlap, overlaps},
};

/// At most this many other destinations are named in a warning; the rest are counted.
const MAX_NAMED: usize = 5;

pub(super) fn added(registry: &Registry, destination: &Destination) -> api::Destination {
    api::Destination { warnings: about(registry, destination), ..destination_to_api(destination) }
}

pub(super) fn about(registry: &Registry, destination: &Destination) -> Vec<String> {
    let found = overlaps(registry, destination);
    let mut warnings = vec![];
    if !found.overrides.is_empty() {
        let condition = if destination.condition.is_some() { ", if its condition holds," } else { "" };
        warnings.push(format!(
            "This destination overrides {}: an event that both want goes{condition} only to this one. {ADVICE}",
            names(&found.overrides)
        ));
    }
    let (always, sometimes): (Vec<_>, Vec<_>) = found.overridden_by.into_iter().partition(|overlap| overlap.always);
    if !always.is_empty() {
        let names = names(&always);
        warnings.push(format!("This destination is overridden by {names}: it gets no events that both want. {ADVICE}"));
    }
    if !sometimes.is_empty() {
        warnings.push(format!(
            "This destination is overridden by {} for the events that meet the condition of one of them. {ADVICE}",
            names(&sometimes)
        ));
    }
    warnings
}

const ADVICE: &str = "Set the account's routing to all if both should get them.";

fn names(overlaps: &[Overlap]) -> String {
    let named = overlaps.iter().take(MAX_NAMED).map(|overlap| {
        let other = &overlap.other;
        let scope = match &other.scope {
            Scope::Account => "of the account".to_owned(),
            Scope::Client(client) => format!("of client {client}"),
            Scope::Interface(interface) => format!("of interface {interface}"),
        };
        let name = if other.name.is_empty() { String::new() } else { format!("{} ", other.name) };
        format!("{name}({}) {scope}", other.id)
    });
    let mut text = named.collect::<Vec<_>>().join(", ");
    if overlaps.len() > MAX_NAMED {
        text.push_str(&format!(" and {} others", overlaps.len() - MAX_NAMED));
    }
    text
}
