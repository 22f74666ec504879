//! Retries that wait for their time: scheduled messages of the broker (NATS ADR-51), one for each round of a delivery.

use async_nats::{header, jetstream::message::PublishMessage};
use domain::{DeliveryId, DestinationId, Work};
use jiff::Timestamp;
use runtime::trace::TraceContext;
use wire::Record as _;

use crate::{Journal, JournalError, append::confirmed, headers, subjects};

/// A fired timer that carries this header asks for nothing: it took the place of one that was cancelled.
pub(crate) const CANCELLED: &str = "Leadline-Cancelled";
/// What the broker is told to do with a schedule once a message was published in its place.
const PURGE: &str = "purge";

impl Journal {
    /// Has the work come back through [`Journal::due_feed`] at a time (0 to 250 ms later, never earlier), in place of
    /// any other timer of the same round of the delivery.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
    pub async fn schedule(&self, work: &Work, at: Timestamp, trace: &TraceContext) -> Result<(), JournalError> {
        let (destination, delivery, round) = (&work.reference.destination, work.reference.delivery, work.round);
        let message = PublishMessage::build()
            .payload(work.encode())
            .headers(headers::carrying(trace))
            .header(header::NATS_SCHEDULE, format!("@at {at}").as_str())
            .header(header::NATS_SCHEDULE_TARGET, subjects::due(destination, delivery, round).as_str());
        let sent = self.context().send_publish(subjects::timer(destination, delivery, round), message).await;
        confirmed(sent).await.map(drop)
    }

    /// Makes sure that no timer of this round of the delivery is left.
    ///
    /// # Errors
    /// As [`Journal::schedule`].
    pub async fn cancel_timer(
        &self,
        destination: &DestinationId,
        delivery: DeliveryId,
        round: u32,
    ) -> Result<(), JournalError> {
        let message = PublishMessage::build()
            .header(CANCELLED, "1")
            .header(header::NATS_SCHEDULER, subjects::timer(destination, delivery, round).as_str())
            .header(header::NATS_SCHEDULE_NEXT, PURGE);
        let sent = self.context().send_publish(subjects::due(destination, delivery, round), message).await;
        confirmed(sent).await.map(drop)
    }
}
