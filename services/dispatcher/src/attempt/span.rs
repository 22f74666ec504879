//! The span of an attempt, by the semantic conventions for HTTP clients. Further attributes begin with `leadline.`.
//!
//! Unless `--trace-failures` is off, a failed attempt is exported even if its trace is not sampled: as a separate span,
//! so that sampling loses no failure.

use domain::{
    AttemptOutcome,
    delivery::{Exchange, Execution, HttpVersion, Placement, SpanRef},
    registry::{Destination, SentTrace},
};
use jiff::Timestamp;
use runtime::trace::{self, Attribute, TraceContext};
use tracing::{Span, info_span};
use url::Url;

use crate::{payloads::Content, shared::Shared, work_item::WorkItem};

/// Replaces secrets and values of leads.
const REDACTED: &str = "REDACTED";

/// Begins the span of an attempt.
pub(crate) fn enter(
    shared: &Shared,
    destination: &Destination,
    item: &WorkItem,
    content: &Content,
    at: Timestamp,
) -> (Span, TraceContext) {
    let method = destination.request.method.as_str();
    let delivery = item.work.reference.delivery;
    let make = || info_span!("attempt", otel.kind = "client", otel.name = method, leadline.delivery.id = %delivery);
    match item.work.placement(at) {
        Placement::Child => TraceContext::enter(Some(&item.message.trace), make),
        Placement::OwnTrace => TraceContext::enter_linked(&causes(shared, item, content), make),
    }
}

/// The links of an attempt that starts its own trace.
fn causes(shared: &Shared, item: &WorkItem, content: &Content) -> [(TraceContext, &'static str); 4] {
    let previous = item.work.trace.previous.map(|span| TraceContext::of_ids(span.trace_id, span.span_id));
    let enabled = match item.work.holds {
        0 => TraceContext::default(),
        _ => shared.registry.enabled_by(&item.work.reference.destination),
    };
    [
        (content.published.clone(), "published"),
        (previous.unwrap_or_default(), "previous_attempt"),
        (enabled, "enabled"),
        (item.message.trace.clone(), "requested"),
    ]
}

/// The trace context that the request carries to the receiver.
pub(crate) fn sent(destination: &Destination, span: &Span, own: &TraceContext) -> TraceContext {
    match destination.request.trace_context {
        SentTrace::None => TraceContext::default(),
        SentTrace::Continue => own.clone(),
        SentTrace::Unset => own.without_baggage(),
        SentTrace::Restart => {
            let restarted = own.restarted();
            trace::link(span, &restarted, "restarted");
            restarted
        }
    }
}

/// The reference to the span, as facts store it.
pub(crate) fn reference(own: &TraceContext) -> Option<SpanRef> {
    own.ids().map(|(trace_id, span_id)| SpanRef { trace_id, span_id })
}

/// Ends the span with the result of the attempt. Returns the context of the span that is exported.
pub(crate) fn end(
    shared: &Shared,
    destination: &Destination,
    item: &WorkItem,
    (execution, exchange): (&Execution, Option<&Exchange>),
    (span, own): (Span, TraceContext),
) -> TraceContext {
    if !trace::exporting() {
        return own;
    }
    let failed = (!execution.outcome.is_success()).then(|| description(&execution.outcome));
    if let Some(description) = &failed
        && shared.trace_failures
        && !own.is_sampled()
    {
        let name = destination.request.method.as_str().to_owned();
        let times = (execution.started_at.into(), execution.ended_at().into());
        let all = attributes(destination, item, execution, exchange);
        let kept = trace::keep_failure(&[(own.clone(), "unsampled")], name, times, all, description.clone());
        return kept.unwrap_or(own);
    }
    trace::attributes(&span, attributes(destination, item, execution, exchange));
    if let Some(description) = failed {
        trace::fails(&span, description);
    }
    own
}

/// The description of a failure; empty for a response, because the attributes have its status. A redirect gets a
/// description, because its status alone does not explain the failure.
fn description(outcome: &AttemptOutcome) -> String {
    match outcome {
        AttemptOutcome::Response { status: 300..400, .. } => "redirects are not followed".to_owned(),
        AttemptOutcome::Response { .. } => String::new(),
        AttemptOutcome::NoResponse { message, .. } => message.clone(),
    }
}

fn attributes(
    destination: &Destination,
    item: &WorkItem,
    execution: &Execution,
    exchange: Option<&Exchange>,
) -> Vec<Attribute> {
    let (work, reference) = (&item.work, &item.work.reference);
    let mut all: Vec<Attribute> = vec![
        ("http.request.method", execution.request.method.clone().into()),
        ("url.full", redacted(&destination.url, &execution.request.url).into()),
        ("leadline.account.id", reference.account.to_string().into()),
        ("leadline.destination.id", reference.destination.to_string().into()),
        ("leadline.event.id", reference.event_id.to_string().into()),
        ("leadline.attempt.id", execution.attempt_id.to_string().into()),
        ("leadline.attempt.number", i64::from(work.attempt).into()),
        ("leadline.attempt.round", i64::from(work.round).into()),
    ];
    if let Ok(url) = Url::parse(&execution.request.url) {
        all.extend(url.host_str().map(|host| ("server.address", host.to_owned().into())));
        all.extend(url.port_or_known_default().map(|port| ("server.port", i64::from(port).into())));
    }
    if work.attempt > 1 {
        all.push(("http.request.resend_count", i64::from(work.attempt - 1).into()));
    }
    if let Some(exchange) = exchange {
        all.extend(exchange.version.map(|version| ("network.protocol.version", number(version).into())));
        if let Some(peer) = exchange.peer {
            all.push(("network.peer.address", peer.ip().to_string().into()));
            all.push(("network.peer.port", i64::from(peer.port()).into()));
        }
    }
    match &execution.outcome {
        AttemptOutcome::Response { status, .. } => {
            all.push(("http.response.status_code", i64::from(*status).into()));
            if !execution.outcome.is_success() {
                all.push(("error.type", status.to_string().into()));
            }
        }
        AttemptOutcome::NoResponse { kind, .. } => all.push(("error.type", kind.as_str().into())),
    }
    all
}

const fn number(version: HttpVersion) -> &'static str {
    match version {
        HttpVersion::Http10 => "1.0",
        HttpVersion::Http11 => "1.1",
        HttpVersion::Http2 => "2",
    }
}

