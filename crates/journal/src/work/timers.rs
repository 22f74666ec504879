//! Retries that wait for their time: scheduled messages of the broker (NATS ADR-51), one for each round of a delivery.

use async_nats::{header, jetstream::message::PublishMessage};
use domain::{DeliveryId, DeliveryRef, DestinationId, Work};
use jiff::Timestamp;
use runtime::trace::TraceContext;
use wire::Record as _;

use crate::{Journal, JournalError, StreamName, connection::broker_info, headers, subjects};

/// A fired timer that carries this header asks for nothing: it took the place of one that was cancelled.
pub(crate) const CANCELLED: &str = "Leadline-Cancelled";
/// What the broker is told to do with a schedule once a message was published in its place.
const PURGE: &str = "purge";
/// How often it is looked again which timer there is.
const MOST_RACES: usize = 3;
const ASKED: &str = "set a timer";

impl Journal {
    /// Has the work come back through [`Journal::due_feed`] at a time (0 to 250 ms later, never earlier), in place of
    /// any other timer of the same round of the delivery, unless that is for a later attempt: who asks for an earlier one
    /// does not know yet that it was made. Asked again for the same attempt at the same time it changes nothing, even if it
    /// has fired since.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time, or others set timers all the time.
    pub async fn schedule(&self, work: &Work, at: Timestamp, trace: &TraceContext) -> Result<(), JournalError> {
        // Usually there is none.
        let mut there = None;
        for _ in 0..MOST_RACES {
            match self.schedule_in_place_of(there, work, at, trace).await {
                Err(JournalError::LostRace) => {}
                scheduled => return scheduled,
            }
            there = match self.scheduled(&work.reference, work.round).await? {
                Some((_, attempt)) if attempt > work.attempt => return Ok(()),
                there => there.map(|(sequence, _)| sequence),
            };
        }
        Err(JournalError::unavailable(ASKED, "another one was set at the same time"))
    }

    /// Sets a timer if the one that is there has this sequence.
    ///
    /// # Errors
    /// [`JournalError::LostRace`] if it has another one.
    async fn schedule_in_place_of(
        &self,
        there: Option<u64>,
        work: &Work,
        at: Timestamp,
        trace: &TraceContext,
    ) -> Result<(), JournalError> {
        let (destination, delivery, round) = (&work.reference.destination, work.reference.delivery, work.round);
        let message = PublishMessage::build()
            .payload(work.encode())
            .headers(headers::carrying(trace))
            .header(header::NATS_SCHEDULE, format!("@at {at}").as_str())
            .header(header::NATS_SCHEDULE_TARGET, subjects::due(destination, delivery, round).as_str())
            .expected_last_subject_sequence(there.unwrap_or(0))
            .message_id(format!("{delivery}/{round}/{}/{at}", work.attempt));
        let sent = self.context().send_publish(subjects::timer(destination, delivery, round), message).await;
        self.confirm(sent).await.map(drop)
    }

    /// The timer of this round of a delivery that waits: its sequence, and for which attempt.
    async fn scheduled(&self, reference: &DeliveryRef, round: u32) -> Result<Option<(u64, u32)>, JournalError> {
        let subject = subjects::timer(&reference.destination, reference.delivery, round);
        let there = broker_info::last_on(self.context(), StreamName::Timers, &subject, ASKED).await?;
        // What cannot be read is worth nothing.
        Ok(there.map(|there| (there.sequence, Work::decode(there.payload).map_or(0, |work| work.attempt))))
    }

    /// Makes sure that no timer of this round of the delivery is left.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
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
        self.confirm(sent).await.map(drop)
    }
}
