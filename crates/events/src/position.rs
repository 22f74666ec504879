//! The stored position of a stream reader.

use bytes::Bytes;
use prost::Message as _;
use uuid::Uuid;

use crate::{
    primitives::{message, uuid},
    record::{Record, RecordError},
    stored,
};

/// The position of a reader that reads a stream in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderPosition {
    /// The process that reads; `None` if the last one stopped cleanly.
    pub reader: Option<Uuid>,
    /// The last sequence that was worked on; 0 if there is none.
    pub sequence: u64,
}

impl Record for ReaderPosition {
    const NAME: &'static str = "position";

    fn encode(&self) -> Bytes {
        let reader = self.reader.map(|reader| reader.as_bytes().to_vec()).unwrap_or_default();
        stored::Position { reader, sequence: self.sequence }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let stored: stored::Position = message(Self::NAME, bytes)?;
        let reader = (!stored.reader.is_empty()).then(|| uuid(Self::NAME, "reader", &stored.reader)).transpose()?;
        Ok(Self { reader, sequence: stored.sequence })
    }
}
