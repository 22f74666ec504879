//! A lead arrives at its receiver.

use std::{io::Write as _, process::Stdio};

use api::DeliveryStatus;
use testkit::{Receiver, wait};

use crate::world::{ACCOUNT, INTERFACE, SOON, World, event_json, some_destination};

/// Signs with Python's standard library, independently of the tested code.
const SIGN: &str = r"
import base64, hashlib, hmac, sys
secret, id, timestamp = sys.argv[1:4]
key = base64.b64decode(secret.removeprefix('whsec_'))
signed = f'{id}.{timestamp}.'.encode() + sys.stdin.buffer.read()
print('v1,' + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())
";

fn signed_by_python(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let mut python = std::process::Command::new("python3")
        .args(["-c", SIGN, secret, id, timestamp])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(body).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn lead_arrives_byte_for_byte_and_signed() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let token = api::CreateTokenRequest {
        account_id: ACCOUNT.into(),
        name: "crm".into(),
        ..api::CreateTokenRequest::default()
    };
    let token = world.registry().create_token(token).await.unwrap().into_inner();
    let token_id = token.token.unwrap().token_id;
    let destination = world
        .destination_with(api::Destination { url: receiver.url(), token_id, name: "CRM".into(), ..some_destination() })
        .await;

    let payload = r#"{ "b":1.0, "a" : [1e2], "text":"\u00e4ö" }"#;
    let body = format!(
        r#"{{"account":"{ACCOUNT}","interface":"{INTERFACE}","event_id":"evt:1","lead_id":"l-1","payload": {payload}}}"#
    );
    let (status, answer) = world.post(body, &[("content-type", "application/json")]).await;
    assert_eq!((status, &answer["event_id"], &answer["duplicate"]), (202, &"evt:1".into(), &false.into()));

    let delivered = world.delivery_is("evt:1", DeliveryStatus::Succeeded).await;
    let delivery = delivered.delivery.unwrap();
    let [request] = &receiver.requests()[..] else { panic!("one request: {:?}", receiver.requests()) };
    assert_eq!(request.body, payload.as_bytes());
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook"));
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("leadline-event-id"), "evt:1");
    assert_eq!(request.header("leadline-delivery-id"), delivery.delivery_id);
    assert_eq!(request.header("webhook-id"), delivery.delivery_id);
    assert_eq!(request.header("leadline-event-type"), "lead.created");
    let timestamp = request.header("webhook-timestamp");
    let expected = signed_by_python(&token.secret, &delivery.delivery_id, timestamp, &request.body);
    assert_eq!(request.header("webhook-signature"), expected);

    assert_eq!((delivery.attempts, delivery.http_status_code), (1, 200));
    assert_eq!((delivery.destination_id, delivery.destination_name.as_str()), (destination, "CRM"));
    assert_eq!((delivery.request_method.as_str(), delivery.request_url), ("POST", receiver.url()));
    assert_eq!(delivery.webhook_response, "status 200\n");
    assert_eq!(delivered.attempts.len(), 1);
    assert_eq!(delivery.suggested_action, "");
}

#[tokio::test]
async fn lead_and_its_log_show_the_outcome() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    let lead = wait::until("the lead", SOON, async || {
        let request = api::GetLeadRequest { account_id: ACCOUNT.into(), lead_id: "lead-e1".into() };
        world.leads().get_lead(request).await.map(tonic::Response::into_inner)
    })
    .await;
    assert_eq!((lead.events, lead.deliveries, lead.failed), (1, 1, false));
    assert_eq!((lead.http_status_code, lead.webhook_response.as_str()), (200, "status 200\n"));
    let log = world.log("e1").await;
    let entries: Vec<_> = log.iter().map(|(entry, _)| entry.as_str()).collect();
    assert_eq!(entries, ["received", "webhook"]);
    assert!(log[1].1.ends_with("200; delivered"), "{log:?}");
}

#[tokio::test]
async fn new_destination_gets_every_later_event_and_no_earlier_one() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    world.publish("nobody").await;
    world.destination(&receiver.url()).await;
    // Published as soon as the call that created the destination has returned.
    for n in 0..20 {
        world.publish(&format!("e{n}")).await;
    }
    wait::until_eq("the requests", SOON, 20, async || receiver.count()).await;
    wait::until_eq("twenty deliveries, and none of the first event", SOON, 20, async || {
        let all = world.deliveries().list_deliveries(api::ListDeliveriesRequest::default()).await.unwrap();
        all.into_inner().deliveries.len()
    })
    .await;
}

#[tokio::test]
async fn account_destination_overrides_interface_destinations_until_deleted() {
    let world = World::start().await;
    let (own, whole) = (Receiver::start().await, Receiver::start().await);
    let of_interface = api::Destination { url: own.url(), interface_id: INTERFACE.into(), ..some_destination() };
    world.destination_with(of_interface).await;
    let of_account = world.destination(&whole.url()).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!((own.count(), whole.count()), (0, 1));

    let request = api::DeleteDestinationRequest { account_id: ACCOUNT.into(), destination_id: of_account };
    world.registry().delete_destination(request).await.unwrap();
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Succeeded).await;
    assert_eq!((own.count(), whole.count()), (1, 1));
}

#[tokio::test]
async fn destinations_get_only_the_event_types_they_want() {
    let world = World::start().await;
    let receiver = Receiver::start().await;
    let wants = vec!["email.*".to_owned()];
    world.destination_with(api::Destination { url: receiver.url(), event_types: wants, ..some_destination() }).await;
    for (id, event_type) in [("e1", "lead.created"), ("e2", "email.open"), ("e3", "email.link_click")] {
        let mut event = event_json(id);
        event["type"] = event_type.into();
        assert_eq!(world.post(event.to_string(), &[]).await.0, 202);
    }
    wait::until_eq("the wanted requests", SOON, 2, async || receiver.count()).await;
    world.delivery_is("e3", DeliveryStatus::Succeeded).await;
    let mut seen: Vec<_> =
        receiver.requests().iter().map(|seen| seen.header("leadline-event-type").to_owned()).collect();
    seen.sort();
    assert_eq!(seen, ["email.link_click", "email.open"]);
}
