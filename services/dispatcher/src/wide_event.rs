//! Logs one line for each delivery that ends, with its outcome, ids, times and last attempt.

use domain::{
    ClientId, DeliveryFact, ErrorKind,
    delivery::{NextStep, SpanRef},
};
use jiff::Timestamp;

/// How a delivery ended.
struct End<'a> {
    outcome: &'static str,
    reason: &'static str,
    attempts: u32,
    round: u32,
    status: Option<u16>,
    error_kind: Option<ErrorKind>,
    duration_ms: Option<u64>,
    method: &'a str,
    trace: Option<SpanRef>,
    at: Timestamp,
}

/// Logs the end of a delivery, if the fact is one.
pub(crate) fn log(fact: &DeliveryFact) {
    let Some(end) = end(fact) else { return };
    let r = fact.reference();
    let age = r.requested_at.map(|since| end.at.duration_since(since).as_millis());
    tracing::info!(
        target: "leadline::deliveries",
        outcome = end.outcome,
        reason = end.reason,
        attempts = end.attempts,
        round = end.round,
        http.response.status_code = end.status,
        error.kind = end.error_kind.map(ErrorKind::as_str),
        http.request.method = end.method,
        last_attempt_ms = end.duration_ms,
        age_ms = age.and_then(|age| i64::try_from(age).ok()),
        account = %r.account,
        interface = %r.interface,
        client = r.client.as_ref().map(ClientId::as_str),
        destination = %r.destination,
        delivery = %r.delivery,
        lead = %r.lead,
        event = %r.event_id,
        event_type = %r.event_type,
        attempt_trace_id = end.trace.map(|span| span.trace_id()),
        "delivery ended"
    );
}

fn end(fact: &DeliveryFact) -> Option<End<'_>> {
    match fact {
        DeliveryFact::Attempted(f) => {
            let (outcome, reason) = match f.next_step {
                NextStep::Succeeded => ("succeeded", ""),
                NextStep::Failed(reason) => ("failed", reason.as_str()),
                NextStep::RetryAt(_) => return None,
            };
            let error_kind = f.outcome.error_kind();
            Some(End {
                outcome,
                reason,
                attempts: f.attempt,
                round: f.round,
                status: error_kind.is_none().then(|| f.outcome.status_code()),
                error_kind,
                duration_ms: u64::try_from(f.duration.as_millis()).ok(),
                method: &f.request.method,
                trace: f.trace,
                at: f.ended_at(),
            })
        }
        DeliveryFact::Abandoned(f) => Some(End {
            outcome: "failed",
            reason: f.reason.as_str(),
            attempts: f.attempts,
            round: f.round,
            status: None,
            error_kind: None,
            duration_ms: None,
            method: "",
            trace: None,
            at: f.at,
        }),
        _ => None,
    }
}
