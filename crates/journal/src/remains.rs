//! What the broker holds of a delivery that has not ended: whether anything is left that will make it go on.

use async_nats::jetstream::stream::{LastRawMessageErrorKind, RawMessageErrorKind, Stream};
use domain::{DestinationId, delivery::DeliveryRef};
use futures::TryStreamExt as _;
use jiff::Timestamp;

use crate::{
    Journal, JournalError, StreamName, Traffic,
    feed::{SENDER, router, timestamp},
    subjects,
};

const ASKED: &str = "tell what waits of a delivery";

impl Journal {
    /// The time before which all that asks for an attempt is acknowledged, by the broker's clock unless all of it is: facts,
    /// and events. Only what the consumers have acknowledged is believed: how much waits for them, a broker that has just
    /// become the leader may not know yet.
    ///
    /// # Errors
    /// When the broker does not answer, or there never was a dispatcher.
    pub async fn handled_before(&self) -> Result<Timestamp, JournalError> {
        let mut handled_before = Timestamp::now();
        let routers = [Traffic::Steady, Traffic::Burst]
            .map(|traffic| (StreamName::Leads, router(traffic), subjects::leads(traffic)));
        for (stream, consumer, subjects) in
            [(StreamName::Deliveries, SENDER, subjects::TODO)].into_iter().chain(routers)
        {
            let stream = self.stream(stream).await?;
            let info = stream.consumer_info(consumer).await.map_err(|e| JournalError::unavailable(ASKED, e))?;
            match stream.get_first_raw_message_by_subject(subjects, info.ack_floor.stream_sequence + 1).await {
                Ok(first) => handled_before = handled_before.min(timestamp(first.time.unix_timestamp_nanos())),
                Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => {}
                Err(error) => return Err(JournalError::unavailable(ASKED, error)),
            }
        }
        Ok(handled_before)
    }

    /// Whether this round of a delivery has a timer: one that waits, or has fired and is not acknowledged.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn has_timer(&self, reference: &DeliveryRef, round: u32) -> Result<bool, JournalError> {
        let (destination, delivery) = (&reference.destination, reference.delivery);
        let stream = self.stream(StreamName::Timers).await?;
        // In this order, because it moves from one to the other.
        for subject in [subjects::timer(destination, delivery, round), subjects::due(destination, delivery, round)] {
            match stream.get_last_raw_message_by_subject(&subject).await {
                Ok(_) => return Ok(true),
                Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {}
                Err(error) => return Err(JournalError::unavailable(ASKED, error)),
            }
        }
        Ok(false)
    }

    /// Whether something is parked for a destination, or was taken from there and is not acknowledged.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn has_parked(&self, destination: &DestinationId) -> Result<bool, JournalError> {
        let unavailable = |e| JournalError::unavailable(ASKED, e);
        let stream = self.stream(StreamName::Parked).await?;
        let mut subjects = stream.info_with_subjects(subjects::parked(destination)).await.map_err(unavailable)?;
        Ok(subjects.try_next().await.map_err(unavailable)?.is_some())
    }

    async fn stream(&self, name: StreamName) -> Result<Stream<()>, JournalError> {
        let stream = self.context().get_stream_no_info(name.as_str()).await;
        stream.map_err(|e| JournalError::unavailable(ASKED, e))
    }
}
