//! The first and the last sequence of a stream, its size, and the times of its messages.

use async_nats::jetstream::stream::RawMessageErrorKind;
use jiff::Timestamp;

use crate::{clock::timestamp, connection::broker_info, error::JournalError, handles::Stream, subjects};

/// The size of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSize {
    pub messages: u64,
    /// Bytes on disk, of one replica.
    pub bytes: u64,
    /// When the oldest message was stored; `None` if the stream is empty.
    pub oldest: Option<Timestamp>,
}

impl Stream<'_> {
    /// The sequence of the first message of a stream; if the stream is empty, that of the next message.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn first_sequence(self) -> Result<u64, JournalError> {
        let state =
            broker_info::state(self.journal.context(), self.name, "read the first sequence of a stream").await?;
        Ok(if state.messages == 0 { state.last_sequence + 1 } else { state.first_sequence })
    }

    /// When the oldest message of a stream was stored; `None` if the stream is empty.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn first_time(self) -> Result<Option<Timestamp>, JournalError> {
        Ok(self.size().await?.oldest)
    }

    /// # Errors
    /// When the broker does not answer.
    pub async fn size(self) -> Result<StreamSize, JournalError> {
        let state = broker_info::state(self.journal.context(), self.name, "read the size of a stream").await?;
        let oldest = (state.messages > 0).then(|| timestamp(state.first_timestamp.unix_timestamp_nanos()));
        Ok(StreamSize { messages: state.messages, bytes: state.bytes, oldest })
    }

    /// The sequence of the last message of a stream; 0 if the stream is empty.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn last_sequence(self) -> Result<u64, JournalError> {
        let state = broker_info::state(self.journal.context(), self.name, "read the last sequence of a stream").await?;
        // The broker reports a last sequence even if all messages have expired.
        if state.messages == 0 {
            return Ok(0);
        }
        if state.deleted_count.is_none_or(|deleted| deleted == 0) {
            return Ok(state.last_sequence);
        }
        // The last message may have been erased, and then no reader would ever reach its sequence.
        self.last_on(subjects::ANYTHING).await
    }

    /// When the first message after a sequence was stored; `None` if there is none.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn time_after(self, sequence: u64) -> Result<Option<Timestamp>, JournalError> {
        const OPERATION: &str = "read when a message was stored";
        let stream = broker_info::stream(self.journal.context(), self.name, OPERATION).await?;
        match stream.get_first_raw_message_by_subject(subjects::ANYTHING, sequence + 1).await {
            Ok(message) => Ok(Some(timestamp(message.time.unix_timestamp_nanos()))),
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(JournalError::unavailable(OPERATION, error)),
        }
    }

    /// The sequence of the last message of a stream on these subjects; 0 if there is none.
    pub(crate) async fn last_on(self, subjects: &str) -> Result<u64, JournalError> {
        let last =
            broker_info::last_on(self.journal.context(), self.name, subjects, "read the last sequence of a stream")
                .await?;
        Ok(last.map_or(0, |last| last.sequence))
    }
}
