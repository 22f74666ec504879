//! A message to publish, and the broker's acknowledgement of it.

use async_nats::jetstream::{
    ErrorCode,
    context::{PublishAckFuture, PublishError, PublishErrorKind},
    message::PublishMessage,
    publish::PublishAck,
};
use bytes::Bytes;
use runtime::{causes, trace::TraceContext};

use crate::{connection::storage_fault::StorageFault, error::JournalError, headers};

const OPERATION: &str = "store a fact";

/// The result of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The sequence of the fact; for a duplicate, that of the first append.
    pub sequence: u64,
    /// Whether the fact had been appended before.
    pub duplicate: bool,
}

/// A message to publish.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) subject: String,
    pub(crate) id: Option<String>,
    pub(crate) trace: TraceContext,
    pub(crate) body: Bytes,
}

impl Outgoing {
    pub(crate) fn message(&self) -> PublishMessage {
        let message = PublishMessage::build().payload(self.body.clone()).headers(headers::carrying(&self.trace));
        match &self.id {
            Some(id) => message.message_id(id),
            None => message,
        }
    }
}

pub(crate) async fn confirmed(sent: Result<PublishAckFuture, PublishError>) -> Result<PublishAck, JournalError> {
    let acknowledged = match sent {
        Ok(sent) => sent.await,
        Err(error) => Err(error),
    };
    acknowledged.map_err(|error| match error.kind() {
        PublishErrorKind::WrongLastSequence => JournalError::LostRace,
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe | PublishErrorKind::StreamNotFound => {
            JournalError::unavailable(OPERATION, error)
        }
        _ => match reached_limit(&error) {
            Some(fault) => JournalError::CannotStore(fault),
            None => JournalError::refused(OPERATION, error),
        },
    })
}

/// The limit that the stream, the account or the broker itself has reached, if the broker answers so.
fn reached_limit(error: &PublishError) -> Option<StorageFault> {
    let answer = causes(error).find_map(|cause| cause.downcast_ref::<async_nats::jetstream::Error>())?;
    let text = answer.to_string();
    match answer.error_code() {
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED => Some(StorageFault::LimitReached(text)),
        // The code of every failed write; only its text tells a limit of the stream from a broken disk.
        ErrorCode::STREAM_STORE_FAILED if text.contains("maximum") => Some(StorageFault::StreamFull(text)),
        _ => None,
    }
}

pub(crate) fn stopped() -> JournalError {
    JournalError::unavailable(OPERATION, "this process is stopping")
}

impl From<PublishAck> for Appended {
    fn from(ack: PublishAck) -> Self {
        Self { sequence: ack.sequence, duplicate: ack.duplicate }
    }
}
