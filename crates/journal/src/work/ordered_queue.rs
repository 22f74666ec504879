//! Ordered queues: the unfinished deliveries of one lead at one ordered destination. Only the first delivery of a queue
//! is attempted. It leaves the queue when it has ended.
//!
//! The first delivery is read from the leader of the stream, because a replica may be behind. So if two processes
//! change a queue at the same time, at least one of them sees the result.

use async_nats::jetstream::{
    ErrorCode,
    message::{PublishMessage, StreamMessage},
    response::Response,
};
use domain::{DeliveryFact, DestinationId, LeadId};
use events::Record as _;
use jiff::Timestamp;
use runtime::trace::TraceContext;
use serde::{Serialize, de::IgnoredAny};

use crate::{
    clock::timestamp, connection::broker_info, error::JournalError, handles::Ordered, headers, streams::StreamName,
    subjects,
};

const OPERATION: &str = "read the first delivery of a queue";

/// The first delivery of an ordered queue.
#[derive(Debug)]
pub struct QueuedDelivery {
    pub requested: DeliveryFact,
    pub trace: TraceContext,
    /// When the broker stored it.
    pub queued_at: Timestamp,
    /// The sequence in ORDERED.
    pub sequence: u64,
}

impl Ordered<'_> {
    /// Appends a delivery to its queue.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
    pub async fn enqueue(self, requested: &DeliveryFact, trace: &TraceContext) -> Result<(), JournalError> {
        let reference = requested.reference();
        let message = PublishMessage::build()
            .payload(requested.encode())
            .headers(headers::carrying(trace))
            .message_id(requested.message_id());
        let subject = subjects::ordered(&reference.destination, &reference.lead);
        self.journal.publish(subject, message).await.map(drop)
    }

    /// The first delivery of a queue; `None` if the queue is empty.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn first(
        self,
        destination: &DestinationId,
        lead: &LeadId,
    ) -> Result<Option<QueuedDelivery>, JournalError> {
        let subject = subjects::ordered(destination, lead);
        loop {
            let first =
                broker_info::first_on(self.journal.context(), StreamName::Ordered, &subject, 1, OPERATION).await?;
            let Some(first) = first else { return Ok(None) };
            match DeliveryFact::decode(first.payload.clone()) {
                Ok(requested) => return Ok(Some(queued(requested, &first))),
                Err(error) => {
                    self.journal
                        .quarantine()
                        .add(StreamName::Ordered, "turns", first.sequence, first.payload, &error)
                        .await?;
                    self.remove_message(first.sequence).await?;
                }
            }
        }
    }

    /// Removes a delivery from its queue because it has ended.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn remove(self, queued: &QueuedDelivery) -> Result<(), JournalError> {
        self.remove_message(queued.sequence).await
    }

    async fn remove_message(self, sequence: u64) -> Result<(), JournalError> {
        let operation = "remove a delivery from its queue";
        let subject = format!("STREAM.MSG.DELETE.{}", StreamName::Ordered.as_str());
        let removal = Removal { seq: sequence, no_erase: true };
        let answer: Result<Response<IgnoredAny>, _> = self.journal.context().request(subject, &removal).await;
        match answer.map_err(|e| JournalError::unavailable(operation, e))? {
            Response::Ok(_) => Ok(()),
            // Usually another process has removed the message. If the message is still there, the next reader of the
            // queue finds it.
            Response::Err { error } if is_gone(&error) => Ok(()),
            Response::Err { error } => Err(JournalError::unavailable(operation, error)),
        }
    }
}

fn queued(requested: DeliveryFact, message: &StreamMessage) -> QueuedDelivery {
    let trace = headers::carried_by(Some(&message.headers));
    let queued_at = timestamp(message.time.unix_timestamp_nanos());
    QueuedDelivery { requested, trace, queued_at, sequence: message.sequence }
}

/// A request to remove a message without overwriting it. Overwriting would rewrite a whole file of the stream each
/// time, and the message holds nothing of the lead's payload.
#[derive(Serialize)]
struct Removal {
    seq: u64,
    no_erase: bool,
}

fn is_gone(error: &async_nats::jetstream::Error) -> bool {
    matches!(error.error_code(), ErrorCode::SEQUENCE_NOT_FOUND | ErrorCode::STREAM_MESSAGE_DELETE_FAILED)
}
