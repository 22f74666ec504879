//! Rejected values are not echoed whole, because clients refuse long trailers and report them as temporary errors. The
//! test tries every text of every method, and each field of an event over HTTP.

use std::time::Duration;

use bytes::Bytes;
use prost_reflect::prost::Message as _;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, Value,
};
use serde_json::json;
use tonic::{Code, Request, Status, client::Grpc};

use crate::{
    access::matrix::{Raw, short},
    world::{ACCOUNT, INTERFACE, World, event_json},
};

/// The length of a value, in characters: too long for everything except payloads and templates.
const LENGTH: usize = 20_000;
/// The maximum size of an error message, in bytes.
const MAX_MESSAGE: usize = 1_024;
/// The maximum depth of nested messages.
const MAX_DEPTH: usize = 5;
/// The silence after which a stream counts as accepted.
const SILENCE: Duration = Duration::from_millis(300);
/// Fields of answers only; requests may contain them without effect.
const ANSWERED: [&str; 2] = ["unconfirmed_emails", "warnings"];
/// Texts that are accepted whole: templates may be long, fields of answers are ignored, and no entity has such a name.
const ACCEPTED: [&str; 11] = [
    "body_template",
    "auth.shown_kind",
    "auth.shown_header",
    "deactivated.cause",
    "deactivated.delivery_id",
    "deactivated.lead_id",
    "deactivated.event_id",
    "deactivated.error_kind",
    "deactivated.suggested_action",
    "CreateDestination destination.destination_id",
    "ListDestinations name",
];

/// The text fields of a message and of its nested messages, each as a path of fields.
fn texts(message: &MessageDescriptor, path: &[FieldDescriptor], found: &mut Vec<Vec<FieldDescriptor>>) {
    if path.len() > MAX_DEPTH {
        return;
    }
    for field in message.fields().filter(|field| !field.is_map()) {
        let path = [path, std::slice::from_ref(&field)].concat();
        match field.kind() {
            Kind::String => found.push(path),
            Kind::Message(inner) if ["leadline.v1", "google.protobuf"].contains(&inner.package_name()) => {
                texts(&inner, &path, found);
            }
            _ => {}
        }
    }
}

/// A message with a too long text at the end of the path, and valid required fields.
fn with_long(
    message: &MessageDescriptor,
    path: &[FieldDescriptor],
    things: &[(&str, &str)],
    text: &str,
) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    for field in message.fields().filter(|field| !field.is_list() && !field.is_map()) {
        match field.kind() {
            Kind::String => {
                if let Some((_, value)) = things.iter().find(|(name, _)| field.name() == *name) {
                    made.set_field(&field, Value::String((*value).into()));
                }
            }
            Kind::Bytes => made.set_field(&field, Value::Bytes(b"{}".as_slice().into())),
            Kind::Message(inner) if field.containing_oneof().is_none() && inner.package_name() == "leadline.v1" => {
                made.set_field(&field, Value::Message(with_long(&inner, &[], things, text)));
            }
            _ => {}
        }
    }
    let Some((field, rest)) = path.split_first() else { return made };
    let value = match field.kind() {
        Kind::Message(inner) => Value::Message(with_long(&inner, rest, things, text)),
        _ => Value::String(text.into()),
    };
    made.set_field(field, if field.is_list() { Value::List(vec![value]) } else { value });
    made
}

/// The answer to one request: the refusal of the call, or of the event in a stream.
async fn answer(world: &World, method: &MethodDescriptor, request: &DynamicMessage) -> Result<(), Status> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name()).try_into().unwrap();
    let request = Request::new(futures::stream::iter([Bytes::from(request.encode_to_vec())]));
    let mut client = Grpc::new(world.channel());
    client.ready().await.unwrap();
    let mut answers = client.streaming(request, path, Raw).await?.into_inner();
    // An accepted watch never ends.
    let Ok(first) = tokio::time::timeout(SILENCE, answers.message()).await else { return Ok(()) };
    let Some(first) = first? else { return Ok(()) };
    if method.name() == "PublishLeads" {
        let result = api::PublishLeadsResult::decode(first).unwrap().result;
        if let Some(api::publish_leads_result::Result::Refused(refused)) = result {
            return Err(Status::new(refused.code.into(), refused.message));
        }
    }
    Ok(())
}

