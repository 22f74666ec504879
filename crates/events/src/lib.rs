//! Stored facts in protobuf, and the only conversions between them and the domain.
//!
//! [`Record`] encodes and decodes a fact; the generated types stay inside this crate.

mod anonymisation;
mod delivery;
mod destination_state;
mod exchange;
mod installation_key;
mod interface_state;
mod job;
mod keys;
pub mod known_events;
pub mod lane_report;
mod lead;
mod notice;
mod position;
mod primitives;
mod registry;
mod window;

use bytes::Bytes;
pub use exchange::{decode_exchange, encode_exchange};
pub use installation_key::InstallationKey;
pub use position::ReaderPosition;

#[allow(missing_docs, clippy::all, unreachable_pub)]
mod stored {
    include!(concat!(env!("OUT_DIR"), "/leadline.events.v1.rs"));
}

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
    /// A field of the message has a value that this version of Leadline does not know.
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
