//! Deliveries that have not ended, of destinations that keep the order of each lead's events: one queue for each lead at
//! each destination. The first one of a queue has its turn; it leaves the queue when it has ended.
//!
//! What asks for the first one is never a replica, which may be behind: of two who change a queue at the same time, at
//! least one sees what it has become.

use async_nats::jetstream::{
    ErrorCode,
    message::{PublishMessage, StreamMessage},
    response::Response,
};
use domain::{DeliveryFact, DestinationId, LeadId};
use jiff::Timestamp;
use runtime::trace::TraceContext;
use serde::{Serialize, de::IgnoredAny};
use wire::Record as _;

use crate::{
    Journal, JournalError, StreamName, connection::broker_info, consume::work_queue::timestamp, headers, subjects,
};

const ASKED: &str = "tell whose turn it is";

/// The delivery whose turn it is.
#[derive(Debug)]
pub struct Turn {
    /// Its request.
    pub requested: DeliveryFact,
    /// The trace that it belongs to.
    pub trace: TraceContext,
    /// When the broker took it.
    pub queued_at: Timestamp,
    /// Its place in the queue.
    pub sequence: u64,
}

impl Journal {
    /// Puts a delivery at the end of its queue.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
    pub async fn queue_turn(&self, requested: &DeliveryFact, trace: &TraceContext) -> Result<(), JournalError> {
        let reference = requested.reference();
        let message = PublishMessage::build()
            .payload(requested.encode())
            .headers(headers::carrying(trace))
            .message_id(requested.message_id());
        let subject = subjects::ordered(&reference.destination, &reference.lead);
        self.confirm(self.context().send_publish(subject, message).await).await.map(drop)
    }

    /// The first delivery in a queue; none: the queue is empty.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn turn(&self, destination: &DestinationId, lead: &LeadId) -> Result<Option<Turn>, JournalError> {
        let subject = subjects::ordered(destination, lead);
        loop {
            let first = broker_info::first_on(self.context(), StreamName::Ordered, &subject, 1, ASKED).await?;
            let Some(first) = first else { return Ok(None) };
            match DeliveryFact::decode(first.payload.clone()) {
                Ok(requested) => return Ok(Some(turn(requested, &first))),
                Err(error) => {
                    self.set_aside(StreamName::Ordered, "turns", first.sequence, first.payload, &error).await?;
                    self.remove_turn(first.sequence).await?;
                }
            }
        }
    }

    /// Takes a delivery out of its queue because it has ended.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn end_turn(&self, turn: &Turn) -> Result<(), JournalError> {
        self.remove_turn(turn.sequence).await
    }

    async fn remove_turn(&self, sequence: u64) -> Result<(), JournalError> {
        let asked = "take a delivery out of its queue";
        let subject = format!("STREAM.MSG.DELETE.{}", StreamName::Ordered.as_str());
        let removal = Removal { seq: sequence, no_erase: true };
        let answer: Result<Response<IgnoredAny>, _> = self.context().request(subject, &removal).await;
        match answer.map_err(|e| JournalError::unavailable(asked, e))? {
            Response::Ok(_) => Ok(()),
            // Somebody did so already; if not, whoever reads the queue again finds it there.
            Response::Err { error } if is_gone(&error) => Ok(()),
            Response::Err { error } => Err(JournalError::unavailable(asked, error)),
        }
    }
}

fn turn(requested: DeliveryFact, message: &StreamMessage) -> Turn {
    let trace = headers::carried_by(Some(&message.headers));
    let queued_at = timestamp(message.time.unix_timestamp_nanos());
    Turn { requested, trace, queued_at, sequence: message.sequence }
}

/// What the broker is asked to remove. To overwrite it would rewrite a whole file of the stream each time, and it holds
/// nothing of the lead's payload.
#[derive(Serialize)]
struct Removal {
    seq: u64,
    no_erase: bool,
}

fn is_gone(error: &async_nats::jetstream::Error) -> bool {
    matches!(error.error_code(), ErrorCode::SEQUENCE_NOT_FOUND | ErrorCode::STREAM_MESSAGE_DELETE_FAILED)
}
