//! The fields that are set in an API message, to show what a change of the configuration changed.
//!
//! The fields are read by descriptor, so a new field is never forgotten. Secrets cannot appear: messages have none.

use std::{collections::BTreeMap, sync::LazyLock};

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::DESCRIPTORS;

static POOL: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).ok());

/// The set fields of a message of `leadline.v1`, by name: texts unchanged, everything else as JSON. Empty if no message
/// has this name.
pub fn fields(name: &str, message: &impl Message) -> BTreeMap<String, String> {
    match json(name, message) {
        Some(Value::Object(fields)) => fields.into_iter().map(|(field, value)| (field, text(value))).collect(),
        _ => BTreeMap::new(),
    }
}

fn json(name: &str, message: &impl Message) -> Option<Value> {
    let descriptor = POOL.as_ref()?.get_message_by_name(&format!("leadline.v1.{name}"))?;
    let message = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()?;
    let options = SerializeOptions::new().skip_default_fields(true).use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).ok()
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_by_its_fields() {
        let destination = crate::Destination {
            name: "CRM".into(),
            event_types: vec!["*".into()],
            enabled: Some(false),
            timeout: Some(crate::duration_to_api(std::time::Duration::from_millis(1_500))),
            ..crate::Destination::default()
        };
        let expected = [("enabled", "false"), ("event_types", "[\"*\"]"), ("name", "CRM"), ("timeout", "1.500s")];
        let expected = expected.map(|(field, value)| (field.to_owned(), value.to_owned()));
        assert_eq!(fields("Destination", &destination), BTreeMap::from(expected));
        assert!(fields("Nothing", &destination).is_empty());
    }

    #[test]
    fn every_file_names_its_package_in_other_languages() {
        let files: Vec<_> =
            POOL.as_ref().unwrap().files().filter(|file| file.package_name() == "leadline.v1").collect();
        assert!(files.len() > 10, "{files:?}");
        for file in files {
            let options = file.file_descriptor_proto().options.clone().unwrap_or_default();
            let own = (options.go_package(), options.java_package(), options.csharp_namespace());
            assert_eq!(own, ("leadline/v1;leadlinev1", "leadline.v1", "Leadline.V1"), "{}", file.name());
            assert!(options.java_multiple_files(), "{}", file.name());
        }
    }
}
