//! Reads the requests of exporters.

use std::{collections::BTreeMap, io::Read as _};

use axum::body::Body;
use flate2::read::GzDecoder;
use http::{Request, header::CONTENT_ENCODING};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use prost::Message;

pub(super) async fn over_http<T: Message + Default>(request: Request<Body>, keep: impl FnOnce(T)) -> http::StatusCode {
    let body = body_of(request).await;
    let Ok(export) = T::decode(body.as_slice()) else { return http::StatusCode::BAD_REQUEST };
    keep(export);
    http::StatusCode::OK
}

/// The body of a request, decompressed.
pub(super) async fn body_of(request: Request<Body>) -> Vec<u8> {
    let is_gzip = request.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap_or_default();
    let mut decoded = vec![];
    if is_gzip {
        GzDecoder::new(body.as_ref()).read_to_end(&mut decoded).expect("the body is gzip");
    } else {
        decoded.extend_from_slice(&body);
    }
    decoded
}

pub(super) fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

pub(super) fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    attributes.into_iter().map(|attribute| (attribute.key, text(attribute.value))).collect()
}
