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
mod record;
mod registry;
mod window;

pub use exchange::{decode_exchange, encode_exchange};
pub use installation_key::InstallationKey;
pub use position::ReaderPosition;
pub use record::{Record, RecordError};

#[allow(missing_docs, clippy::all, unreachable_pub)]
mod stored;
