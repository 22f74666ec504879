//! Each attempt shows its exchange: headers, sizes, times, and the trace, without secrets.

use std::collections::HashMap;

use api::DeliveryStatus;
use bytes::Bytes;
use serde_json::json;
use testkit::{Answer, Receiver, tls::Authority};

use crate::world::{ACCOUNT, World, event_json, retries, some_destination};

const SECRET: &str = "s3cret-of-the-destination";

fn headers(headers: &[api::ExchangeHeader]) -> HashMap<&str, &str> {
    headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect()
}

fn with_secret(receiver: &Receiver) -> api::Destination {
    let bearer = api::auth::Kind::BearerToken(SECRET.into());
    let auth = Some(api::Auth { kind: Some(bearer), ..api::Auth::default() });
    api::Destination { url: receiver.url(), auth, trace_context: "continue".into(), ..some_destination() }
}

#[tokio::test]
async fn attempt_shows_its_exchange_without_secrets() {
    for world in World::on_both().await {
        let receiver = Receiver::start().await;
        world.destination_with(with_secret(&receiver)).await;
        let long = format!("{SECRET} {}", "x".repeat(20_000));
        let answered = vec![
            ("content-type", "text/plain".to_owned()),
            ("x-request-id", format!("r-{SECRET}")),
            ("set-cookie", "session=1".to_owned()),
        ];
        receiver.answer_next([Answer::With(503, answered, Bytes::from(long))]);
        let trace = format!("00-{}-00f067aa0ba902b7-01", "4bf92f3577b34da6a3ce929d0e0e4736");
        let (status, _) = world.post(event_json("e1").to_string(), &[("traceparent", &trace)]).await;
        assert_eq!(status, 202);
        let detail = world.delivery_is("e1", DeliveryStatus::Failed).await;
        let exchange = detail.attempts[0].exchange.clone().unwrap();
        let seen = &receiver.requests()[0];
        let sent = headers(&exchange.request_headers);
        for (name, value) in &sent {
            match *name {
                "authorization" => assert_eq!(*value, "[redacted]"),
                name => assert_eq!(*value, seen.header(name), "{name}"),
            }
        }
        let arrived: Vec<_> =
            seen.headers.keys().map(|name| name.as_str()).filter(|name| !sent.contains_key(name)).collect();
        assert!(arrived.is_empty(), "sent and not shown: {arrived:?}");
        assert_eq!(exchange.request_body_bytes, seen.body.len() as u64);
        let hash: String = crypto::sha256(&seen.body).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(exchange.request_body_sha256, hash);

        let got = headers(&exchange.response_headers);
        assert_eq!((got["content-type"], got["x-request-id"]), ("text/plain", "r-[redacted]"));
        assert!(!got.contains_key("set-cookie"), "{got:?}");
        assert!(exchange.response_body.starts_with("[redacted] xxx"), "{}", &exchange.response_body[..40]);
        assert!((16_000..=16_384 + 20).contains(&exchange.response_body.len()), "{}", exchange.response_body.len());
        assert!(detail.attempts[0].webhook_response.len() <= 2_048);
        assert_eq!(exchange.peer_address, receiver.url().split('/').nth(2).unwrap());
        assert_eq!(exchange.http_version, "HTTP/1.1");
        assert!(exchange.connect_time.is_some() && exchange.first_byte_time.is_some(), "{exchange:?}");
        assert!(exchange.tls_time.is_none(), "it was plain HTTP");
        assert_eq!(exchange.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(detail.attempts[0].trace_id, exchange.trace_id);
        assert!(!format!("{detail:?}").contains(SECRET));
    }
}

#[tokio::test]
async fn exchange_has_only_the_steps_that_happened() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let policy = Some(retries(&[std::time::Duration::from_millis(100)]));
    let destination = api::Destination { url: receiver.url(), retry_policy: policy, ..some_destination() };
    let id = world.destination_with(destination).await;
    receiver.answer_next([Answer::Status(500)]);
    world.publish("e1").await;
    let attempts = world.delivery_is("e1", DeliveryStatus::Succeeded).await.attempts;
    let second = attempts[1].exchange.as_ref().unwrap();
    assert!(second.connect_time.is_none() && second.first_byte_time.is_some(), "{second:?}");
    assert_eq!(second.peer_address, attempts[0].exchange.as_ref().unwrap().peer_address);
    assert!(!second.response_body.is_empty(), "a short body is the excerpt");

    world.delete(&id).await;
    let nowhere = format!("http://127.0.0.1:{}/", testkit::port::free_port());
    world.destination(&nowhere).await;
    world.publish("e2").await;
    let failed = world.delivery_is("e2", DeliveryStatus::Failed).await.attempts[0].clone();
    let exchange = failed.exchange.unwrap();
    assert_eq!((failed.error_kind.as_str(), exchange.peer_address.as_str()), ("connect", ""));
    assert!(exchange.first_byte_time.is_none() && exchange.response_headers.is_empty(), "{exchange:?}");
    assert_eq!(headers(&exchange.request_headers)["leadline-event-id"], "e2");
}

