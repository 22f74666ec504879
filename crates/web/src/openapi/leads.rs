//! The description of `/v1/leads`, which is not a gRPC method. The fields of an event are those of
//! `PublishLeadRequest`.

use prost_reflect::DescriptorPool;
use serde_json::{Map, Value, json};

use super::{comments::Comments, schemas::Schemas};

pub(super) fn path() -> Value {
    let schema = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let refused =
        |about: &str| json!({"description": about, "content": {"application/json": {"schema": schema("LeadsError")}}});
    let header = |name: &str, about: &str, length: u32| json!({"name": name, "in": "header", "description": about, "schema": {"type": "string", "maxLength": length}});
    json!({"post": {
        "operationId": "leads",
        "tags": ["IngestService"],
        "summary": "Publish one lead event or several",
        "description": "Stores the events before it answers. If one of several is wrong, none is stored. The body may be \
                        compressed with gzip.",
        "x-requires": "PUBLISH",
        "parameters": [
            header("Idempotency-Key", "The event_id of the one event of the request.", 130),
            header("x-request-id", "Identifies the request in the answer, the log and the trace.", 128),
        ],
        "requestBody": {"required": true, "content": {
            "application/json": {"schema": {"oneOf": [
                schema("LeadEvent"), {"type": "array", "items": schema("LeadEvent"), "maxItems": 10_000},
            ]}},
            "application/x-ndjson": {"schema": {"type": "string", "description": "One lead event on each line."}},
        }},
        "responses": {
            "202": {
                "description": "Every event is stored.",
                "content": {"application/json": {"schema": {"anyOf": [schema("StoredEvent"), schema("StoredEvents")]}}},
            },
            "400": refused("The request or a field is wrong; nothing is stored."),
            "401": refused("There is no API key, or it is not valid."),
            "403": refused("The API key may not publish for the account; nothing is stored."),
            "409": refused("An event with this event_id and another payload is stored already."),
            "413": refused("The request or an event is too large; nothing is stored."),
            "415": refused("The content encoding is not accepted."),
            "429": refused("The account publishes too fast; Retry-After says when to call again. Nothing is stored."),
            "503": refused("Events are not stored; call again with the same event_id after Retry-After."),
            "508": refused("Too many deliveries led to this request, one after another."),
            "default": refused("The call is refused or fails."),
        },
    }})
}

pub(super) fn add_schemas(pool: &DescriptorPool, comments: &Comments, schemas: &mut Schemas<'_>) {
    let mut properties = Map::new();
    if let Some(message) = pool.get_message_by_name("leadline.v1.PublishLeadRequest") {
        for field in message.fields() {
            let mut schema = match field.name() {
                "payload" => json!({}),
                "occurred_at" => json!({"type": ["string", "null"], "format": "date-time"}),
                "account" | "interface" => json!({"type": "string"}),
                _ => json!({"type": ["string", "null"]}),
            };
            schema["description"] = comments.of_field(&field).into();
            properties.insert(field.name().to_owned(), schema);
        }
    }
    schemas.add(
        "LeadEvent",
        json!({
            "type": "object",
            "required": ["account", "interface", "payload"],
            "properties": properties,
            "additionalProperties": false,
        }),
    );
    let text = || json!({"type": "string"});
    schemas.add(
        "StoredEvent",
        json!({
            "type": "object",
            "required": ["event_id", "lead_id", "duplicate"],
            "properties": {"event_id": text(), "lead_id": text(), "duplicate": {
                "type": "boolean", "description": "The event was stored by an earlier call.",
            }},
        }),
    );
    schemas.add(
        "StoredEvents",
        json!({
            "type": "object",
            "required": ["results"],
            "properties": {"results": {"type": "array", "items": {"$ref": "#/components/schemas/StoredEvent"}}},
        }),
    );
    let field = json!({"type": "object", "properties": {"field": text(), "message": text()}});
    let error = json!({
        "type": "object",
        "required": ["message"],
        "properties": {
            "code": {"type": "string", "description": "For programs, such as invalid_argument."},
            "reason": {"type": "string", "description": "For programs, such as FIELD_INVALID or EVENT_CONFLICT."},
            "message": text(),
            "field": {"type": "string", "description": "The first wrong field."},
            "fields": {"type": "array", "items": field, "description": "Every wrong field, if there are several."},
            "index": {"type": "integer", "description": "The place of the event among those of the request, from 0."},
            "request_id": text(),
        },
    });
    schemas.add("LeadsError", json!({
        "type": "object",
        "properties": {
            "error": error,
            "errors": {"type": "array", "items": error, "description": "The first 100 errors of several events."},
            "more_errors": {"type": "integer"},
            "event_id": {"type": "string", "description": "The id with which to call again."},
            "results": {"type": "array", "items": {"type": "object"}, "description": "What was stored, and what was not."},
        },
    }));
}
