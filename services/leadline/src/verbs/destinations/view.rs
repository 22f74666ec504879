//! Destinations as the command line shows them.

use api::retry_policy::Policy;

use super::{super::deliveries::answer, connection, content};
use crate::{
    remote::session::Session,
    terminal::{
        output::{in_json, note},
        table::{Cell, Column, Tone, fixed, flexible, print_facts},
        time_args::{lasted, shown},
    },
};

pub(super) const COLUMNS: [Column; 6] =
    [fixed("DESTINATION"), flexible("NAME"), fixed("STATE"), flexible("FOR"), flexible("EVENTS"), flexible("URL")];

pub(super) fn row(destination: &api::Destination) -> Vec<Cell> {
    vec![
        destination.destination_id.as_str().into(),
        destination.name.as_str().into(),
        state(destination),
        scope(destination).into(),
        destination.event_types.join(" ").into(),
        destination.url.as_str().into(),
    ]
}

pub(super) fn show(session: &Session, destination: &api::Destination) -> anyhow::Result<()> {
    if session.out.is_json() {
        return session.out.json(destination);
    }
    let policy = match destination.retry_policy.as_ref().and_then(|policy| policy.policy.as_ref()) {
        Some(Policy::Preset(preset)) => preset.clone(),
        Some(Policy::Custom(custom)) => in_json(custom)?.to_string(),
        None => String::new(),
    };
    let headers: Vec<_> = destination.headers.iter().map(|header| header.name.as_str()).collect();
    let body = match &destination.body {
        _ if ["GET", "DELETE"].contains(&destination.method.as_str()) => "none".to_owned(),
        Some(api::destination::Body::BodyPreset(preset)) => preset.clone(),
        Some(api::destination::Body::BodyTemplate(template)) => format!("template of {} bytes", template.len()),
        None => String::new(),
    };
    let auth = destination.auth.clone().unwrap_or_default();
    let mut facts = vec![
        ("destination", destination.destination_id.as_str().into()),
        ("name", destination.name.as_str().into()),
        ("state", state(destination)),
        ("account", destination.account_id.as_str().into()),
        ("for", scope(destination).into()),
        ("events", destination.event_types.join(" ").into()),
        ("condition", destination.condition.as_str().into()),
        ("request", format!("{} {}", destination.method, destination.url).into()),
        ("body", body.into()),
        ("content type", destination.content_type.as_str().into()),
        ("form", destination.form.as_ref().map(content::described).unwrap_or_default().into()),
        ("headers", headers.join(", ").into()),
        ("credentials", format!("{} {}", auth.shown_kind, auth.shown_header).trim().into()),
        ("webhook-id", format!("id of the {}", destination.webhook_id).into()),
        ("trace context", destination.trace_context.as_str().into()),
        ("signed with", destination.token_id.as_str().into()),
        (
            "compatibility",
            destination.compatibility_signature.as_ref().map(content::signature).unwrap_or_default().into(),
        ),
        ("timeout", lasted(destination.timeout.as_ref()).into()),
        ("requests at once", destination.concurrency.into()),
        ("requests a second", if destination.rate == 0 { "any number".into() } else { destination.rate.into() }),
        ("ordered", if destination.ordered { "yes".into() } else { "no".into() }),
        ("retry policy", policy.into()),
    ];
    facts.extend(connection::facts(destination));
    facts.extend(destination.deactivated.as_ref().map(deactivation).unwrap_or_default());
    print_facts(&session.out, facts)
}

/// Prints the warnings of a change to standard error, because they are for people.
pub(super) fn warn(destination: &api::Destination) {
    for warning in &destination.warnings {
        note(&format!("Warning: {warning}"));
    }
}

/// The delivery that deactivated a destination, the last answer, and the number of held deliveries.
fn deactivation(why: &api::Deactivation) -> Vec<(&'static str, Cell)> {
    let mut facts = vec![("deactivated", shown(why.at.as_ref()).into())];
    if let Some(first) = &why.first_failed_at {
        facts.push(("first failure", shown(Some(first)).into()));
    }
    if !why.delivery_id.is_empty() {
        facts.extend([
            ("by delivery", format!("{} after {} attempts", why.delivery_id, why.attempts).into()),
            ("of lead", format!("{} (event {})", why.lead_id, why.event_id).into()),
            ("last answer", answer(why.http_status_code, &why.error_kind).into()),
            ("what to do", why.suggested_action.as_str().into()),
        ]);
    }
    facts.extend(why.held.map(|held| ("held", held.to_string().into())));
    facts
}

pub(super) fn state(destination: &api::Destination) -> Cell {
    match (&destination.deactivated, destination.enabled) {
        (Some(deactivated), _) => Cell::toned(format!("deactivated ({})", deactivated.cause), Tone::Bad),
        (None, Some(false)) => Cell::toned("disabled", Tone::Waiting),
        (None, _) => Cell::toned("enabled", Tone::Good),
    }
}

pub(super) fn scope(destination: &api::Destination) -> String {
    match (destination.interface_id.as_str(), destination.client_id.as_str()) {
        ("", "") => "account".to_owned(),
        ("", client) => format!("client {client}"),
        (interface, _) => format!("interface {interface}"),
    }
}