#[tokio::test]
async fn exchange_over_tls_has_the_times_of_name_and_handshake() {
    let authority = Authority::default();
    let receiver = Receiver::start_tls(&authority.certificate_for("localhost")).await;
    let world = World::start().await;
    let ca_certificates = authority.pem();
    world.destination_with(api::Destination { url: receiver.url(), ca_certificates, ..some_destination() }).await;
    assert!(receiver.url().starts_with("https://localhost:"), "{}", receiver.url());
    world.publish("e1").await;
    let attempt = world.delivery_is("e1", DeliveryStatus::Succeeded).await.attempts[0].clone();
    let took = api::duration(&attempt.duration.unwrap()).unwrap();
    let exchange = attempt.exchange.unwrap();
    let step = |time: Option<prost_types::Duration>| api::duration(&time.unwrap()).unwrap();
    let [dns, connect, tls, first_byte] =
        [exchange.dns_time, exchange.connect_time, exchange.tls_time, exchange.first_byte_time].map(step);
    // A handshake computes keys, so it cannot take no time.
    assert!(!tls.is_zero() && dns + connect + tls + first_byte <= took, "{exchange:?} of {took:?}");
}

#[tokio::test]
async fn an_installation_may_keep_no_exchanges() {
    let (world, receiver) = (World::start_with(&["--keep-exchanges", "false"], &[]).await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    receiver.answer_next([Answer::Status(503)]);
    world.publish("e1").await;
    let attempt = world.delivery_is("e1", DeliveryStatus::Failed).await.attempts[0].clone();
    assert!(attempt.exchange.is_none(), "{attempt:?}");
    assert_eq!((attempt.http_status_code, attempt.request_url), (503, receiver.url()));
}

#[tokio::test]
async fn anonymisation_removes_exchanges() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish_with("e1", json!({"lead_id": "ada"})).await;
    assert!(world.delivery_is("e1", DeliveryStatus::Succeeded).await.attempts[0].exchange.is_some());
    let lead_ids = vec!["ada".to_owned()];
    let request = api::AnonymizeLeadsRequest { account_id: ACCOUNT.into(), lead_ids, ..Default::default() };
    world.leads().anonymize_leads(request).await.unwrap();
    let left = world.delivery("e1").await.attempts[0].clone();
    assert!(left.exchange.is_none(), "{left:?}");
}

#[tokio::test]
async fn command_line_shows_requests_and_answers() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination_with(with_secret(&receiver)).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
    assert_eq!(world.post(event_json("e1").to_string(), &[("traceparent", &traceparent)]).await.0, 202);
    let id = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap().delivery_id;
    let shown = world.run(&["deliveries", "show", &id, "--request"]).await.well();
    for part in
        ["> authorization: [redacted]", "> leadline-event-id: e1", "< 200", "HTTP/1.1 to 127.0.0.1:", "SHA-256 "]
    {
        assert!(shown.out.contains(part), "{part}: {shown:?}");
    }
    assert!(shown.out.contains(&format!("* trace {trace}\n")), "{shown:?}");
    assert!(!shown.out.contains(SECRET), "{shown:?}");
    let plain = world.run(&["deliveries", "show", &id]).await.well();
    assert!(!plain.out.contains("> leadline-event-id"), "{plain:?}");
}
