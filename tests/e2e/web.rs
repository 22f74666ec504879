//! The API over the HTTP port: Connect in JSON and in protobuf, and gRPC-Web.

pub(crate) mod streams;

use api::DeliveryStatus;
use prost::Message as _;
use reqwest::{RequestBuilder, header::HeaderMap};
use serde_json::{Value, json};
use testkit::{Answer, Receiver};

use crate::world::{ACCOUNT, INTERFACE, World, web};

/// An answer over HTTP.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }
}

pub(crate) async fn sent(request: RequestBuilder) -> Answered {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Answered { status, headers, body: answer.bytes().await.unwrap().to_vec() }
}

/// A request to a method, such as `LeadService/GetLead`, with the key of the administrator.
pub(crate) fn request(
    world: &World,
    method: &str,
    content_type: &str,
    body: impl Into<reqwest::Body>,
) -> RequestBuilder {
    let request = web().post(format!("{}/leadline.v1.{method}", world.http)).bearer_auth(&world.key);
    request.header("content-type", content_type).body(body)
}

/// Calls a unary method in JSON.
pub(crate) async fn call(world: &World, method: &str, message: Value) -> Answered {
    sent(request(world, method, "application/json", message.to_string())).await
}

#[tokio::test]
async fn failed_delivery_can_be_found_and_retried_in_json() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    receiver.answer(Answer::Status(500));
    world.destination(&receiver.url()).await;
    let payload = "eyJuYW1lIjoiQWRhIn0=";
    let lead = json!({"account": ACCOUNT, "interface": INTERFACE, "eventId": "e1", "payload": payload});
    let published = call(&world, "IngestService/PublishLead", lead.clone()).await;
    assert_eq!((published.status, &published.json()["eventId"]), (200, &json!("e1")), "{}", published.json());
    assert_eq!(published.header("content-type"), "application/json");
    world.delivery_is("e1", DeliveryStatus::Failed).await;

    let filter = json!({"filter": {"account_id": ACCOUNT, "statuses": ["DELIVERY_STATUS_FAILED"]}});
    let listed = call(&world, "DeliveryService/ListDeliveries", filter).await.json();
    let delivery = &listed["deliveries"][0];
    assert_eq!((&delivery["eventId"], &delivery["httpStatusCode"]), (&json!("e1"), &json!(500)), "{listed}");
    receiver.answer(Answer::Status(200));
    let id = json!({"deliveryId": delivery["deliveryId"], "requestedBy": "Ada"});
    let retried = call(&world, "DeliveryService/RetryDelivery", id.clone()).await;
    assert_eq!(retried.status, 200, "{}", retried.json());
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    assert_eq!(receiver.requests()[0].body, br#"{"name":"Ada"}"#.as_slice());

    let refused = call(&world, "DeliveryService/RetryDelivery", id).await;
    assert_eq!((refused.status, &refused.json()["code"]), (400, &json!("failed_precondition")));
    let again = call(&world, "IngestService/PublishLead", lead).await.json();
    assert_eq!(again["duplicate"], true);
}

#[tokio::test]
async fn methods_accept_protobuf_and_reading_ones_accept_get() {
    let world = World::start().await;
    let message = api::GetAccountRequest { account_id: ACCOUNT.into() }.encode_to_vec();
    let answer = sent(request(&world, "RegistryService/GetAccount", "application/proto", message.clone())).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/proto"));
    assert_eq!(api::Account::decode(&answer.body[..]).unwrap().name, "Acme");

    let encoded = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &message);
    let get = |method: &str, query: &[(&str, &str)]| {
        let url = reqwest::Url::parse_with_params(&format!("{}/leadline.v1.{method}", world.http), query).unwrap();
        sent(web().get(url).bearer_auth(&world.key))
    };
    let json = json!({"account_id": ACCOUNT}).to_string();
    for query in
        [&[("connect", "v1"), ("encoding", "json"), ("message", json.as_str())][..], &[("message", json.as_str())]]
    {
        let got = get("RegistryService/GetAccount", query).await;
        assert_eq!((got.status, &got.json()["name"]), (200, &json!("Acme")), "{query:?}: {}", got.json());
        assert_eq!(got.header("cache-control"), "no-store");
    }
    let got = get("RegistryService/GetAccount", &[("encoding", "proto"), ("base64", "1"), ("message", &encoded)]).await;
    assert_eq!(api::Account::decode(&got.body[..]).unwrap().name, "Acme");
    let changes = get("RegistryService/DeleteAccount", &[("message", &json)]).await;
    assert_eq!((changes.status, changes.header("allow")), (405, "POST"));
    for query in [&[("encoding", "xml")][..], &[("connect", "v2")], &[("base64", "1"), ("message", "&")]] {
        assert_eq!(get("RegistryService/GetAccount", query).await.status, 400, "{query:?}");
    }
}

