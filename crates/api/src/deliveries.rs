//! Conversions of deliveries, their attempts, and the filters that find them.

use std::collections::HashMap;

use domain::{
    AccountId, ClientId, Delivery, DeliveryStatus, DestinationId, EventId, InterfaceId, LeadId, Registry,
    advice::suggested_action,
    delivery::{DeliveryFilter, Exchange, FailureReason, HeaderLine, HttpVersion, LastAttempt, SpanRef, Times},
    outcome::HttpStatusClass,
    registry::{DeactivationCause, EventTypePattern},
};

use crate::{
    primitives::{duration_to_api, timestamp_to_api},
    request::{Violations, WrongField, line, optional, time},
};

/// The maximum length of the reason of a retry, in characters. The reason is shown in one line of a log.
const MAX_REASON: usize = 200;

/// Reads a filter, and notes what is wrong with it.
pub fn filter(fields: &mut Violations, given: &crate::DeliveryFilter) -> Option<DeliveryFilter> {
    let account = fields.note(optional("filter.account_id", &given.account_id, AccountId::parse));
    let interface = fields.note(optional("filter.interface_id", &given.interface_id, InterfaceId::parse));
    let destination = fields.note(optional("filter.destination_id", &given.destination_id, DestinationId::parse));
    let lead = fields.note(optional("filter.lead_id", &given.lead_id, LeadId::parse));
    let event_id = fields.note(optional("filter.event_id", &given.event_id, EventId::parse));
    let client = fields.note(optional("filter.client_id", &given.client_id, ClientId::parse));
    let event_type = fields.note(optional("filter.event_type", &given.event_type, EventTypePattern::parse));
    let statuses = fields.note(statuses("filter.statuses", &given.statuses));
    let reason = |word: &str| FailureReason::parse(word).ok_or_else(reasons);
    let failure = fields.note(optional("filter.failure_reason", &given.failure_reason, reason));
    let http_status = fields.note(http_status("filter.http_status_code", given.http_status_code));
    let class = fields.note(http_status_class("filter.http_status_class", given.http_status_class));
    let from = fields.note(time("filter.requested_from", given.requested_from.as_ref()));
    let before = fields.note(time("filter.requested_before", given.requested_before.as_ref()));
    Some(DeliveryFilter {
        account: account?,
        interface: interface?,
        destination: destination?,
        lead: lead?,
        event_id: event_id?,
        client: client?,
        event_type: event_type?,
        statuses: statuses?,
        failure: failure?,
        http_status: http_status?,
        http_status_class: class?,
        requested_from: from?,
        requested_before: before?,
    })
}

pub fn filter_to_api(filter: &DeliveryFilter) -> crate::DeliveryFilter {
    fn text(value: Option<&impl ToString>) -> String {
        value.map(ToString::to_string).unwrap_or_default()
    }
    crate::DeliveryFilter {
        account_id: text(filter.account.as_ref()),
        interface_id: text(filter.interface.as_ref()),
        destination_id: text(filter.destination.as_ref()),
        lead_id: text(filter.lead.as_ref()),
        event_id: text(filter.event_id.as_ref()),
        client_id: text(filter.client.as_ref()),
        event_type: filter.event_type.as_ref().map_or("", EventTypePattern::as_str).to_owned(),
        statuses: filter.statuses.iter().map(|status| status_to_api(*status).into()).collect(),
        failure_reason: filter.failure.map_or("", FailureReason::as_str).to_owned(),
        http_status_code: filter.http_status.unwrap_or_default().into(),
        http_status_class: filter.http_status_class.map_or(0, |class| class.digit().into()),
        requested_from: filter.requested_from.map(timestamp_to_api),
        requested_before: filter.requested_before.map(timestamp_to_api),
        // The filter of a job contains no searched values. After a search by values, the job stores the ids of the
        // found deliveries instead.
        r#where: HashMap::new(),
    }
}

