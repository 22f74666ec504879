//! Requests with several mistakes, each over gRPC and in JSON: the answer names every wrong field.

use bytes::Bytes;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, prost::Message as _};
use serde_json::{Value, json};
use tonic::{Code, Request, Status, client::Grpc};

use super::{detail, fields, named, reason};
use crate::{
    access::matrix::{Raw, short},
    web::{
        Answered, call, request, sent,
        streams::{prefixed, taken},
    },
    world::{ACCOUNT, World},
};

const LINES: &str = "two\nlines";
/// The byte `x`, which is no JSON.
const NO_JSON: &str = "eA==";

/// Calls every method with its message, and compares the fields that the refusal names.
async fn refused_with(cases: &[(&str, Value, &[&str])]) {
    let world = World::start().await;
    let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
    for (name, message, expected) in cases {
        let mut methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
        let method = methods.find(|method| short(method) == *name).unwrap();
        let status = over_grpc(&world, &method, message).await;
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, owned(expected)), "{name}: {status}");
        assert_eq!(reason(&status), "FIELD_INVALID");

        let answer = in_json(&world, &method, name, message).await;
        let violations = detail(&answer, "BadRequest");
        let wrong = named(&violations["fieldViolations"]);
        assert_eq!((answer.json()["code"].as_str(), wrong), (Some("invalid_argument"), expected.to_vec()), "{name}");
        assert_eq!(detail(&answer, "ErrorInfo")["reason"], "FIELD_INVALID");
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// The refusal of a call over gRPC.
async fn over_grpc(world: &World, method: &MethodDescriptor, message: &Value) -> Status {
    let message = DynamicMessage::deserialize(method.input(), message).unwrap();
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name()).try_into().unwrap();
    let request = Request::new(futures::stream::iter([Bytes::from(message.encode_to_vec())]));
    let mut client = Grpc::new(world.called_with(&world.key).await);
    client.ready().await.unwrap();
    client.streaming(request, path, Raw).await.map(drop).unwrap_err()
}

/// The refusal of a call in JSON.
async fn in_json(world: &World, method: &MethodDescriptor, name: &str, message: &Value) -> Answered {
    if !method.is_server_streaming() {
        return call(world, name, message.clone()).await;
    }
    let body = prefixed(0, message.to_string().as_bytes());
    let mut answer = sent(request(world, name, "application/connect+json", body)).await;
    let (_, end) = taken(&mut answer.body).pop().unwrap();
    let end: Value = serde_json::from_slice(&end).unwrap();
    Answered { body: end["error"].to_string().into_bytes(), ..answer }
}