#[tokio::test]
async fn errors_have_the_format_of_connect() {
    let world = World::start().await;
    let method = "RegistryService/GetAccount";
    let of = |content_type: &str, body: &str| request(&world, method, content_type, body.to_owned());
    let good = json!({"account_id": ACCOUNT}).to_string();
    let json = "application/json";
    let cases = [
        (of(json, r#"{"acount_id": "acme"}"#), 400, "invalid_argument", "acount_id"),
        (of(json, r#"{"account_id": 7}"#), 400, "invalid_argument", "account_id"),
        (of(json, "{"), 400, "invalid_argument", "not JSON"),
        (of(json, r#"{"account_id": "none"}"#), 404, "not_found", "none"),
        (of("text/plain", &good), 415, "invalid_argument", "application/json"),
        (of("application/connect+json", &good), 415, "invalid_argument", "application/json"),
        (of(json, &good).header("content-encoding", "br"), 501, "unimplemented", "gzip"),
        (of(json, &good).header("content-encoding", "gzip"), 400, "invalid_argument", "not gzip"),
        (of(json, &good).header("connect-protocol-version", "2"), 400, "invalid_argument", "not 1"),
        (of(json, &good).header("connect-timeout-ms", "soon"), 400, "invalid_argument", "milliseconds"),
        (request(&world, "RegistryService/NoSuch", json, "{}"), 501, "unimplemented", "no such method"),
        (request(&world, "DeliveryService/WatchDeliveries", json, "{}"), 415, "invalid_argument", "stream"),
    ];
    for (request, status, code, words) in cases {
        let answer = sent(request).await;
        let error = answer.json();
        assert_eq!((answer.status, &error["code"]), (status, &json!(code)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
        assert!(answer.body.len() < 2_000);
    }
    let stranger = web().post(format!("{}/leadline.v1.{method}", world.http)).header("content-type", json);
    let stranger = sent(stranger.body("x".repeat(200 * 1024))).await;
    assert_eq!((stranger.status, &stranger.json()["code"]), (401, &json!("unauthenticated")));
    assert_eq!(stranger.header("www-authenticate"), "Bearer");
    let other = sent(web().delete(format!("{}/leadline.v1.{method}", world.http))).await;
    assert_eq!((other.status, other.header("allow")), (405, "GET, POST"));
}

#[tokio::test]
async fn unknown_path_is_named_and_the_description_of_the_api() {
    let world = World::start().await;
    for path in ["/v1/leads/", "/v1/lead", "/leadline.v1.NoSuchService/Get"] {
        let answer = sent(web().post(format!("{}{path}", world.http))).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["code"]), (404, &json!("not_found")), "{path}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(path) && message.contains("/openapi.json"), "{path}: {error}");
        assert_eq!(error["request_id"], answer.header("x-request-id"), "{path}");
    }
}

#[tokio::test]
async fn message_size_limit_applies_after_decompression() {
    let world = World::start().await;
    let method = "RegistryService/GetAccount";
    let padded = format!("{{\"account_id\": \"{ACCOUNT}\"{}}}", " ".repeat(1_000_000));
    let plain = sent(request(&world, method, "application/json", padded.clone())).await;
    let zipped = request(&world, method, "application/json", crate::compressed::gzip(padded.as_bytes()));
    let zipped = sent(zipped.header("content-encoding", "gzip")).await;
    assert_eq!((plain.status, zipped.status), (200, 200));
    assert_eq!(plain.json(), zipped.json());
    let bomb = crate::compressed::gzip(&vec![b' '; 64 * 1024 * 1024]);
    let bomb = sent(request(&world, method, "application/json", bomb).header("content-encoding", "gzip")).await;
    let large = sent(request(&world, method, "application/json", " ".repeat(4_200_000))).await;
    let many = format!("{{\"account_id\": [{}]}}", "1,".repeat(200_000));
    let many = sent(request(&world, method, "application/json", many)).await;
    for (refused, status) in [(bomb, 429), (large, 429), (many, 400)] {
        assert_eq!(refused.status, status, "{}", refused.json());
        assert!(refused.body.len() < 2_000);
    }
}

#[tokio::test]
async fn cors_allows_only_configured_origins() {
    let console = "https://console.example";
    let open = World::start_with(&["--cors-origins", &format!("{console},http://localhost:5173")], &[]).await;
    let closed = World::start().await;
    let ask = async |world: &World, origin: &str, path: &str| {
        let url = format!("{}/{path}", world.http);
        let request = web().request(reqwest::Method::OPTIONS, url).header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        sent(request.header("access-control-request-headers", "authorization,connect-protocol-version")).await
    };
    for path in ["leadline.v1.LeadService/GetLead", "v1/leads"] {
        let preflight = ask(&open, console, path).await;
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, console));
        assert!(preflight.header("access-control-allow-headers").contains("authorization"));
        assert_eq!(ask(&open, "https://evil.example", path).await.header("access-control-allow-origin"), "");
        assert_eq!(ask(&closed, console, path).await.header("access-control-allow-origin"), "");
    }
    let call = request(&open, "AccessService/WhoAmI", "application/json", "{}").header("origin", console);
    let called = sent(call).await;
    assert_eq!((called.status, called.header("access-control-allow-origin")), (200, console));
    assert!(called.header("access-control-expose-headers").contains("grpc-status-details-bin"));
}
