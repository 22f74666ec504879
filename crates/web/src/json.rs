//! Messages in JSON (the JSON mapping of protobuf).
//!
//! A field that the message does not have is refused, because a filter with a spelling mistake would otherwise match
//! everything.

use api::status::invalid;
use bytes::Bytes;
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::Serializer;
use tonic::Status;

/// The maximum number of values in a message. A value of two bytes in JSON takes up to a hundred bytes in memory.
const MAX_VALUES: usize = 100_000;
/// Programs on Windows write this mark before UTF-8. A reader may ignore it (RFC 8259, section 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Converts JSON to protobuf. `serde_json` bounds the depth, at 128.
///
/// # Errors
/// If the text is not JSON, or not this message.
pub(crate) fn to_protobuf(json: &[u8], message: MessageDescriptor) -> Result<Bytes, Status> {
    let json = json.strip_prefix(BYTE_ORDER_MARK).unwrap_or(json);
    if has_more_values_than(MAX_VALUES, json) {
        return Err(invalid("body", format!("has more than {MAX_VALUES} values; send several requests")));
    }
    let name = message.name().to_owned();
    // An empty body is the empty message, as `curl -d ''` sends it.
    let json = if json.trim_ascii().is_empty() { b"{}" } else { json };
    let mut reader = serde_json::Deserializer::from_slice(json);
    let mut track = serde_path_to_error::Track::new();
    let read = DynamicMessage::deserialize(message, serde_path_to_error::Deserializer::new(&mut reader, &mut track));
    match read {
        Ok(read) => {
            reader.end().map_err(|_| invalid("body", format!("has more text after the {name}")))?;
            Ok(read.encode_to_vec().into())
        }
        Err(error) if error.is_data() => Err(wrong(&track.path().to_string(), &name, &error)),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            Err(invalid("body", format!("is not JSON; the mistake is at line {line}, column {column}")))
        }
    }
}

/// Converts protobuf to JSON.
///
/// # Errors
/// If the bytes are not this message.
pub(crate) fn from_protobuf(bytes: Bytes, message: MessageDescriptor) -> Result<Vec<u8>, Status> {
    let broken = |error: &dyn std::error::Error| Status::internal(format!("the answer cannot be read: {error}"));
    let message = DynamicMessage::decode(message, bytes).map_err(|e| broken(&e))?;
    let mut json = vec![];
    message.serialize_with_options(&mut Serializer::new(&mut json), &Default::default()).map_err(|e| broken(&e))?;
    Ok(json)
}

fn wrong(path: &str, message: &str, error: &serde_json::Error) -> Status {
    let field = if path == "." || path == "?" { "body" } else { path };
    invalid(field, format!("does not fit {message}: {error}"))
}

/// Counts the characters that separate or open values, outside of texts.
fn has_more_values_than(max: usize, json: &[u8]) -> bool {
    let (mut values, mut in_text, mut is_escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => values += 1,
            _ => {}
        }
        if values > max {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    fn read(name: &str, json: &str) -> Result<Bytes, Status> {
        let pool = DescriptorPool::decode(api::DESCRIPTORS).unwrap();
        to_protobuf(json.as_bytes(), pool.get_message_by_name(&format!("leadline.v1.{name}")).unwrap())
    }

    #[test]
    fn both_spellings_of_a_field_are_read_and_no_other_field() {
        let expected = api::GetDeliveryRequest { delivery_id: "d1".into() }.encode_to_vec();
        for json in [r#"{"deliveryId":"d1"}"#, "\u{feff} {\"delivery_id\" : \"d1\"} "] {
            assert_eq!(read("GetDeliveryRequest", json).unwrap(), expected, "{json}");
        }
        assert_eq!(read("GetDeliveryRequest", "").unwrap(), Bytes::new());
        for (json, field) in [
            (r#"{"deliveryid":"d1"}"#, "body"),
            (r#"{"deliveryId":7}"#, "deliveryId"),
            (r#"{"deliveryId":"d1"} {}"#, "body"),
            ("{", "body"),
            ("[]", "body"),
        ] {
            let refused = read("GetDeliveryRequest", json).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
            assert!(refused.message().starts_with(field), "{json}: {refused}");
        }
        let nested = read("ListDeliveriesRequest", r#"{"filter":{"statuses":["FAILED"]}}"#).unwrap_err();
        assert!(nested.message().starts_with("filter.statuses[0]"), "{nested}");
    }

    #[test]
    fn deep_and_long_json_is_refused() {
        for hostile in [
            "[".repeat(1_000_000),
            r#"{"filter":"#.repeat(100_000),
            format!(r#"{{"filter":{{"statuses":[{}1]}}}}"#, "1,".repeat(MAX_VALUES)),
        ] {
            let refused = read("ListDeliveriesRequest", &hostile).unwrap_err();
            assert_eq!(refused.code(), tonic::Code::InvalidArgument);
            assert!(refused.message().len() < 1_000, "{}", refused.message().len());
        }
        let text = format!(r#"{{"filter":{{"lead_id":"{}"}}}}"#, r#"\",[{"#.repeat(50_000));
        assert!(read("ListDeliveriesRequest", &text).is_ok(), "texts do not count as values");
    }
}
