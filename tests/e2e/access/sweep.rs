//! No answer of any method, over any protocol, has a value of a payload if the caller lacks the scope `payload`. The
//! methods come from the descriptors, so that a new method is tested without being named here.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api::{DeliveryStatus, Scope, destination::Body};
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MethodDescriptor, ReflectMessage as _, Value};
use serde_json::json;
use testkit::{Answer, Receiver, wait};

use super::matrix::{SCOPES, protocol::Protocol, short};
use crate::world::{ACCOUNT, INTERFACE, SOON, World, some_destination};

/// The value of every field of the payload that is a text. It looks the same in URLs, JSON and XML; templates may
/// change its case.
const MARKER: &str = "Mk7ofthepayload";
/// The value of the field that is a number, too large to be multiplied by itself.
const NUMBER: &str = "98765432109876543210987654321098765432";
const EVENT: &str = "e1";
const LEAD: &str = "ada";
/// Methods whose answers have values of payloads if the caller has the scope.
const SHOW_PAYLOADS: [&str; 9] = [
    "DeliveryService/GetAttemptRequest",
    "DeliveryService/GetDelivery",
    "DeliveryService/ListDeliveries",
    "DeliveryService/ListDestinationEvents",
    "DeliveryService/PreviewRequest",
    "DeliveryService/WatchDeliveries",
    "LeadService/GetEvent",
    "LeadService/GetLeadLog",
    "RoutingService/ExplainRouting",
];
/// Groups of fields; some methods take only one field of a group.
const ALTERNATIVES: [&str; 3] = ["lead_id", "event_id", "payload"];
/// Requests are sent with all fields, and without these.
const LEFT_OUT: [&[&str]; 4] = [&[], &["lead_id", "payload"], &["event_id", "payload"], &["lead_id", "event_id"]];

/// What the requests name.
struct Thing {
    destination: String,
    /// `None` if the destination does not want the event.
    delivery: Option<String>,
    key: String,
    job: String,
}

#[tokio::test]
async fn no_answer_has_a_payload_without_its_scope() {
    let (world, receivers) = (World::start().await, [Receiver::start().await, Receiver::start().await]);
    let things = things(&world, &receivers).await;
    let all_but_payload = SCOPES.map(|scope| if scope == Scope::Payload { Scope::Read } else { scope });
    let keys = [world.new_key(ACCOUNT, &all_but_payload).await.0, world.new_key("", &all_but_payload).await.0];
    let (removing, others): (Vec<_>, Vec<_>) = methods().into_iter().partition(removes);
    let (reading, changing): (Vec<_>, Vec<_>) = others.into_iter().partition(reads);
    // Lists show what calls have changed.
    for methods in [&reading, &changing, &reading] {
        for key in &keys {
            assert_eq!(shown(&world, methods, key, &things).await, BTreeMap::new());
        }
    }
    // With the scope, the same requests show payloads.
    let (with_payload, _) = world.new_key(ACCOUNT, &SCOPES).await;
    let with_scope = shown(&world, &reading, &with_payload, &things).await;
    for protocol in Protocol::ALL {
        let found: Vec<_> =
            with_scope.keys().filter(|(_, of)| *of == protocol).map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, SHOW_PAYLOADS, "over {protocol:?}");
    }
    for key in &keys {
        assert_eq!(shown(&world, &removing, key, &things).await, BTreeMap::new());
    }
}

/// The answers that have the marker, by method and protocol.
async fn shown(
    world: &World,
    methods: &[MethodDescriptor],
    key: &str,
    things: &[Thing],
) -> BTreeMap<(String, Protocol), String> {
    let mut shown = BTreeMap::new();
    for method in methods {
        let has = |field: &str| method.input().get_field_by_name(field).is_some();
        let names_thing = has("delivery_id") || has("destination_id");
        let things = if names_thing && reads(method) { things } else { &things[..1] };
        let left_out =
            if ALTERNATIVES.iter().filter(|field| has(field)).count() > 1 { &LEFT_OUT } else { &LEFT_OUT[..1] };
        for (thing, left_out) in things.iter().flat_map(|thing| left_out.iter().map(move |fields| (thing, fields))) {
            let mut request = DynamicMessage::new(method.input());
            fill(&mut request, thing, left_out, 0);
            for protocol in Protocol::ALL {
                let answer = answer(world, method, key, &request, thing, protocol).await;
                if has_marker(&answer) {
                    shown.insert((short(method), protocol), String::from_utf8_lossy(&answer).into_owned());
                }
            }
        }
    }
    shown
}

fn has_marker(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_lowercase();
    text.contains(&MARKER.to_lowercase()) || text.contains(NUMBER)
}