#[tokio::test]
async fn error_messages_about_any_text_are_short() {
    let world = World::start().await;
    let destination = world.destination("https://crm.example/leads").await;
    let none = "00000000-0000-5000-8000-000000000000";
    let filter = Some(api::DeliveryFilter::default());
    let dry = api::RetryDeliveriesRequest { filter, dry_run: true, ..crate::jobs::retries() };
    let job = world.retry_many(dry).await.unwrap().job_id;
    let user = api::ApiUser {
        account_id: ACCOUNT.into(),
        api_user_id: "user".into(),
        email: "a@b.example".into(),
        role: "viewer".into(),
        ..api::ApiUser::default()
    };
    world.registry().create_api_user(api::CreateApiUserRequest { api_user: Some(user) }).await.unwrap();
    let things = [
        ("account_id", ACCOUNT),
        ("account", ACCOUNT),
        ("interface", INTERFACE),
        ("interface_id", INTERFACE),
        ("destination_id", destination.as_str()),
        ("delivery_id", none),
        ("job_id", job.as_str()),
        ("key_id", "none"),
        ("token_id", ""),
        ("url", "https://crm.example/leads"),
        ("email", "a@b.example"),
        ("role", "viewer"),
        ("api_user_id", "user"),
        ("opt_out_id", "none"),
        ("lead_id", "none"),
    ];
    let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
    let services = pool.services().filter(|service| service.package_name() == "leadline.v1");
    let methods: Vec<_> = services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
    let (mut tried, mut refused, mut wrong) = (0, 0, vec![]);
    for method in &methods {
        // Created things must not exist yet.
        let made = match method.name() {
            "CreateAccount" => "account_id",
            "CreateInterface" => "interface_id",
            "CreateApiUser" => "api_user_id",
            _ => "",
        };
        let things: Vec<_> =
            things.iter().map(|(name, value)| (*name, if *name == made { "fresh" } else { *value })).collect();
        let mut paths = vec![];
        texts(&method.input(), &[], &mut paths);
        for path in paths {
            let named: Vec<_> = path.iter().map(FieldDescriptor::name).collect();
            if named.last().is_some_and(|name| ANSWERED.contains(name)) {
                continue;
            }
            let named = format!("{} {}", short(method), named.join("."));
            for text in ["x".repeat(LENGTH), "\u{1f600} ".repeat(LENGTH / 2)] {
                tried += 1;
                let request = with_long(&method.input(), &path, &things, &text);
                match answer(&world, method, &request).await {
                    Ok(()) if ACCEPTED.iter().any(|taken| named.ends_with(taken)) => {}
                    Ok(()) => wrong.push(format!("{named}: OK")),
                    Err(status) if status.message().len() >= MAX_MESSAGE => {
                        wrong.push(format!("{named}: {} bytes: {:.80}", status.message().len(), status.message()));
                    }
                    Err(status) if status.code() == Code::InvalidArgument => refused += 1,
                    Err(status) => wrong.push(format!("{named}: {status}")),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{tried} tried, {refused} refused\n{}", wrong.join("\n"));
}

#[tokio::test]
async fn error_messages_about_fields_over_http_are_short() {
    let world = World::start().await;
    let long = "x".repeat(LENGTH);
    let with = |field: &str, value: serde_json::Value| {
        let mut event = event_json("e");
        event[field] = value;
        event.to_string()
    };
    let mut bodies: Vec<_> = ["account", "interface", "client", "event_id", "lead_id", "type", "occurred_at"]
        .into_iter()
        .map(|field| with(field, long.as_str().into()))
        .collect();
    bodies.push(with(&long, json!(1)));
    bodies.push(with("account", json!({ &long: 1 })));
    bodies.push(long.clone());
    bodies.push(format!("{{\"{long}"));
    for body in bodies {
        for body in [body.clone(), format!("[{body}]")] {
            let (status, answer) = world.post(body.clone(), &[]).await;
            assert_eq!(status, 400, "{body:.60}: {answer}");
            for error in [&answer["error"], &answer["errors"][0]] {
                let length = error["message"].as_str().unwrap_or_default().len();
                assert!(length < MAX_MESSAGE, "{body:.60}: {length} bytes");
            }
        }
    }
}
