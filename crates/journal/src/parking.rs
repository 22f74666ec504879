//! Work that its lane cannot take now waits in the broker, one subject for each destination.

use std::time::Duration;

use domain::{DestinationId, Work};
use futures::TryStreamExt as _;
use runtime::trace::TraceContext;
use wire::Record as _;

use crate::{
    Feed, Journal, JournalError, StreamName,
    append::Outgoing,
    feed::{FeedSpec, Lifetime},
    subjects,
};

/// How much of one lane's parked work may be handed out and not acknowledged.
const PARKED_IN_HAND: i64 = 256;
/// How long the consumer of a lane outlives its last reader.
const CONSUMER_LIFETIME: Duration = Duration::from_secs(60);

impl Journal {
    /// Sets work aside for its lane.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the broker does not acknowledge it in time.
    pub async fn park(&self, work: &Work, trace: &TraceContext) -> Result<(), JournalError> {
        let subject = subjects::parked(&work.reference.destination);
        self.send(&Outgoing { subject, id: None, trace: trace.clone(), body: work.encode() }).await.map(drop)
    }

    /// The lanes that have parked work, and how much.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn parked(&self) -> Result<Vec<(DestinationId, u64)>, JournalError> {
        let unavailable = |e| JournalError::unavailable("list what is parked", e);
        let stream = self.context().get_stream_no_info(StreamName::Parked.as_str()).await;
        let stream = stream.map_err(|e| JournalError::unavailable("list what is parked", e))?;
        let mut subjects = stream.info_with_subjects(subjects::PARKED).await.map_err(unavailable)?;
        let mut lanes = vec![];
        while let Some((subject, count)) = subjects.try_next().await.map_err(unavailable)? {
            lanes.extend(subjects::parked_for(&subject).map(|destination| (destination, count as u64)));
        }
        Ok(lanes)
    }

    /// The parked work of one lane, shared with every other process that drains it.
    pub fn parked_feed(&self, destination: &DestinationId) -> Feed<Work> {
        self.feed(FeedSpec {
            stream: StreamName::Parked,
            name: format!("lane-{destination}"),
            filter: subjects::parked(destination),
            in_hand: PARKED_IN_HAND,
            lifetime: Lifetime::UnusedFor(CONSUMER_LIFETIME),
        })
    }
}