/// An event with the marker, and destinations that write it into each part of a request, or fail to do so.
async fn things(world: &World, receivers: &[Receiver; 2]) -> Vec<Thing> {
    receivers[1].answer(Answer::Status(500));
    let templated = |base: &str, body: Option<Body>| api::Destination {
        url: format!("{base}{{{{ payload.text }}}}/{{{{ payload.in.text|upper }}}}?a={{{{ payload.number }}}}"),
        headers: vec![api::Header { name: "x-own".into(), value: "{{ payload.text }}".into() }],
        body,
        ..some_destination()
    };
    let template = |text: &str| Some(Body::BodyTemplate(text.into()));
    let nowhere = format!("http://127.0.0.1:{}/", testkit::port::free_port());
    let [good, bad] = receivers.each_ref().map(Receiver::url);
    let condition = json!({"payload.text": "another"}).to_string();
    let destinations = [
        templated(&good, template(r#"{"who": {{ payload.text }}}"#)),
        templated(&bad, Some(Body::BodyPreset("multipart".into()))),
        templated(&nowhere, None),
        templated(&good, template("{{ payload.number * payload.number }}")),
        api::Destination {
            content_type: "text/xml".into(),
            ..templated(&good, template("<{{ payload.text }}></{{ payload.in.text|lower }}>"))
        },
        api::Destination { condition, ..templated(&good, None) },
    ];
    let mut ids = vec![];
    for destination in destinations {
        ids.push(world.destination_with(destination).await);
    }
    // serde_json cannot hold numbers of this size.
    let payload = format!(r#"{{"text": "{MARKER}", "in": {{"text": "{MARKER}"}}, "{MARKER}": 1, "number": {NUMBER}}}"#);
    let body = format!(
        r#"{{"account":"{ACCOUNT}","interface":"{INTERFACE}","event_id":"{EVENT}","lead_id":"{LEAD}","payload":{payload}}}"#
    );
    let (status, answer) = world.post(body, &[]).await;
    assert_eq!(status, 202, "{answer}");

    let filter = api::DeliveryFilter { event_id: EVENT.into(), ..api::DeliveryFilter::default() };
    let list = api::ListDeliveriesRequest { filter: Some(filter), ..api::ListDeliveriesRequest::default() };
    let ended = wait::until("the end of each delivery", SOON, async || {
        let found = world.deliveries().list_deliveries(list.clone()).await.unwrap().into_inner().deliveries;
        let has_ended =
            |delivery: &api::Delivery| matches!(delivery.status(), DeliveryStatus::Succeeded | DeliveryStatus::Failed);
        if found.len() + 1 == ids.len() && found.iter().all(has_ended) { Ok(found) } else { Err(found) }
    })
    .await;
    let kinds: BTreeSet<_> = ended.iter().map(|delivery| delivery.error_kind.as_str()).collect();
    assert_eq!(kinds, BTreeSet::from(["", "connect", "render"]), "{ended:?}");
    assert!(receivers[0].requests()[0].path.contains(MARKER), "{:?}", receivers[0].requests()[0]);

    let (_, key) = world.new_key(ACCOUNT, &[Scope::Read]).await;
    let filter = Some(api::DeliveryFilter::default());
    let dry = api::RetryDeliveriesRequest { filter, dry_run: true, ..crate::jobs::retries() };
    let job = world.retry_many(dry).await.unwrap().job_id;
    let delivery_of = |id: &str| ended.iter().find(|delivery| delivery.destination_id == id);
    let thing = |destination: String| Thing {
        delivery: delivery_of(&destination).map(|delivery| delivery.delivery_id.clone()),
        destination,
        key: key.clone(),
        job: job.clone(),
    };
    ids.into_iter().map(thing).collect()
}

fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
    let services = pool.services().filter(|service| service.package_name() == "leadline.v1");
    services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect()
}

fn reads(method: &MethodDescriptor) -> bool {
    let reads = ["Get", "List", "Watch", "Query", "Explain", "Preview", "Export", "Test", "WhoAmI"];
    reads.iter().any(|read| method.name().starts_with(read))
}

/// Whether a call of the method removes something that later calls could show.
fn removes(method: &MethodDescriptor) -> bool {
    ["Delete", "Revoke", "Anonymize", "Cancel"].iter().any(|removes| method.name().starts_with(removes))
}

/// Fills in the fields that name a thing, except `left_out`.
fn fill(message: &mut DynamicMessage, thing: &Thing, left_out: &[&str], depth: u8) {
    let descriptor = message.descriptor();
    let fields = descriptor.fields().filter(|field| !field.is_list() && !field.is_map());
    for field in fields.filter(|field| !left_out.contains(&field.name())) {
        let value = match (field.kind(), field.name()) {
            (Kind::Bool, "existing" | "force") => Value::Bool(true),
            (Kind::Bytes, _) => Value::Bytes(b"{}".as_slice().into()),
            (Kind::String, "account_id" | "account") => Value::String(ACCOUNT.into()),
            (Kind::String, "interface") => Value::String(INTERFACE.into()),
            (Kind::String, name) if depth == 0 => match name {
                "delivery_id" => Value::String(thing.delivery.clone().unwrap_or_default()),
                "destination_id" => Value::String(thing.destination.clone()),
                "event_id" => Value::String(EVENT.into()),
                "lead_id" => Value::String(LEAD.into()),
                "interface_id" => Value::String(INTERFACE.into()),
                "key_id" => Value::String(thing.key.clone()),
                "job_id" => Value::String(thing.job.clone()),
                _ => continue,
            },
            (Kind::Message(inner), _) if depth < 2 && inner.package_name() == "leadline.v1" => {
                let mut inner = DynamicMessage::new(inner);
                fill(&mut inner, thing, left_out, depth + 1);
                Value::Message(inner)
            }
            _ => continue,
        };
        message.set_field(&field, value);
    }
}

/// A watch does not end; it has sent enough when it has sent the delivery.
async fn answer(
    world: &World,
    method: &MethodDescriptor,
    key: &str,
    request: &DynamicMessage,
    thing: &Thing,
    protocol: Protocol,
) -> Vec<u8> {
    let watches = method.name().starts_with("Watch");
    let delivery = thing.delivery.as_deref().map(str::as_bytes);
    let enough = |answer: &[u8]| {
        let is_sent = |delivery: &[u8]| answer.windows(delivery.len()).any(|part| part == delivery);
        watches && delivery.is_none_or(is_sent)
    };
    let answer = protocol.answer(world, method, key, request, enough);
    let in_time = tokio::time::timeout(Duration::from_secs(60), answer).await;
    in_time.unwrap_or_else(|_| panic!("{} over {protocol:?} does not end", short(method)))
}
