//! Timers: scheduled messages of the broker (NATS ADR-51), one for each round of a delivery.

use async_nats::{header, jetstream::message::PublishMessage};
use domain::{DeliveryId, DeliveryRef, DestinationId, Work};
use events::Record as _;
use jiff::Timestamp;
use runtime::trace::TraceContext;

use crate::{connection::broker_info, error::JournalError, handles::Timers, headers, streams::StreamName, subjects};

/// Marks the message that replaces a cancelled timer. Dispatchers skip it.
pub(crate) const CANCELLED: &str = "Leadline-Cancelled";
/// The value of `Nats-Schedule-Next` with which the broker deletes the schedule that a message names.
const PURGE: &str = "purge";
/// The maximum number of tries to set a timer while other processes change it.
const MAX_RACES: usize = 3;
const OPERATION: &str = "set a timer";

impl Timers<'_> {
    /// Delivers the work through [`Timers::work_queue`] at this time, or up to 250 ms later. The timer replaces
    /// the timer of the same round. A timer for a later attempt stays, because the attempt of this call was already
    /// made. A repeated call for the same attempt and time changes nothing, even if the timer has fired since.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time, or other processes keep setting
    /// timers.
    pub async fn schedule(self, work: &Work, at: Timestamp, trace: &TraceContext) -> Result<(), JournalError> {
        // Usually the round has no timer.
        let mut current = None;
        for _ in 0..MAX_RACES {
            match self.schedule_in_place_of(current, work, at, trace).await {
                Err(JournalError::LostRace) => {}
                scheduled => return scheduled,
            }
            current = match self.current(&work.reference, work.round).await? {
                Some((_, attempt)) if attempt > work.attempt => return Ok(()),
                current => current.map(|(sequence, _)| sequence),
            };
        }
        Err(JournalError::unavailable(OPERATION, "other processes set timers at the same time"))
    }

    /// Sets a timer if the current timer has this sequence.
    ///
    /// # Errors
    /// [`JournalError::LostRace`] if the current timer has another sequence.
    async fn schedule_in_place_of(
        self,
        current: Option<u64>,
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
            .expected_last_subject_sequence(current.unwrap_or(0))
            .message_id(format!("{delivery}/{round}/{}/{at}", work.attempt));
        self.journal.publish(subjects::timer(destination, delivery, round), message).await.map(drop)
    }

    /// The waiting timer of a round: its sequence and its attempt.
    async fn current(self, reference: &DeliveryRef, round: u32) -> Result<Option<(u64, u32)>, JournalError> {
        let subject = subjects::timer(&reference.destination, reference.delivery, round);
        let current = broker_info::last_on(self.journal.context(), StreamName::Timers, &subject, OPERATION).await?;
        // An unreadable timer may be replaced.
        Ok(current.map(|current| (current.sequence, Work::decode(current.payload).map_or(0, |work| work.attempt))))
    }

    /// Makes sure that a round of a delivery has no timer.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
    pub async fn cancel(
        self,
        destination: &DestinationId,
        delivery: DeliveryId,
        round: u32,
    ) -> Result<(), JournalError> {
        let message = PublishMessage::build()
            .header(CANCELLED, "1")
            .header(header::NATS_SCHEDULER, subjects::timer(destination, delivery, round).as_str())
            .header(header::NATS_SCHEDULE_NEXT, PURGE);
        self.journal.publish(subjects::due(destination, delivery, round), message).await.map(drop)
    }
}