fn reasons() -> String {
    format!("is not one of {}", FailureReason::ALL.map(FailureReason::as_str).join(", "))
}

/// A status to filter by; `None` for 0.
pub fn http_status(field: &'static str, given: u32) -> Result<Option<u16>, WrongField> {
    match u16::try_from(given) {
        Ok(0) => Ok(None),
        Ok(status @ 100..=999) => Ok(Some(status)),
        _ => Err(WrongField::new(field, "is not an HTTP status (100 to 999, where 999 means no answer)")),
    }
}

/// A class of statuses to filter by; `None` for 0.
pub fn http_status_class(field: &'static str, given: u32) -> Result<Option<HttpStatusClass>, WrongField> {
    match (given, HttpStatusClass::new(given)) {
        (0, _) => Ok(None),
        (_, Some(class)) => Ok(Some(class)),
        (_, None) => Err(WrongField::new(field, "is not a class of HTTP statuses (1 to 5)")),
    }
}

/// The statuses to filter by, each once.
pub fn statuses(field: &'static str, given: &[i32]) -> Result<Vec<DeliveryStatus>, WrongField> {
    let mut statuses = vec![];
    for number in given {
        let known = DeliveryStatus::ALL.into_iter().find(|known| i32::from(status_to_api(*known)) == *number);
        let known = known.ok_or_else(|| WrongField::new(field, format!("{number} is not a status")))?;
        if !statuses.contains(&known) {
            statuses.push(known);
        }
    }
    statuses.sort_unstable();
    Ok(statuses)
}

/// Checks the reason that a caller gives for a retry, which may be empty.
///
/// # Errors
/// If the reason is too long, or has a control character such as a line end.
pub fn retry_reason(text: &str) -> Result<String, WrongField> {
    line("reason", text, MAX_REASON).map(|()| text.to_owned())
}

const fn status_to_api(status: DeliveryStatus) -> crate::DeliveryStatus {
    match status {
        DeliveryStatus::Pending => crate::DeliveryStatus::Pending,
        DeliveryStatus::Processing => crate::DeliveryStatus::Processing,
        DeliveryStatus::Retrying => crate::DeliveryStatus::Retrying,
        DeliveryStatus::Held => crate::DeliveryStatus::Held,
        DeliveryStatus::Succeeded => crate::DeliveryStatus::Succeeded,
        DeliveryStatus::Failed => crate::DeliveryStatus::Failed,
    }
}

pub fn delivery_to_api(delivery: &Delivery, registry: &Registry) -> crate::Delivery {
    let reference = &delivery.reference;
    let destination = registry.destination_ever(&reference.destination);
    let status = delivery.status.at_destination(registry.switch(&reference.destination));
    // A held delivery waits for a person, not for its timer.
    let next_attempt_at = delivery.next_attempt_at.filter(|_| status != DeliveryStatus::Held);
    let outcome = delivery.last.as_ref().map(|last| &last.outcome);
    let (answer, kind) = outcome.map_or((0, None), |outcome| (outcome.status_code(), outcome.error_kind()));
    let unsuccessful = outcome.is_some_and(|outcome| !outcome.is_success());
    let request = delivery.last.as_ref().map(|last| last.request.clone());
    crate::Delivery {
        delivery_id: reference.delivery.to_string(),
        account_id: reference.account.to_string(),
        interface_id: reference.interface.to_string(),
        client_id: reference.client.as_ref().map(ToString::to_string).unwrap_or_default(),
        destination_id: reference.destination.to_string(),
        destination_name: destination.map(|d| d.name.clone()).unwrap_or_default(),
        event_id: reference.event_id.to_string(),
        event_type: reference.event_type.to_string(),
        lead_id: reference.lead.to_string(),
        status: status_to_api(status).into(),
        attempts: delivery.attempts,
        retries: delivery.round,
        requested_at: delivery.requested_at.map(timestamp_to_api),
        updated_at: Some(timestamp_to_api(delivery.updated_at)),
        next_attempt_at: next_attempt_at.map(timestamp_to_api),
        http_status_code: answer.into(),
        webhook_response: outcome.map(|outcome| outcome.webhook_response().to_owned()).unwrap_or_default(),
        error_kind: kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        failure_reason: delivery.failure.map(|reason| reason.as_str().to_owned()).unwrap_or_default(),
        suggested_action: if unsuccessful { suggested_action(answer, kind).to_owned() } else { String::new() },
        request_method: request.as_ref().map(|line| line.method.clone()).unwrap_or_default(),
        request_url: request.map(|line| line.url).unwrap_or_default(),
        deactivation_cause: delivery.last.as_ref().map(cause).unwrap_or_default(),
        deactivation_code: delivery.last.as_ref().map_or(crate::DeactivationCause::Unspecified, cause_code).into(),
        error_code: kind.map_or(crate::ErrorKind::Unspecified, Into::into).into(),
        failure_code: delivery.failure.map_or(crate::FailureReason::Unspecified, Into::into).into(),
    }
}

