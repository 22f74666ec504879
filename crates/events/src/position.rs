//! How far a reader has come, as it is stored.

use bytes::Bytes;
use prost::Message as _;
use uuid::Uuid;

use crate::{
    Record, RecordError,
    primitives::{message, uuid},
    stored,
};

/// How far a reader has come that reads a stream in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which process reads; none: the last one has stopped in good order.
    pub reader: Option<Uuid>,
    /// The last sequence that is dealt with; 0: none.
    pub sequence: u64,
}

impl Record for Position {
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
