//! The parameters of a Connect request: codec, compression, deadline, and the query of GET.

use std::{io::Read as _, time::Duration};

use api::status::invalid;
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::Bytes;
use domain::text::quoted;
use flate2::read::MultiGzDecoder;
use http::{HeaderMap, HeaderName};
use prost_reflect::MessageDescriptor;
use serde::Deserialize;
use tonic::Status;

use crate::{
    call::{MAX_MESSAGE, too_large},
    json,
};

/// The compression of the messages of a stream.
const OF_STREAM: HeaderName = HeaderName::from_static("connect-content-encoding");
const TIMEOUT: &str = "connect-timeout-ms";
/// The maximum number of digits of a timeout, by the protocol.
const MAX_TIMEOUT_DIGITS: usize = 10;
const VERSION: &str = "connect-protocol-version";
/// Base64 of URLs, with or without padding.
const OF_URLS: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Json,
    Protobuf,
}

impl Codec {
    pub(super) fn to_protobuf(self, bytes: Bytes, message: MessageDescriptor) -> Result<Bytes, Status> {
        match self {
            Self::Json => json::to_protobuf(&bytes, message),
            Self::Protobuf => Ok(bytes),
        }
    }

    pub(super) fn of_protobuf(self, bytes: Bytes, message: MessageDescriptor) -> Result<Bytes, Status> {
        match self {
            Self::Json => json::from_protobuf(bytes, message).map(Bytes::from),
            Self::Protobuf => Ok(bytes),
        }
    }

    pub(super) const fn of_unary(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/proto",
        }
    }

    pub(super) const fn of_stream(self) -> &'static str {
        match self {
            Self::Json => "application/connect+json",
            Self::Protobuf => "application/connect+proto",
        }
    }
}

/// How messages are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
}

impl Encoding {
    /// The encoding that a header names.
    pub(super) fn of(headers: &HeaderMap, name: &HeaderName) -> Result<Self, Status> {
        match headers.get(name).map(|value| value.to_str().unwrap_or("?")) {
            None => Ok(Self::Plain),
            Some(named) => Self::named(name.as_str(), named),
        }
    }

    pub(super) fn of_stream(headers: &HeaderMap) -> Result<Self, Status> {
        Self::of(headers, &OF_STREAM)
    }

    fn named(field: &str, name: &str) -> Result<Self, Status> {
        match name {
            "" | "identity" => Ok(Self::Plain),
            "gzip" => Ok(Self::Gzip),
            other => {
                let message = format!("{field}: {} is not accepted; send messages plain or with gzip", quoted(other));
                Err(Status::unimplemented(message))
            }
        }
    }

    /// Decompresses a message to at most `max` bytes. Decompression of a larger message stops one byte after the limit.
    pub(super) fn decode(self, bytes: Bytes, max: usize) -> Result<Bytes, Status> {
        if self == Self::Plain {
            return Ok(bytes);
        }
        let mut plain = vec![];
        let read = MultiGzDecoder::new(&bytes[..]).take(max as u64 + 1).read_to_end(&mut plain);
        if plain.len() > max {
            return Err(too_large(max));
        }
        read.map_err(|_| invalid("body", "is not gzip, although its headers name gzip"))?;
        Ok(plain.into())
    }
}

/// How long the call may take; `None` if the caller sets no limit. Also refuses unknown versions of the protocol.
pub(super) fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    if let Some(version) = headers.get(VERSION)
        && version != "1"
    {
        return Err(invalid(VERSION, "is not 1"));
    }
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let wrong = || invalid(TIMEOUT, format!("is not a number of milliseconds of at most {MAX_TIMEOUT_DIGITS} digits"));
    let digits = value.to_str().map_err(|_| wrong())?;
    if digits.len() > MAX_TIMEOUT_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    digits.parse().map(Duration::from_millis).map(Some).map_err(|_| wrong())
}

#[derive(Deserialize)]
struct Query {
    #[serde(default)]
    message: String,
    #[serde(default)]
    encoding: String,
    #[serde(default)]
    base64: String,
    #[serde(default)]
    compression: String,
    #[serde(default)]
    connect: String,
}

/// The message in the query of a GET request.
pub(super) fn query(text: &str) -> Result<(Codec, Bytes), Status> {
    let query: Query = serde_urlencoded::from_str(text).map_err(|_| invalid("query", "is not the query of a URL"))?;
    if !matches!(query.connect.as_str(), "" | "v1") {
        return Err(invalid("connect", format!("{} is not v1", quoted(&query.connect))));
    }
    let codec = match query.encoding.as_str() {
        "json" | "" => Codec::Json,
        "proto" => Codec::Protobuf,
        other => return Err(invalid("encoding", format!("{} is neither json nor proto", quoted(other)))),
    };
    let bytes = match query.base64.as_str() {
        "1" => OF_URLS.decode(&query.message).map_err(|_| invalid("message", "is not base64 for URLs"))?,
        "" | "0" => query.message.into_bytes(),
        other => return Err(invalid("base64", format!("{} is neither 0 nor 1", quoted(other)))),
    };
    let encoding = Encoding::named("compression", &query.compression)?;
    Ok((codec, encoding.decode(bytes.into(), MAX_MESSAGE)?))
}
