//! The trait of values that can be stored, and the error for unreadable bytes.

use bytes::Bytes;

/// Why stored bytes are unreadable.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The bytes are not a protobuf message.
    #[error("unreadable {record}")]
    Encoding {
        record: &'static str,
        #[source]
        source: prost::DecodeError,
    },
    /// A field of the message is missing or invalid, or has a value that this version of Leadline does not know.
    #[error("{record} with an invalid field {field}: {problem}")]
    Field { record: &'static str, field: &'static str, problem: String },
}

/// A value that can be stored.
pub trait Record: Sized + Send + Sync + 'static {
    /// Its name in errors.
    const NAME: &'static str;

    fn encode(&self) -> Bytes;

    /// Decodes a stored value.
    ///
    /// # Errors
    /// If the bytes were not written by [`Record::encode`] of this or an earlier version.
    fn decode(bytes: Bytes) -> Result<Self, RecordError>;
}
