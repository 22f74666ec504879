//! Parked work: work that its lane cannot take now waits in the broker, on one subject for each destination.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use domain::{DestinationId, Work};
use events::Record as _;
use futures::{StreamExt as _, TryStreamExt as _};
use runtime::trace::TraceContext;
use tokio::time::{Instant, timeout};

use crate::{
    clock::ANSWER_DEADLINE,
    connection::broker_info,
    consume::{
        ack_handle::Message,
        spec::{Lifetime, WorkQueueSpec},
        work_queue::WorkQueue,
    },
    consumers,
    error::JournalError,
    handles::Parking,
    publish::message::Outgoing,
    streams::StreamName,
    subjects,
};

/// The maximum number of unacknowledged parked messages of one lane.
const MAX_PARKED_ACK_PENDING: i64 = 256;
/// How long the broker keeps the consumer of a lane after its last read.
const CONSUMER_LIFETIME: Duration = Duration::from_secs(60);

/// The parked work of one lane.
#[derive(Debug)]
pub struct ParkedLane {
    queue: WorkQueue<Work>,
    consumer: Option<PullConsumer>,
}

impl Parking<'_> {
    /// Parks work for its lane. `instead_of` is the id of the message that carried the work ([`Message::id`]), so a
    /// redelivered message parks its work once. The id cannot depend on the work alone, because the work may be parked
    /// again later.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
    pub async fn park(self, work: &Work, instead_of: String, trace: &TraceContext) -> Result<(), JournalError> {
        let subject = subjects::parked(&work.reference.destination);
        let outgoing = Outgoing { subject, id: Some(instead_of), trace: trace.clone(), body: work.encode() };
        self.journal.store(outgoing, |batchers| &batchers.parked).await.map(drop)
    }

    /// The lanes that have parked work, with the number of messages.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn lanes(self) -> Result<Vec<(DestinationId, u64)>, JournalError> {
        let operation = "list parked work";
        let mut subjects =
            broker_info::subjects(self.journal.context(), StreamName::Parked, subjects::PARKED, operation).await?;
        let mut lanes = vec![];
        while let Some((subject, count)) =
            subjects.try_next().await.map_err(|e| JournalError::unavailable(operation, e))?
        {
            lanes.extend(subjects::parked_for(&subject).map(|destination| (destination, count as u64)));
        }
        Ok(lanes)
    }

    /// The parked work of one lane, which processes share.
    pub fn lane(self, destination: &DestinationId) -> ParkedLane {
        let spec = WorkQueueSpec {
            stream: StreamName::Parked,
            name: format!("lane-{destination}"),
            filter: subjects::parked(destination),
            max_ack_pending: MAX_PARKED_ACK_PENDING,
            fetch: consumers::MAX_FETCH,
            lifetime: Lifetime::UnusedFor(CONSUMER_LIFETIME),
        };
        ParkedLane { queue: self.journal.work_queue(spec), consumer: None }
    }
}

impl ParkedLane {
    /// Takes at most `max` parked messages; each has to be acknowledged. Empty if other processes have taken all of
    /// them.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn take(&mut self, max: usize) -> Result<Vec<Message<Work>>, JournalError> {
        let consumer = match &self.consumer {
            Some(consumer) => consumer,
            None => self.consumer.insert(self.queue.consumer().await?),
        };
        // Without a timeout, a batch that was lost with its connection would never end.
        let taken = timeout(ANSWER_DEADLINE, Self::fetch(&self.queue, consumer, max)).await;
        let taken = taken.unwrap_or_else(|e| Err(JournalError::unavailable("deliver parked work", e)));
        if taken.is_err() {
            // The broker may have removed the unused consumer; the next call creates it again.
            self.consumer = None;
        }
        taken
    }

    async fn fetch(
        queue: &WorkQueue<Work>,
        consumer: &PullConsumer,
        max: usize,
    ) -> Result<Vec<Message<Work>>, JournalError> {
        let (operation, began) = ("deliver parked work", Instant::now());
        queue.journal().restart_watermark().wait_until_known().await;
        let batch = consumer.fetch().max_messages(max).messages().await;
        let mut batch = batch.map_err(|e| JournalError::unavailable(operation, e))?;
        let mut taken = vec![];
        while let Some(raw) = batch.next().await {
            taken.extend(queue.read(raw.map_err(|e| JournalError::unavailable(operation, e))?).await);
        }
        taken.iter_mut().for_each(|message| message.mark_if_stale(began));
        Ok(taken)
    }
}
