//! Reads the message ids of the lead events in a range of LEADS, without their payloads.

use std::{ops::RangeInclusive, time::Duration};

use async_nats::{
    header,
    jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
};

use crate::{
    clock::ANSWER_DEADLINE,
    connection::broker_info,
    consume::range::{answered, fetch},
    error::JournalError,
    handles::Leads,
    streams::StreamName,
};

const OPERATION: &str = "read the ids of lead events";
/// How many messages one pull requests.
const MAX_FETCH: usize = 2_000;

/// Where LEADS begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeadsBounds {
    /// The sequence of its first message; the next sequence if LEADS is empty.
    pub first: u64,
    /// The sequence of the last message that was ever stored; the message may be gone.
    pub last: u64,
    /// How long the broker remembers its message ids.
    pub dedup_window: Duration,
}

/// Why a range was not read.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Events of the range were erased or have expired.
    #[error("LEADS does not hold all events of the range")]
    Gone,
}

impl Leads<'_> {
    /// # Errors
    /// When the broker does not answer.
    pub async fn bounds(self) -> Result<LeadsBounds, JournalError> {
        let info = broker_info::info(self.journal.context(), StreamName::Leads, OPERATION).await?;
        let (state, dedup_window) = (info.state, info.config.duplicate_window);
        let first = if state.messages == 0 { state.last_sequence + 1 } else { state.first_sequence };
        Ok(LeadsBounds { first, last: state.last_sequence, dedup_window })
    }

    /// Calls `each` with the message id (`LeadEvent::message_id`) of every event of a range of LEADS.
    ///
    /// # Errors
    /// When the broker does not answer, or LEADS does not hold all events of the range.
    pub async fn event_ids(self, range: RangeInclusive<u64>, mut each: impl FnMut(&str)) -> Result<(), RangeError> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: *range.start() },
            ack_policy: AckPolicy::None,
            headers_only: true,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: ANSWER_DEADLINE,
            ..pull::Config::default()
        };
        let consumer = self.journal.context().create_consumer_on_stream(config, StreamName::Leads.as_str()).await;
        let consumer: PullConsumer = consumer.map_err(|error| JournalError::unavailable(OPERATION, error))?;
        let mut next = *range.start();
        while next <= *range.end() {
            let wanted = usize::try_from(range.end() - next + 1).unwrap_or(MAX_FETCH).min(MAX_FETCH);
            let batch = answered(fetch(&consumer, wanted)).await?;
            if batch.is_empty() {
                return Err(RangeError::Gone);
            }
            for message in batch {
                let info = message.info().map_err(|error| JournalError::unavailable(OPERATION, error))?;
                if info.stream_sequence != next {
                    return Err(RangeError::Gone);
                }
                let id = message.headers.as_ref().and_then(|headers| headers.get(header::NATS_MESSAGE_ID));
                each(id.ok_or(RangeError::Gone)?.as_str());
                next += 1;
            }
        }
        Ok(())
    }
}
