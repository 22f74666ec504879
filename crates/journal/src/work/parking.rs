//! Work that its lane cannot take now waits in the broker, one subject for each destination.

use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use domain::{DestinationId, Work};
use futures::{StreamExt as _, TryStreamExt as _};
use runtime::trace::TraceContext;
use tokio::time::{Instant, timeout};
use wire::Record as _;

use crate::{
    ANSWER_DEADLINE, Feed, Journal, JournalError, Message, StreamName,
    connection::broker_info,
    consume::work_queue::{self, FeedSpec, Lifetime},
    publish::append::Outgoing,
    subjects,
};

/// How much of one lane's parked work may be handed out and not acknowledged.
const PARKED_IN_HAND: i64 = 256;
/// How long the consumer of a lane outlives its last reader.
const CONSUMER_LIFETIME: Duration = Duration::from_secs(60);

/// The parked work of one lane.
#[derive(Debug)]
pub struct ParkedLane {
    feed: Feed<Work>,
    consumer: Option<PullConsumer>,
}

impl Journal {
    /// Sets work aside for its lane. `instead_of` names the message that it takes the place of ([`Message::id`]), so that
    /// the same message, when it comes again, is set aside once. Work itself makes no name: it may be set aside again.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
    pub async fn park(&self, work: &Work, instead_of: String, trace: &TraceContext) -> Result<(), JournalError> {
        let subject = subjects::parked(&work.reference.destination);
        let outgoing = Outgoing { subject, id: Some(instead_of), trace: trace.clone(), body: work.encode() };
        self.store(outgoing, |batchers| &batchers.parked).await.map(drop)
    }

    /// The lanes that have parked work, and how much.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn parked(&self) -> Result<Vec<(DestinationId, u64)>, JournalError> {
        let asked = "list what is parked";
        let mut subjects = broker_info::subjects(self.context(), StreamName::Parked, subjects::PARKED, asked).await?;
        let mut lanes = vec![];
        while let Some((subject, count)) = subjects.try_next().await.map_err(|e| JournalError::unavailable(asked, e))? {
            lanes.extend(subjects::parked_for(&subject).map(|destination| (destination, count as u64)));
        }
        Ok(lanes)
    }

    /// The parked work of one lane, shared with every other process that takes from it.
    pub fn parked_lane(&self, destination: &DestinationId) -> ParkedLane {
        let spec = FeedSpec {
            stream: StreamName::Parked,
            name: format!("lane-{destination}"),
            filter: subjects::parked(destination),
            in_hand: PARKED_IN_HAND,
            fetch: work_queue::FETCH,
            lifetime: Lifetime::UnusedFor(CONSUMER_LIFETIME),
        };
        ParkedLane { feed: self.feed(spec), consumer: None }
    }
}

impl ParkedLane {
    /// Takes what is there now, at most `most`; each has to be acknowledged like the message of a feed. Empty: nothing
    /// is left that another process has not taken.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn take(&mut self, most: usize) -> Result<Vec<Message<Work>>, JournalError> {
        let consumer = match &self.consumer {
            Some(consumer) => consumer,
            None => self.consumer.insert(self.feed.consumer().await?),
        };
        // A batch that a lost connection has swallowed would be waited for without end.
        let taken = timeout(ANSWER_DEADLINE, Self::fetch(&self.feed, consumer, most)).await;
        let taken = taken.unwrap_or_else(|e| Err(JournalError::unavailable("hand out parked work", e)));
        if taken.is_err() {
            // It may have been removed for want of use; the next call makes it anew.
            self.consumer = None;
        }
        taken
    }

    async fn fetch(
        feed: &Feed<Work>,
        consumer: &PullConsumer,
        most: usize,
    ) -> Result<Vec<Message<Work>>, JournalError> {
        let (asked, began) = ("hand out parked work", Instant::now());
        feed.journal().memory().settled().await;
        let batch = consumer.fetch().max_messages(most).messages().await;
        let mut batch = batch.map_err(|e| JournalError::unavailable(asked, e))?;
        let mut taken = vec![];
        while let Some(raw) = batch.next().await {
            taken.extend(feed.read(raw.map_err(|e| JournalError::unavailable(asked, e))?).await);
        }
        taken.iter_mut().for_each(|message| message.lay_here_since(began));
        Ok(taken)
    }
}
