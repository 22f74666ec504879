//! JSON schemas of messages, by the JSON mapping of protobuf.

use std::collections::BTreeMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

use super::comments::Comments;

/// The schemas that the description refers to.
#[derive(Debug)]
pub(crate) struct Schemas<'a> {
    comments: &'a Comments,
    by_name: BTreeMap<String, Value>,
}

impl<'a> Schemas<'a> {
    pub(crate) const fn new(comments: &'a Comments) -> Self {
        Self { comments, by_name: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, name: &str, schema: Value) {
        self.by_name.insert(name.to_owned(), schema);
    }

    /// All schemas, and that of errors.
    pub(crate) fn end(mut self, error: Value) -> BTreeMap<String, Value> {
        self.add("Error", error);
        self.by_name
    }

    /// A reference to the schema of a message.
    pub(crate) fn reference(&mut self, message: &MessageDescriptor) -> Value {
        if let Some(well_known) = well_known(message.full_name()) {
            return well_known;
        }
        let name = message.name().to_owned();
        if !self.by_name.contains_key(&name) {
            // Added before its fields, which may refer to it.
            self.add(&name, Value::Null);
            let schema = self.message(message);
            self.add(&name, schema);
        }
        json!({"$ref": format!("#/components/schemas/{name}")})
    }

    fn message(&mut self, message: &MessageDescriptor) -> Value {
        let properties: Map<_, _> =
            message.fields().map(|field| (field.json_name().to_owned(), self.field(&field))).collect();
        let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
        let mut about = self.comments.of_message(message);
        for oneof in message.oneofs().filter(|oneof| oneof.fields().len() > 1) {
            let names: Vec<_> = oneof.fields().map(|field| field.json_name().to_owned()).collect();
            about = format!("{about} At most one of {}.", names.join(", ")).trim().to_owned();
        }
        describe(&mut schema, &about);
        schema
    }

    fn field(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = if field.is_map() {
            let value = match field.kind() {
                Kind::Message(entry) => entry.map_entry_value_field(),
                _ => field.clone(),
            };
            json!({"type": "object", "additionalProperties": self.value(&value.kind())})
        } else if field.is_list() {
            json!({"type": "array", "items": self.value(&field.kind())})
        } else {
            self.value(&field.kind())
        };
        describe(&mut schema, &self.comments.of_field(field));
        schema
    }

    fn value(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::String => json!({"type": "string"}),
            Kind::Bool => json!({"type": "boolean"}),
            Kind::Bytes => json!({"type": "string", "contentEncoding": "base64"}),
            Kind::Double | Kind::Float => json!({"type": "number"}),
            Kind::Uint32 | Kind::Fixed32 => json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                json!({"type": "integer", "minimum": i32::MIN, "maximum": i32::MAX})
            }
            // JavaScript has no integers of 64 bits, so the JSON mapping writes them as texts.
            Kind::Uint64 | Kind::Fixed64 => json!({"type": "string", "pattern": "^[0-9]{1,19}$"}),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => json!({"type": "string", "pattern": "^-?[0-9]{1,18}$"}),
            Kind::Enum(values) => self.enumeration(values),
            Kind::Message(message) => self.reference(message),
        }
    }

    fn enumeration(&mut self, values: &EnumDescriptor) -> Value {
        let name = values.name().to_owned();
        let names: Vec<_> = values.values().map(|value| value.name().to_owned()).collect();
        let comments = values.values().map(|value| (value.name().to_owned(), self.comments.of_value(&value)));
        let about: Vec<_> =
            comments.filter(|(_, about)| !about.is_empty()).map(|(n, about)| format!("{n}: {about}")).collect();
        let mut schema = json!({"type": "string", "enum": names});
        describe(&mut schema, &about.join(" "));
        self.add(&name, schema);
        json!({"$ref": format!("#/components/schemas/{name}")})
    }
}

/// Adds a description; OpenAPI 3.1 allows it beside a reference.
fn describe(schema: &mut Value, about: &str) {
    if !about.is_empty() {
        schema["description"] = about.into();
    }
}

fn well_known(name: &str) -> Option<Value> {
    Some(match name {
        "google.protobuf.Timestamp" => json!({"type": "string", "format": "date-time"}),
        "google.protobuf.Duration" => json!({
            "type": "string", "pattern": r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$", "examples": ["1.5s"],
        }),
        "google.protobuf.FieldMask" => json!({"type": "string", "examples": ["name,eventTypes"]}),
        _ => return None,
    })
}
