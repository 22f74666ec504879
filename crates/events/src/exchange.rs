//! Stored exchanges. There is one for each attempt, so their encoding is short. Usual header names are stored as
//! numbers. Values that follow from the reference of the delivery are left out.

use std::net::{IpAddr, SocketAddr};

use domain::{
    DeliveryRef,
    delivery::{EncodedExchange, Exchange, HeaderLine, HttpVersion, Times},
};
use prost::Message as _;

use crate::{
    primitives::{message, micros, span, wrong},
    record::RecordError,
    stored,
};

const FACT: &str = "exchange";
/// The length of a SHA-256.
const HASH_BYTES: usize = 32;
/// The names that are stored as numbers, from 1. The list grows at its end only.
const NAMES: [&str; 34] = [
    "content-type",
    "content-length",
    "user-agent",
    "accept",
    "host",
    "authorization",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "leadline-event-id",
    "leadline-delivery-id",
    "leadline-event-type",
    "leadline-attempt",
    "leadline-hops",
    "traceparent",
    "tracestate",
    "date",
    "server",
    "retry-after",
    "location",
    "via",
    "allow",
    "www-authenticate",
    "cache-control",
    "x-request-id",
    "x-correlation-id",
    "request-id",
    "cf-ray",
    "x-amzn-requestid",
    "x-amz-cf-id",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "content-encoding",
];

/// Encodes the exchange of an attempt at this delivery.
pub fn encode_exchange(exchange: Exchange, reference: &DeliveryRef) -> EncodedExchange {
    EncodedExchange(to_stored(exchange, reference).encode_to_vec().into())
}

/// The exchange of an attempt at this delivery.
///
/// # Errors
/// When the bytes are damaged.
pub fn decode_exchange(encoded: EncodedExchange, reference: &DeliveryRef) -> Result<Exchange, RecordError> {
    from_stored(message(FACT, encoded.0)?, reference)
}

fn to_stored(exchange: Exchange, reference: &DeliveryRef) -> stored::Exchange {
    let delivery = reference.delivery.to_string();
    let lines =
        |lines: Vec<HeaderLine>| lines.into_iter().map(|line| line_to_stored(line, reference, &delivery)).collect();
    let Times { dns, connect, tls, first_byte } = exchange.times;
    stored::Exchange {
        request_headers: lines(exchange.request_headers),
        request_size: exchange.request_size,
        request_sha256: exchange.request_hash.to_vec(),
        response_headers: lines(exchange.response_headers),
        response_body: exchange.response_body,
        peer: exchange.peer.map(peer_to_stored).unwrap_or_default(),
        http_version: exchange.version.map_or(0, HttpVersion::number),
        dns: dns.map(micros),
        connect: connect.map(micros),
        tls: tls.map(micros),
        first_byte: first_byte.map(micros),
    }
}

fn from_stored(stored: stored::Exchange, reference: &DeliveryRef) -> Result<Exchange, RecordError> {
    let lines = |lines: Vec<stored::HeaderLine>| {
        lines.into_iter().map(|line| line_from_stored(line, reference)).collect::<Result<_, RecordError>>()
    };
    let time = |field, stored: Option<i64>| stored.map(|time| span(FACT, field, time)).transpose();
    let hash: [u8; HASH_BYTES] =
        stored.request_sha256.try_into().map_err(|_| wrong(FACT, "request_sha256", "does not have 32 bytes"))?;
    Ok(Exchange {
        request_headers: lines(stored.request_headers)?,
        request_size: stored.request_size,
        request_hash: hash,
        response_headers: lines(stored.response_headers)?,
        response_body: stored.response_body,
        peer: peer_from_stored(&stored.peer)?,
        version: HttpVersion::from_number(stored.http_version),
        times: Times {
            dns: time("dns", stored.dns)?,
            connect: time("connect", stored.connect)?,
            tls: time("tls", stored.tls)?,
            first_byte: time("first_byte", stored.first_byte)?,
        },
    })
}

fn line_to_stored(line: HeaderLine, reference: &DeliveryRef, delivery: &str) -> stored::HeaderLine {
    let known = NAMES.iter().position(|name| *name == line.name).and_then(|index| u32::try_from(index + 1).ok());
    let is = match line.value.as_str() {
        value if value == reference.event_id.as_str() => stored::ValueIs::EventId,
        value if value == reference.event_type.as_str() => stored::ValueIs::EventType,
        value if value == delivery => stored::ValueIs::DeliveryId,
        _ => stored::ValueIs::Value,
    };
    stored::HeaderLine {
        known: known.unwrap_or_default(),
        name: if known.is_some() { String::new() } else { line.name },
        value: if is == stored::ValueIs::Value { line.value } else { String::new() },
        is: is.into(),
    }
}

fn line_from_stored(stored: stored::HeaderLine, reference: &DeliveryRef) -> Result<HeaderLine, RecordError> {
    let value = match stored.is() {
        stored::ValueIs::Value => stored.value,
        stored::ValueIs::EventId => reference.event_id.to_string(),
        stored::ValueIs::EventType => reference.event_type.to_string(),
        stored::ValueIs::DeliveryId => reference.delivery.to_string(),
    };
    let name = match stored.known {
        0 => stored.name,
        number => {
            let known = usize::try_from(number - 1).ok().and_then(|index| NAMES.get(index));
            (*known.ok_or_else(|| wrong(FACT, "known", number))?).to_owned()
        }
    };
    Ok(HeaderLine { name, value })
}

/// The bytes of the address, then those of the port.
fn peer_to_stored(peer: SocketAddr) -> Vec<u8> {
    let mut bytes = match peer.ip() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    bytes.extend(peer.port().to_be_bytes());
    bytes
}

fn peer_from_stored(bytes: &[u8]) -> Result<Option<SocketAddr>, RecordError> {
    let Some((address, port)) = bytes.split_last_chunk::<2>() else { return Ok(None) };
    let address = match (<[u8; 4]>::try_from(address), <[u8; 16]>::try_from(address)) {
        (Ok(octets), _) => IpAddr::from(octets),
        (_, Ok(octets)) => IpAddr::from(octets),
        _ => return Err(wrong(FACT, "peer", "is not an address")),
    };
    Ok(Some(SocketAddr::new(address, u16::from_be_bytes(*port))))
}
