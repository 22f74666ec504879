//! Refusals: messages for people, and details for programs.

mod every_field;

use api::{DeliveryStatus, Scope, access_service_client::AccessServiceClient};
use serde_json::{Value, json};
use testkit::{Answer, Receiver};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    publishing::request,
    web::{Answered, call, sent},
    world::{ACCOUNT, INTERFACE, SOON, World, event_json, some_destination, web},
};

/// The field violations of a status.
fn fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

fn reason(status: &Status) -> String {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("{status:?} has no reason"));
    assert_eq!(info.domain, "leadline");
    info.reason
}

/// A detail of a Connect error.
fn detail(answer: &Answered, name: &str) -> Value {
    let details = answer.json()["details"].as_array().cloned().unwrap_or_default();
    let found = details.into_iter().find(|detail| detail["type"] == format!("google.rpc.{name}"));
    found.map(|detail| detail["debug"].clone()).unwrap_or_default()
}

fn named(violations: &Value) -> Vec<&str> {
    violations.as_array().unwrap().iter().map(|violation| violation["field"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn errors_name_every_wrong_field_of_an_event() {
    let world = World::start().await;
    let wrong = json!({"account": ACCOUNT, "interface": "no id", "event_id": "a.b", "type": "No Type", "typo": 1});
    let (status, answer) = world.post(wrong.to_string(), &[]).await;
    let error = &answer["error"];
    assert_eq!((status, &error["code"], &error["reason"]), (400, &json!("invalid_argument"), &json!("FIELD_INVALID")));
    assert_eq!(named(&error["fields"]), ["body", "interface", "event_id", "type", "payload"], "{answer}");
    let (status, answer) = world.post(json!([event_json("e1"), wrong]).to_string(), &[]).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("invalid_argument")));
    assert_eq!(answer["errors"][0]["fields"].as_array().unwrap().len(), 5, "{answer}");
    let unknown = json!({"account": ACCOUNT, "interface": "none", "client": "none", "payload": 1});
    let (_, answer) = world.post(unknown.to_string(), &[]).await;
    assert_eq!(named(&answer["error"]["fields"]), ["interface", "client"], "{answer}");
    for talk in ["line 1 column", "expected", "invalid type", "unknown field"] {
        for body in [&wrong.to_string(), "{", "[1", r#"{"account": 7}"#, r#"{"occurred_at": "x"}"#] {
            let (_, answer) = world.post(body.to_owned(), &[]).await;
            assert!(!answer.to_string().contains(talk), "{body}: {answer}");
        }
    }

    let wrong = api::PublishLeadRequest { interface: "no id".into(), payload: "".into(), ..request("a.b") };
    let refused = world.ingest().publish_lead(wrong).await.unwrap_err();
    assert_eq!(
        (fields(&refused), reason(&refused).as_str()),
        (["interface", "event_id", "lead_id", "payload"].map(str::to_owned).to_vec(), "FIELD_INVALID")
    );
    let wrong = json!({"account": ACCOUNT, "interface": "no id", "eventId": "a.b"});
    let refused = call(&world, "IngestService/PublishLead", wrong).await;
    let violations = &detail(&refused, "BadRequest")["fieldViolations"];
    assert_eq!((refused.status, named(violations)), (400, vec!["interface", "event_id", "payload"]));
    assert_eq!(detail(&refused, "ErrorInfo")["domain"], "leadline");
}

#[tokio::test]
async fn errors_name_every_wrong_field_of_the_configuration() {
    let world = World::start().await;
    let destination = api::Destination {
        url: "nonsense".into(),
        event_types: vec!["Not A Type".into()],
        webhook_id: "lead".into(),
        concurrency: 1_000_000,
        name: "two\nlines".into(),
        timeout: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        ..some_destination()
    };
    let create = api::CreateDestinationRequest { destination: Some(destination), ..Default::default() };
    let refused = world.registry().create_destination(create).await.unwrap_err();
    let mut wrong = fields(&refused);
    wrong.sort();
    assert_eq!(wrong, ["concurrency", "event_types", "name", "timeout", "url", "webhook_id"], "{refused}");
    assert!(refused.message().len() < 1_000);
    let account = json!({"account": {"account_id": "new", "routing": "some", "notification_emails": ["nobody"],
        "keep_history": "1s"}});
    let refused = call(&world, "RegistryService/CreateAccount", account).await;
    let violations = detail(&refused, "BadRequest");
    assert_eq!(named(&violations["fieldViolations"]), ["routing", "keep_history", "notification_emails"]);
}

#[tokio::test]
async fn refusals_have_a_reason_and_a_retry_delay() {
    let (world, receiver) = (World::start_with(&["--publish-rate", "1"], &[]).await, Receiver::start().await);
    world.destination(&receiver.url()).await;
    world.publish("e1").await;
    let delivery = world.delivery_is("e1", DeliveryStatus::Succeeded).await.delivery.unwrap().delivery_id;
    let refused = world.retry("e1").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "DELIVERY_NOT_FAILED"));
    let refused = call(&world, "DeliveryService/RetryDelivery", json!({"delivery_id": delivery})).await;
    assert_eq!(detail(&refused, "ErrorInfo")["reason"], "DELIVERY_NOT_FAILED");
    assert_eq!(detail(&refused, "ErrorInfo")["metadata"]["status"], "succeeded");

    let lead = json!({"account": ACCOUNT, "interface": INTERFACE, "payload": "e30="});
    let hasty = testkit::wait::until("a call over the rate", SOON, async || {
        let answer = call(&world, "IngestService/PublishLead", lead.clone()).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!((hasty.status, detail(&hasty, "ErrorInfo")["reason"].as_str()), (429, Some("RATE_EXCEEDED")));
    assert!(detail(&hasty, "RetryInfo")["retryDelay"].is_string(), "{}", hasty.json());
    assert_eq!(hasty.header("retry-after"), "1");

    let missing = call(&world, "RegistryService/GetAccount", json!({"account_id": "none"})).await;
    assert_eq!(detail(&missing, "ErrorInfo")["reason"], "ACCOUNT_NOT_FOUND");
    let account = json!({"account": {"account_id": ACCOUNT}});
    let taken = call(&world, "RegistryService/CreateAccount", account).await;
    assert_eq!((taken.status, detail(&taken, "ErrorInfo")["reason"].as_str()), (409, Some("ACCOUNT_EXISTS")));
    let (reader, _) = world.new_key(ACCOUNT, &[Scope::Read]).await;
    let mut access = AccessServiceClient::new(world.called_with(&reader).await);
    let denied = access.list_keys(api::ListKeysRequest::default()).await.unwrap_err();
    assert_eq!(reason(&denied), "SCOPE_MISSING");
    let stranger = web().post(format!("{}/v1/leads", world.http)).body("{}");
    assert_eq!(sent(stranger).await.json()["error"]["reason"], "KEY_MISSING");
}

#[tokio::test]
async fn impossible_retry_is_refused_with_its_reason() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    world.interface("other").await;
    world.publish("e1").await;
    world.publish_with("e2", json!({"interface": "other"})).await;
    for event in ["e1", "e2"] {
        world.delivery_is(event, DeliveryStatus::Failed).await;
    }
    let gone = api::DeleteInterfaceRequest { account_id: ACCOUNT.into(), interface_id: "other".into() };
    world.registry().delete_interface(gone).await.unwrap();
    let refused = world.retry("e2").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "INTERFACE_DELETED"));
    let forget = json!({"account_id": ACCOUNT, "lead_ids": ["lead-e1"]});
    let forgotten = call(&world, "LeadService/AnonymizeLeads", forget).await;
    assert_eq!(forgotten.status, 200, "{}", forgotten.json());
    let refused = world.retry("e1").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "LEAD_ANONYMISED"));
}