/// The URL without its user and the values of its query, which may be secrets. If the URL is a template, the template
/// itself is shown, because the rendered values come from a lead.
fn redacted(configured: &str, sent: &str) -> String {
    let is_template = configured.contains("{{") || configured.contains("{%");
    let url = if is_template { configured } else { sent };
    let (place, query) = url.split_once('?').map_or((url, None), |(place, query)| (place, Some(query)));
    let mut redacted = match place.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            match authority.rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://{REDACTED}:{REDACTED}@{host}{path}"),
                None => place.to_owned(),
            }
        }
        None => place.to_owned(),
    };
    if let Some(query) = query {
        let without = |pair: &str| match pair.split_once('=') {
            Some((name, _)) => format!("{name}={REDACTED}"),
            None => REDACTED.to_owned(),
        };
        redacted.push('?');
        redacted.push_str(&query.split('&').map(without).collect::<Vec<_>>().join("&"));
    }
    redacted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_shows_no_secrets_and_no_values_of_leads() {
        let template = "https://crm.example/{{ payload.email }}?key={{ payload.name }}";
        for (configured, sent, shown) in [
            ("", "https://crm.example/hook", "https://crm.example/hook"),
            ("", "https://me:secret@crm.example:8443/hook", "https://REDACTED:REDACTED@crm.example:8443/hook"),
            (
                "",
                "https://crm.example/hook?token=abc&sig=&x",
                "https://crm.example/hook?token=REDACTED&sig=REDACTED&REDACTED",
            ),
            (
                template,
                "https://crm.example/jo@example.org?key=Jo",
                "https://crm.example/{{ payload.email }}?key=REDACTED",
            ),
        ] {
            assert_eq!(redacted(configured, sent), shown);
        }
    }
}