fn cause_code(attempt: &LastAttempt) -> crate::DeactivationCause {
    attempt.deactivated.map_or(crate::DeactivationCause::Unspecified, Into::into)
}

fn cause(attempt: &LastAttempt) -> String {
    attempt.deactivated.map_or("", DeactivationCause::as_str).to_owned()
}

/// An attempt of a round, with its exchange and its span if they are known.
pub fn attempt_to_api(
    attempt: &LastAttempt,
    round: u32,
    exchange: Option<&Exchange>,
    trace: Option<&SpanRef>,
) -> crate::Attempt {
    let outcome = &attempt.outcome;
    let (status, kind) = (outcome.status_code(), outcome.error_kind());
    crate::Attempt {
        attempt_id: attempt.attempt_id.to_string(),
        number: attempt.attempt,
        round,
        started_at: Some(timestamp_to_api(attempt.started_at)),
        duration: Some(duration_to_api(attempt.duration)),
        request_method: attempt.request.method.clone(),
        request_url: attempt.request.url.clone(),
        http_status_code: status.into(),
        webhook_response: outcome.webhook_response().to_owned(),
        error_kind: kind.map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        suggested_action: suggested_action(status, kind).to_owned(),
        deactivation_cause: cause(attempt),
        deactivation_code: cause_code(attempt).into(),
        exchange: exchange.map(|exchange| exchange_to_api(exchange, outcome.webhook_response())),
        trace_id: trace.map(SpanRef::trace_id).unwrap_or_default(),
        error_code: kind.map_or(crate::ErrorKind::Unspecified, Into::into).into(),
    }
}

fn exchange_to_api(exchange: &Exchange, excerpt: &str) -> crate::Exchange {
    let Times { dns, connect, tls, first_byte } = exchange.times;
    let answered = first_byte.is_some();
    crate::Exchange {
        request_headers: headers_to_api(&exchange.request_headers),
        request_body_bytes: exchange.request_size,
        request_body_sha256: exchange.request_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        response_headers: headers_to_api(&exchange.response_headers),
        response_body: match exchange.response_body.as_str() {
            "" if answered => excerpt.to_owned(),
            body => body.to_owned(),
        },
        peer_address: exchange.peer.map(|peer| peer.to_string()).unwrap_or_default(),
        http_version: exchange.version.map_or("", HttpVersion::as_str).to_owned(),
        dns_time: dns.map(duration_to_api),
        connect_time: connect.map(duration_to_api),
        tls_time: tls.map(duration_to_api),
        first_byte_time: first_byte.map(duration_to_api),
        trace_id: exchange.trace_id().unwrap_or_default().to_owned(),
    }
}

pub fn headers_to_api(lines: &[HeaderLine]) -> Vec<crate::ExchangeHeader> {
    let line = |line: &HeaderLine| crate::ExchangeHeader { name: line.name.clone(), value: line.value.clone() };
    lines.iter().map(line).collect()
}