#[tokio::test]
async fn request_id_is_in_answer_error_and_log() {
    let world = World::start_with(&[], &[("RUST_LOG", "ingest=debug,leadline=info")]).await;
    let post = |body: &'static str| web().post(format!("{}/v1/leads", world.http)).bearer_auth(&world.key).body(body);
    let answer = sent(post("{}").header("x-request-id", "order-7/try-2")).await;
    assert_eq!(answer.header("x-request-id"), "order-7/try-2");
    assert_eq!(answer.json()["error"]["request_id"], "order-7/try-2");
    world.process.wait_line("order-7/try-2", SOON).await;
    let answer = sent(post("{}").header("x-request-id", "two words")).await;
    let made = answer.header("x-request-id").to_owned();
    assert_eq!((made.len(), &answer.json()["error"]["request_id"]), (36, &json!(made)));
    let stranger = sent(web().post(format!("{}/v1/leads", world.http)).header("x-request-id", "stranger")).await;
    assert_eq!((stranger.status, &stranger.json()["error"]["request_id"]), (401, &json!("stranger")));
    let called = sent(web().post(format!("{}/leadline.v1.AccessService/WhoAmI", world.http))).await;
    assert_eq!(called.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn idempotency_key_becomes_the_event_id() {
    let world = World::start().await;
    let mut event = event_json("none");
    event.as_object_mut().unwrap().remove("event_id");
    let key = [("idempotency-key", "\"order-7\"")];
    let (status, answer) = world.post(event.to_string(), &key).await;
    assert_eq!((status, &answer["event_id"], &answer["duplicate"]), (202, &json!("order-7"), &json!(false)));
    let (status, answer) = world.post(event.to_string(), &[("idempotency-key", "order-7")]).await;
    assert_eq!((status, &answer["duplicate"]), (202, &json!(true)));
    for (body, key) in [
        (event_json("e1").to_string(), "order-7"),
        (json!([event]).to_string(), "order-7"),
        (event.to_string(), "two words"),
    ] {
        let (status, answer) = world.post(body, &[("idempotency-key", key)]).await;
        assert_eq!((status, &answer["error"]["field"]), (400, &json!("idempotency-key")), "{answer}");
    }
}
