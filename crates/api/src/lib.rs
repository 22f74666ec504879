//! The API: its generated types, clients and servers, and the conversions between them and the domain.
//!
//! [`registry`], [`keys`], [`publish`], [`deliveries`], [`jobs`] and [`lanes`] convert. [`request`] reads the fields of
//! requests and collects the wrong ones. [`status`] turns refusals into gRPC statuses. [`fields`] lists the set fields
//! of a message.

pub mod deliveries;
pub mod fields;
pub mod jobs;
pub mod keys;
pub mod lanes;
#[cfg(test)]
mod lint;
mod primitives;
pub mod publish;
pub mod registry;
pub mod request;
pub mod status;
mod words;

pub use generated::*;
pub use primitives::{duration, duration_to_api, timestamp, timestamp_to_api};

#[allow(missing_docs, missing_debug_implementations, clippy::all, clippy::large_futures, unreachable_pub)]
mod generated {
    tonic::include_proto!("leadline.v1");
}

/// The descriptors of the API, for reflection and the rules of methods.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
