//! Exchanges are stored unchanged and in few bytes.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use domain::{
    AccountId, AttemptId, AttemptOutcome, DeliveryFact, DeliveryId, DeliveryRef, DestinationId, EventId, EventType,
    InterfaceId, LeadId, LeadSequence,
    delivery::{DeliveryAttempted, EncodedExchange, Exchange, HeaderLine, HttpVersion, NextStep, RequestLine, Times},
};
use events::{Record as _, decode_exchange, encode_exchange};
use jiff::Timestamp;
use uuid::Uuid;

fn line(name: &str, value: &str) -> HeaderLine {
    HeaderLine { name: name.into(), value: value.into() }
}

/// An exchange of an attempt, different for each number.
pub(crate) fn exchange(reference: &DeliveryRef, number: u32, text: &str) -> Exchange {
    let delivery = reference.delivery.to_string();
    let some = |n: u32| number.is_multiple_of(n).then(|| Duration::from_micros(number.into()));
    Exchange {
        request_headers: vec![
            line("webhook-id", &delivery),
            line("leadline-event-id", reference.event_id.as_str()),
            line("x-own", text),
            line("content-type", reference.event_type.as_str()),
        ],
        request_size: number.into(),
        request_hash: [u8::try_from(number % 256).unwrap(); 32],
        response_headers: vec![line("x-request-id", text), line("etag", "")],
        response_body: text.into(),
        peer: match number % 3 {
            0 => None,
            1 => Some("192.0.2.1:443".parse().unwrap()),
            _ => Some("[2001:db8::1]:8443".parse().unwrap()),
        },
        version: HttpVersion::ALL.into_iter().nth(number as usize % 4),
        times: Times { dns: some(2), connect: some(3), tls: some(5), first_byte: some(7) },
    }
}

fn reference() -> DeliveryRef {
    DeliveryRef {
        delivery: DeliveryId::from_uuid(Uuid::from_u128(0x5c1d_e6fc_0e4b_5d4c_9f5e_7b0f_5b1f_2a3c)),
        account: AccountId::parse("acme").unwrap(),
        interface: InterfaceId::parse("form").unwrap(),
        client: None,
        destination: DestinationId::parse("dst_0b9b1f627a3e5c558d0f4a53c3f0a111").unwrap(),
        event_id: EventId::parse("0b9b1f62-7a3e-5c55-8d0f-4a53c3f0a111").unwrap(),
        event_type: EventType::parse("lead.created").unwrap(),
        lead: LeadId::parse("ada").unwrap(),
        lead_sequence: LeadSequence(7),
        requested_at: None,
    }
}

#[test]
fn exchanges_survive_without_mixing_their_values() {
    for number in 0..40 {
        let written = exchange(&reference(), number, "text");
        let bytes = encode_exchange(written.clone(), &reference());
        assert_eq!(decode_exchange(bytes, &reference()).unwrap(), written);
    }
    assert!(decode_exchange(EncodedExchange(Bytes::from_static(&[0xff])), &reference()).is_err());
    assert!(decode_exchange(EncodedExchange(Bytes::new()), &reference()).is_err(), "without a hash");
}

#[test]
fn typical_exchange_takes_few_bytes() {
    let delivery = reference().delivery.to_string();
    let request_headers = vec![
        line("content-type", "application/json"),
        line("webhook-id", &delivery),
        line("webhook-timestamp", "1769800000"),
        line("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
        line("leadline-event-id", reference().event_id.as_str()),
        line("leadline-delivery-id", &delivery),
        line("leadline-event-type", "lead.created"),
        line("leadline-attempt", "1"),
        line("leadline-hops", "1"),
        line("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        line("content-length", "512"),
        line("user-agent", "Leadline/0.1.0"),
        line("accept", "*/*"),
        line("host", "crm.example.com"),
    ];
    let response_headers = vec![
        line("content-type", "application/json; charset=utf-8"),
        line("content-length", "17"),
        line("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        line("server", "nginx"),
    ];
    let usual = Exchange {
        request_headers,
        response_headers,
        request_size: 512,
        request_hash: [7; 32],
        peer: Some("192.0.2.1:443".parse().unwrap()),
        version: Some(HttpVersion::Http11),
        times: Times { first_byte: Some(Duration::from_millis(20)), ..Times::default() },
        ..Exchange::default()
    };
    let bytes = encode_exchange(usual.clone(), &reference());
    assert!(bytes.0.len() <= 400, "{} bytes", bytes.0.len());
    let fact = |exchange: Option<Exchange>| {
        let outcome =
            AttemptOutcome::Response { status: 200, excerpt: r#"{"accepted":true}"#.into(), retry_after: None };
        DeliveryFact::Attempted(DeliveryAttempted {
            reference: Arc::new(reference()),
            attempt_id: AttemptId::from_uuid(Uuid::from_u128(1)),
            attempt: 1,
            round: 0,
            resend: 0,
            started_at: Timestamp::UNIX_EPOCH,
            duration: Duration::from_millis(20),
            request: RequestLine { method: "POST".into(), url: "https://crm.example.com/leads".into() },
            outcome,
            next_step: NextStep::Succeeded,
            deactivated: None,
            trace: None,
            exchange: exchange.map(|exchange| encode_exchange(exchange, &reference())),
        })
    };
    let (before, after) = (fact(None).encode().len(), fact(Some(usual)).encode().len());
    println!("a usual exchange: {} bytes; its fact: {before} and {after}", bytes.0.len());
    assert!(after - before <= bytes.0.len() + 4, "{before} {after}");
}
