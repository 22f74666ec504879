//! Stored facts: protobuf, and the only conversions between it and the domain.
//!
//! [`Record`] encodes and decodes a fact; nothing outside this crate sees the generated types.

mod anonymisation;
mod delivery;
mod installation_key;
mod job;
mod keys;
pub mod known_events;
mod lead;
mod lead_watch;
mod notice;
mod position;
mod primitives;
mod registry;
mod watched;

use bytes::Bytes;
pub use installation_key::InstallationKey;
pub use position::Position;

/// The generated types.
#[allow(missing_docs, clippy::all, unreachable_pub)]
mod stored {
    include!(concat!(env!("OUT_DIR"), "/leadline.events.v1.rs"));
}

/// Why stored bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// They are no protobuf message of this type.
    #[error("not a {record}")]
    Encoding {
        /// What they should be.
        record: &'static str,
        /// What the decoder says.
        #[source]
        source: prost::DecodeError,
    },
    /// They are one, but with a field that no version of Leadline writes.
    #[error("a {record} with the field {field}: {problem}")]
    Field {
        /// What they are.
        record: &'static str,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

/// A value of the domain that is stored.
pub trait Record: Sized + Send + Sync + 'static {
    /// What it is called in errors.
    const NAME: &'static str;

    /// The bytes to store.
    fn encode(&self) -> Bytes;

    /// The value that was stored.
    ///
    /// # Errors
    /// When the bytes were not written by [`Record::encode`] of this or an earlier version.
    fn decode(bytes: Bytes) -> Result<Self, RecordError>;
}