#[tokio::test]
async fn wrong_fields_of_delivery_requests_are_all_named() {
    let filter = json!({
        "account_id": "no id", "interface_id": "no id", "destination_id": "no id", "lead_id": "no id",
        "event_id": "no id", "client_id": "no id", "event_type": "No Type", "statuses": [99],
        "failure_reason": "bad luck", "http_status_code": 7,
    });
    refused_with(&[
        (
            "DeliveryService/ListDeliveries",
            json!({"filter": filter, "page_size": 1_000, "page_token": "rubbish"}),
            &[
                "filter.account_id",
                "filter.interface_id",
                "filter.destination_id",
                "filter.lead_id",
                "filter.event_id",
                "filter.client_id",
                "filter.event_type",
                "filter.statuses",
                "filter.failure_reason",
                "filter.http_status_code",
                "page_size",
                "page_token",
            ],
        ),
        (
            "DeliveryService/RetryDelivery",
            json!({"delivery_id": "no id", "reason": LINES, "request_id": "no id", "requested_by": LINES}),
            &["requested_by", "delivery_id", "reason", "request_id"],
        ),
        (
            "DeliveryService/WatchDeliveries",
            json!({"resume_token": "x", "existing": true, "lead_id": "no id", "statuses": [99]}),
            &["resume_token", "existing", "lead_id", "statuses"],
        ),
        (
            "DeliveryService/ListDestinationEvents",
            json!({"account_id": ACCOUNT, "destination_id": "no id", "limit": 1_000, "page_token": "rubbish"}),
            &["destination_id", "limit", "page_token"],
        ),
        (
            "DeliveryService/GetAttemptRequest",
            json!({"delivery_id": "no id", "attempt_id": "no id"}),
            &["attempt_id", "delivery_id"],
        ),
        (
            "DeliveryService/PreviewRequest",
            json!({"destination_id": "no id", "event_type": "No Type", "payload": NO_JSON}),
            &["account_id", "destination_id", "event_type", "payload"],
        ),
        (
            "DeliveryService/SendTestDelivery",
            json!({"account_id": ACCOUNT, "destination_id": "no id", "payload": NO_JSON}),
            &["destination_id", "payload"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn wrong_fields_of_lead_requests_are_all_named() {
    refused_with(&[
        (
            "LeadService/ListLeads",
            json!({"account_id": ACCOUNT, "interface_id": "no id", "client_id": "no id", "http_status_code": 7,
                "where": {"shoe_size": "42"}, "page_size": 1_000}),
            &["interface_id", "client_id", "http_status_code", "where", "page_size"],
        ),
        ("LeadService/ExportLeads", json!({"interface_id": "no id"}), &["account_id", "interface_id"]),
        ("LeadService/GetLead", json!({"lead_id": "no id"}), &["account_id", "lead_id"]),
        (
            "LeadService/GetLeadLog",
            json!({"lead_id": "no id", "page_size": 1_000}),
            &["account_id", "lead_id", "page_size"],
        ),
        ("LeadService/GetEvent", json!({"event_id": "no id"}), &["account_id", "event_id"]),
        (
            "LeadService/AnonymizeLeads",
            json!({"older_than": "0s", "lead_ids": ["l1"], "interface_id": "no id"}),
            &["account_id", "lead_ids", "interface_id", "older_than"],
        ),
        (
            "RoutingService/ExplainRouting",
            json!({"account_id": ACCOUNT, "destination_id": "no id", "event_id": "no id"}),
            &["destination_id", "event_id"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn wrong_fields_of_job_and_problem_requests_are_all_named() {
    let filter = json!({"account_id": "other", "lead_id": "no id", "statuses": ["DELIVERY_STATUS_HELD"]});
    refused_with(&[
        (
            "JobService/RetryDeliveries",
            json!({"account_id": ACCOUNT, "filter": filter, "pace": 1_000_000, "reason": LINES, "request_id": "no id"}),
            &["pace", "reason", "request_id", "filter.lead_id", "filter.account_id", "filter.statuses"],
        ),
        (
            "JobService/RetryDeliveries",
            json!({"account_id": ACCOUNT, "filter": {"where": {"shoe_size": "42"}, "client_id": "no id"}}),
            &["filter.client_id", "filter.where"],
        ),
        ("JobService/RetryDeliveries", json!({"delivery_ids": ["no id"]}), &["account_id", "delivery_ids"]),
        (
            "JobService/RecoverDestination",
            json!({"account_id": ACCOUNT, "destination_id": "no id", "event_types": ["No Type"], "reason": LINES}),
            &["reason", "destination_id", "since", "event_types"],
        ),
        ("JobService/ListJobs", json!({"page_size": 1_000}), &["account_id", "page_size"]),
        ("JobService/ListJobRefusals", json!({"job_id": "no id", "page_token": "rubbish"}), &["job_id", "page_token"]),
        ("JobService/CancelJob", json!({"job_id": "no id", "requested_by": LINES}), &["requested_by", "job_id"]),
        (
            "ProblemService/ListProblems",
            json!({"account_id": "no id", "destination_id": "no id", "page_size": 1_000}),
            &["account_id", "destination_id", "page_size"],
        ),
        (
            "ProblemService/AcknowledgeProblem",
            json!({"account_id": ACCOUNT, "destination_id": "no id", "cause": "luck", "requested_by": LINES}),
            &["requested_by", "destination_id", "cause"],
        ),
        (
            "ProblemService/QueryDeliveryCounts",
            json!({"account_id": ACCOUNT, "destination_id": "no id", "bucket": 99, "page_size": 1_000}),
            &["destination_id", "bucket", "page_size"],
        ),
        ("ProblemService/ListDestinationHealth", json!({"page_size": 1_000}), &["account_id", "page_size"]),
    ])
    .await;
}

#[tokio::test]
async fn wrong_fields_of_access_requests_are_all_named() {
    refused_with(&[
        (
            "AccessService/CreateKey",
            json!({"account_id": "no id", "client_id": "no id", "scopes": [99]}),
            &["account_id", "client_id", "scopes"],
        ),
        ("AccessService/ListKeys", json!({"account_id": "no id", "page_size": 1_000}), &["account_id", "page_size"]),
        (
            "AccessService/CreatePortalSession",
            json!({"account_id": "no id", "client_id": "no id", "lifetime": "1s", "person": LINES}),
            &["account_id", "client_id", "scopes", "lifetime", "person"],
        ),
        (
            "AuditService/ListAuditLog",
            json!({"account_id": "no id", "entity_kind": "thing", "page_token": "rubbish"}),
            &["account_id", "entity_kind", "page_token"],
        ),
    ])
    .await;
}

#[tokio::test]
async fn wrong_fields_of_configuration_requests_are_all_named() {
    refused_with(&[
        (
            "RegistryService/UpdateAccount",
            json!({"account": {"account_id": "no id", "routing": "some"}, "update_mask": "colour"}),
            &["update_mask", "account_id", "routing"],
        ),
        ("RegistryService/CreateClient", json!({"client": {"client_id": "no id"}}), &["account_id", "client_id"]),
        (
            "RegistryService/UpdateClient",
            json!({"client": {"account_id": ACCOUNT, "client_id": "no id"}, "update_mask": "colour"}),
            &["update_mask", "client_id"],
        ),
        (
            "RegistryService/ListClients",
            json!({"account_id": "no id", "page_size": 2_000, "page_token": "rubbish"}),
            &["account_id", "page_size", "page_token"],
        ),
        ("RegistryService/GetInterface", json!({"interface_id": "no id"}), &["account_id", "interface_id"]),
        (
            "RegistryService/CreateInterface",
            json!({"interface": {"account_id": ACCOUNT, "interface_id": "no id", "retention": "-1s"}}),
            &["interface_id", "retention"],
        ),
        (
            "RegistryService/CreateApiUser",
            json!({"api_user": {"account_id": ACCOUNT, "api_user_id": "no id", "role": "king"}}),
            &["api_user_id", "role"],
        ),
        ("RegistryService/DeleteOptOut", json!({"opt_out_id": "no id"}), &["account_id", "opt_out_id"]),
        ("RegistryService/ConfirmEmail", json!({"code": "none"}), &["account_id", "code"]),
    ])
    .await;
}

#[tokio::test]
async fn wrong_fields_of_destination_and_token_requests_are_all_named() {
    let destination = json!({"account_id": ACCOUNT, "timeout": "-1s", "ca_certificates": "none",
        "auth": {"bearer_token": LINES}, "proxy": {"url": "http://proxy.example", "password": LINES}});
    refused_with(&[
        (
            "RegistryService/CreateDestination",
            json!({"destination": destination, "request_id": "no id"}),
            &["request_id", "timeout", "url", "auth", "ca_certificates", "proxy.password"],
        ),
        (
            "RegistryService/UpdateDestination",
            json!({"destination": {"account_id": ACCOUNT, "destination_id": "dst_1", "method": "CALL"},
                "update_mask": "method,colour"}),
            &["update_mask", "method"],
        ),
        (
            "RegistryService/AssignToken",
            json!({"account_id": ACCOUNT, "destination_id": "no id", "token_id": "no id"}),
            &["destination_id", "token_id"],
        ),
        (
            "RegistryService/TestCondition",
            json!({"account_id": ACCOUNT, "condition": "{", "payload": NO_JSON}),
            &["condition", "payload"],
        ),
        (
            "RegistryService/CreateToken",
            json!({"account_id": ACCOUNT, "request_id": "no id", "algorithm": "rot13", "imported": {"hex": "x"}}),
            &["request_id", "algorithm", "imported.hex"],
        ),
        (
            "RegistryService/RotateToken",
            json!({"account_id": ACCOUNT, "token_id": "no id", "overlap": "-1s"}),
            &["token_id", "overlap"],
        ),
        (
            "RegistryService/UpdateToken",
            json!({"token": {"account_id": ACCOUNT, "token_id": "no id"}, "update_mask": "secret"}),
            &["update_mask", "token_id"],
        ),
    ])
    .await;
}
