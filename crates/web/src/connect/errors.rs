//! Errors as Connect shows them: a code, a message, and the details of the status, each also in readable JSON.

use std::sync::LazyLock;

use api::status::word;
use axum::{
    Json,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use http::{HeaderValue, StatusCode, header};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use prost_types::Any;
use serde::Serialize;
use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::{StatusExt as _, pb};

/// The types of the details of a status.
static DETAILS: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).ok());

/// An error in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    code: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<Detail>,
}

#[derive(Debug, Serialize)]
struct Detail {
    /// The name of the message, such as `google.rpc.BadRequest`.
    #[serde(rename = "type")]
    name: String,
    /// The message in base64.
    value: String,
    /// The message in JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    debug: Option<Value>,
}

impl Shown {
    pub(super) fn of(status: &Status) -> Self {
        let details = pb::Status::decode(status.details()).unwrap_or_default().details;
        Self {
            code: word(status.code()),
            message: status.message().to_owned(),
            details: details.into_iter().map(detail).collect(),
        }
    }
}

/// The answer to a call that is refused or fails.
pub(crate) fn refused(status: &Status) -> Response {
    let mut answer = (http_status(status.code()), Json(Shown::of(status))).into_response();
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status.code() == Code::Unauthenticated {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(delay) = status.get_details_retry_info().and_then(|info| info.retry_delay)
        && let Ok(seconds) = HeaderValue::from_str(&delay.as_millis().div_ceil(1_000).to_string())
    {
        headers.insert(header::RETRY_AFTER, seconds);
    }
    answer
}

fn detail(any: Any) -> Detail {
    let name = any.type_url.rsplit('/').next().unwrap_or_default().to_owned();
    Detail { debug: readable(&name, &any.value), value: STANDARD_NO_PAD.encode(&any.value), name }
}

fn readable(name: &str, bytes: &[u8]) -> Option<Value> {
    let message = DETAILS.as_ref()?.get_message_by_name(name)?;
    serde_json::to_value(DynamicMessage::decode(message, bytes).ok()?).ok()
}

fn http_status(code: Code) -> StatusCode {
    /// "Client closed request", which has no name in HTTP.
    const CANCELLED: u16 = 499;
    match code {
        Code::Cancelled => StatusCode::from_u16(CANCELLED).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
