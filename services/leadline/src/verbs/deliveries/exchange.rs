//! Prints the exchange of an attempt: the request as it was sent, and the answer below it.

use crate::terminal::{
    output::{harmless, print as line},
    time_args::lasted,
};

/// Prints the request of an attempt and the answer.
pub(super) fn print(attempt: &api::Attempt) -> anyhow::Result<()> {
    line(&format!("\nATTEMPT {}", attempt.number))?;
    if !attempt.trace_id.is_empty() {
        line(&format!("* trace {}", harmless(&attempt.trace_id)))?;
    }
    let Some(exchange) = &attempt.exchange else {
        return line("(no request was made, or it is no longer stored)");
    };
    if !exchange.peer_address.is_empty() {
        line(&format!("* {} to {}{}", exchange.http_version, exchange.peer_address, took(exchange)))?;
    }
    if !exchange.trace_id.is_empty() && exchange.trace_id != attempt.trace_id {
        line(&format!("* trace of the receiver {}", harmless(&exchange.trace_id)))?;
    }
    line(&format!("> {} {}", harmless(&attempt.request_method), harmless(&attempt.request_url)))?;
    headers('>', &exchange.request_headers)?;
    line(&format!("> ({} bytes, SHA-256 {})", exchange.request_body_bytes, exchange.request_body_sha256))?;
    match attempt.error_kind.as_str() {
        "" => line(&format!("< {}", attempt.http_status_code))?,
        kind => return line(&format!("< {kind}: {}", harmless(&attempt.webhook_response))),
    }
    headers('<', &exchange.response_headers)?;
    if !exchange.response_body.is_empty() {
        line(&harmless(&exchange.response_body))?;
    }
    Ok(())
}

fn headers(mark: char, headers: &[api::ExchangeHeader]) -> anyhow::Result<()> {
    headers.iter().try_for_each(|header| line(&format!("{mark} {}: {}", header.name, harmless(&header.value))))
}

/// The durations of the steps that happened.
fn took(exchange: &api::Exchange) -> String {
    let steps = [
        ("name", &exchange.dns_time),
        ("connection", &exchange.connect_time),
        ("TLS", &exchange.tls_time),
        ("first byte", &exchange.first_byte_time),
    ];
    let steps = steps.into_iter().filter(|(_, time)| time.is_some());
    steps.map(|(step, time)| format!(", {step} {}", lasted(time.as_ref()))).collect()
}
