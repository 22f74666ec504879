//! Protobuf, and the only conversions between it and the domain.
//!
//! Facts are encoded and decoded through [`Record`]; nothing outside this crate sees their generated types. The types
//! of the API ([`api`]) are seen by the gRPC services alone, who use [`registry_api`], [`keys`], [`publish`] and [`status`] to turn them
//! into the domain's.

mod anonymisation;
mod delivery;
mod installation_key;
mod job;
pub mod keys;
pub mod known_events;
mod lead;
mod lead_watch;
mod notice;
mod position;
mod primitives;
pub mod publish;
mod registry;
pub mod registry_api;
pub mod shown;
pub mod status;
mod watched;

use bytes::Bytes;
pub use installation_key::InstallationKey;
pub use position::Position;
pub use primitives::{duration, duration_to_api, timestamp, timestamp_to_api};

/// The generated types of the stored facts.
#[allow(missing_docs, clippy::all, unreachable_pub)]
mod events {
    tonic::include_proto!("leadline.events.v1");
}

/// The generated types, clients and servers of the API.
#[allow(missing_docs, missing_debug_implementations, clippy::all, clippy::large_futures, unreachable_pub)]
pub mod api {
    tonic::include_proto!("leadline.v1");
}

/// The descriptors of everything in `proto/`, for reflection and for the rules of methods.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// Why stored bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
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
    fn decode(bytes: Bytes) -> Result<Self, WireError>;
}
