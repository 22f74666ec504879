//! Pending work of deliveries: whether an event, a request, a timer or a parked message will continue a delivery.

use domain::{DestinationId, delivery::DeliveryRef};
use futures::TryStreamExt as _;
use jiff::Timestamp;

use crate::{
    clock::timestamp,
    connection::broker_info,
    consumers,
    error::JournalError,
    handles::{Parking, PendingWork, Timers},
    streams::StreamName,
    subjects,
};

const OPERATION: &str = "read the pending work of a delivery";
/// The maximum number of waiting deliveries that are counted. The broker lists each timer; a list of 100,000 takes some
/// megabytes.
const MAX_COUNTED: u64 = 100_000;

impl PendingWork<'_> {
    /// The time, by the broker's clock, before which all events and requests for attempts are acknowledged; the current
    /// time if all of them are.
    ///
    /// # Errors
    /// When the broker does not answer, or no dispatcher ever ran.
    pub async fn handled_before(self) -> Result<Timestamp, JournalError> {
        let mut handled_before = Timestamp::now();
        for consumer in [consumers::SENDER, consumers::ROUTER, consumers::BURST_ROUTER] {
            if let Some(first) = broker_info::first_unacknowledged(self.journal.context(), &consumer, OPERATION).await?
            {
                handled_before = handled_before.min(timestamp(first.time.unix_timestamp_nanos()));
            }
        }
        Ok(handled_before)
    }
}

impl Timers<'_> {
    /// Whether a round of a delivery has a waiting timer, or a fired timer that is not acknowledged.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn is_set(self, reference: &DeliveryRef, round: u32) -> Result<bool, JournalError> {
        let (destination, delivery) = (&reference.destination, reference.delivery);
        // The order matters, because a timer moves from the first subject to the second.
        for subject in [subjects::timer(destination, delivery, round), subjects::due(destination, delivery, round)] {
            if broker_info::last_on(self.journal.context(), StreamName::Timers, &subject, OPERATION).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl PendingWork<'_> {
    /// The number of deliveries to a destination that are parked or wait for their timer, counted up to 100,000.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn count(self, destination: &DestinationId) -> Result<u64, JournalError> {
        let places = [
            (StreamName::Parked, subjects::parked(destination)),
            (StreamName::Timers, subjects::timers_of(destination)),
        ];
        let mut waiting = 0;
        for (stream, matching) in places {
            let mut subjects = broker_info::subjects(self.journal.context(), stream, matching, OPERATION).await?;
            while waiting < MAX_COUNTED
                && let Some((_, count)) =
                    subjects.try_next().await.map_err(|e| JournalError::unavailable(OPERATION, e))?
            {
                waiting += count as u64;
            }
        }
        Ok(waiting.min(MAX_COUNTED))
    }
}

impl Parking<'_> {
    /// Whether a destination has parked work, including work that was taken and is not acknowledged.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn has(self, destination: &DestinationId) -> Result<bool, JournalError> {
        let mut subjects =
            broker_info::subjects(self.journal.context(), StreamName::Parked, subjects::parked(destination), OPERATION)
                .await?;
        Ok(subjects.try_next().await.map_err(|e| JournalError::unavailable(OPERATION, e))?.is_some())
    }
}
