//! The OpenAPI description of everything that the HTTP port serves, and a page that shows it.
//!
//! It is generated from the descriptors, with the comments of the `.proto` files, for the services of this process.
//! `docs/openapi.json` is the description of all services.

mod comments;
mod leads;
mod page;
mod schemas;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::get,
};
use prost_reflect::{DescriptorPool, MethodDescriptor, Value as OptionValue};
use serde_json::{Map, Value, json};

use self::{comments::Comments, schemas::Schemas};
use crate::methods::is_unary;

/// The option that holds the rule of a method.
const RULE: &str = "leadline.v1.requires";
/// The service whose process serves `/v1/leads`.
const INGEST: &str = "leadline.v1.IngestService";

/// The routes of the description and of its page. `methods` are those of this process.
pub(crate) fn routes(pool: &DescriptorPool, methods: &[MethodDescriptor]) -> Router {
    let document: Arc<str> = document(pool, methods).to_string().into();
    Router::new().route("/openapi.json", get(description)).with_state(document).merge(page::routes())
}

async fn description(State(document): State<Arc<str>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

/// The description of these methods, and of `/v1/leads` if publishing is among them.
pub(crate) fn document(pool: &DescriptorPool, methods: &[MethodDescriptor]) -> Value {
    let comments = Comments::of(pool);
    let mut schemas = Schemas::new(&comments);
    let (mut paths, mut tags) = (Map::new(), Map::new());
    if methods.iter().any(|method| method.parent_service().full_name() == INGEST) {
        paths.insert("/v1/leads".into(), leads::path());
        leads::add_schemas(pool, &comments, &mut schemas);
    }
    for method in methods.iter().filter(|method| is_unary(method)) {
        let service = method.parent_service();
        tags.insert(service.name().to_owned(), comments.of_service(service).into());
        paths.insert(
            format!("/{}/{}", service.full_name(), method.name()),
            json!({"post": operation(pool, method, &comments, &mut schemas)}),
        );
    }
    let tags = tags.into_iter().map(|(name, about)| json!({"name": name, "description": about}));
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Leadline", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"apiKey": []}],
        "tags": tags.collect::<Value>(),
        "paths": paths,
        "components": {
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer", "description": "An API key, ll_…"}},
            "responses": {"Error": {
                "description": "The call is refused or fails; the code says why.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }},
            "schemas": schemas.end(error_schema()),
        },
    })
}

const ABOUT: &str = "Every method is called with POST, as the Connect protocol has it (https://connectrpc.com). Fields are \
                     named in lower camel case here; requests may name them as in the .proto files, too. Streams are not \
                     described here: see proto/leadline/v1.";

fn operation(
    pool: &DescriptorPool,
    method: &MethodDescriptor,
    comments: &Comments,
    schemas: &mut Schemas<'_>,
) -> Value {
    let about = comments.of_method(method);
    let summary = about.split_once(". ").map_or(about.as_str(), |(first, _)| first).trim_end_matches('.');
    let summary = if summary.is_empty() { method.name() } else { summary };
    let service = method.parent_service();
    json!({
        "operationId": format!("{}_{}", service.name(), method.name()),
        "tags": [service.name()],
        "summary": domain::text::bounded_to(120, summary.to_owned()),
        "description": about,
        "x-requires": rule(pool, method),
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": schemas.reference(&method.input())}},
        },
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {"application/json": {"schema": schemas.reference(&method.output())}},
            },
            "default": {"$ref": "#/components/responses/Error"},
        },
    })
}

/// Who may call a method: the name of its rule in `access.proto`.
fn rule(pool: &DescriptorPool, method: &MethodDescriptor) -> Option<String> {
    let option = pool.get_extension_by_name(RULE)?;
    let options = method.options();
    match (options.get_extension(&option).as_ref(), option.kind().as_enum()) {
        (OptionValue::EnumNumber(number), Some(rules)) => Some(rules.get_value(*number)?.name().to_owned()),
        _ => None,
    }
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["code"],
        "properties": {
            "code": {"type": "string", "description": "For programs, such as not_found."},
            "message": {"type": "string", "description": "For people: what happened, where, and what to do."},
            "details": {"type": "array", "items": {
                "type": "object",
                "required": ["type", "value"],
                "properties": {
                    "type": {"type": "string", "description": "google.rpc.ErrorInfo (its reason is for programs), \
                             google.rpc.BadRequest (every wrong field), google.rpc.RetryInfo (when to call again), …"},
                    "value": {"type": "string", "description": "The message in protobuf and base64."},
                    "debug": {"description": "The message in JSON."},
                },
            }},
        },
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use super::*;

    fn whole() -> Value {
        let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
        let services = pool.services().filter(|service| service.package_name() == "leadline.v1");
        let methods: Vec<_> = services.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
        document(&pool, &methods)
    }

    #[test]
    fn the_description_is_the_one_in_docs() {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
        let now = whole();
        if std::env::var_os("LEADLINE_UPDATE_SNAPSHOTS").is_some() {
            fs::write(&file, format!("{now:#}\n")).unwrap();
        }
        let kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap_or_default()).unwrap_or_default();
        assert!(
            now == kept,
            "the API is not that of docs/openapi.json; see what changed with \
             LEADLINE_UPDATE_SNAPSHOTS=1 cargo test -p web openapi && git diff docs/openapi.json"
        );
    }

    #[test]
    fn every_method_and_field_is_described_by_its_comment() {
        let document = whole();
        let retry = &document["paths"]["/leadline.v1.DeliveryService/RetryDelivery"]["post"];
        assert_eq!((&retry["x-requires"], &retry["tags"][0]), (&json!("OPERATE"), &json!("DeliveryService")));
        assert!(retry["description"].as_str().unwrap().starts_with("Sends the original payload"), "{retry}");
        let delivery = &document["components"]["schemas"]["Delivery"]["properties"];
        assert_eq!(delivery["httpStatusCode"]["type"], "integer");
        assert!(delivery["failureReason"]["description"].as_str().unwrap().contains("exhausted"));
        assert_eq!(delivery["requestedAt"]["format"], "date-time");
        assert!(document["paths"]["/leadline.v1.DeliveryService/WatchDeliveries"].is_null(), "a stream");
        assert!(document["paths"]["/v1/leads"]["post"]["responses"]["409"].is_object());
        let text = document.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
    }
}
