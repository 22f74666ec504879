//! Bounded reads of a stream: pages of lead events, and what other bounded reads share.

use async_nats::{
    datetime,
    jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
};
use domain::{AccountId, LeadEvent, LeadSequence};
use events::Record as _;
use futures::StreamExt as _;
use jiff::Timestamp;
use runtime::ErrorChain as _;
use tokio::time::timeout;

use crate::{
    clock::{ANSWER_DEADLINE, timestamp},
    connection::connect::Journal,
    consume::reader::Entry,
    error::JournalError,
    handles::Leads,
    headers,
    streams::{StreamFact as _, StreamName},
    subjects,
};

const OPERATION: &str = "read a range of a stream";

/// Where a range of events begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadsFrom {
    /// At the first event that the broker stored at this time or later.
    Time(Timestamp),
    /// After this sequence of LEADS.
    After(LeadSequence),
}

impl Leads<'_> {
    /// The next events, at most `max`: those of `account`, or of all accounts if it is `None`. Empty if there are no
    /// more now.
    ///
    /// # Errors
    /// When the broker does not answer, or a message is missing.
    pub async fn page(
        self,
        account: Option<&AccountId>,
        from: LeadsFrom,
        max: usize,
    ) -> Result<Vec<Entry<LeadEvent>>, JournalError> {
        let start = match from {
            LeadsFrom::Time(since) => {
                let start_time = datetime::from_nanos(since.as_nanosecond()).map_err(unavailable)?;
                DeliverPolicy::ByStartTime { start_time }
            }
            LeadsFrom::After(LeadSequence(sequence)) => DeliverPolicy::ByStartSequence { start_sequence: sequence + 1 },
        };
        let consumer = self.journal.reader(LeadEvent::STREAM, subjects::leads_of(account), start).await?;
        let page = answered(fetch(&consumer, max)).await?;
        (1_u64..).zip(page).map(|(number, raw)| entry(&raw, number)).collect()
    }
}

impl Journal {
    /// An ephemeral consumer, which the broker deletes soon after its last use.
    pub(crate) async fn reader(
        &self,
        stream: StreamName,
        filter_subject: String,
        deliver_policy: DeliverPolicy,
    ) -> Result<PullConsumer, JournalError> {
        let config = pull::Config {
            filter_subject,
            deliver_policy,
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: ANSWER_DEADLINE,
            ..pull::Config::default()
        };
        let consumer = self.context().create_consumer_on_stream(config, stream.as_str()).await;
        consumer.map_err(|e| JournalError::unavailable(OPERATION, e))
    }
}

fn unavailable(error: impl Into<async_nats::Error>) -> JournalError {
    JournalError::unavailable(OPERATION, error)
}

/// Decodes a message. Its consumer sequence has to be `number`; otherwise a message before it is missing.
fn entry(raw: &async_nats::jetstream::Message, number: u64) -> Result<Entry<LeadEvent>, JournalError> {
    let info = raw.info().map_err(unavailable)?;
    if info.consumer_sequence != number {
        return Err(unavailable("a message is missing"));
    }
    let value = LeadEvent::decode(raw.payload.clone());
    if let Err(error) = &value {
        tracing::error!(sequence = info.stream_sequence, error = error.chain(), "cannot read lead event; skipping it");
    }
    Ok(Entry {
        value: value.ok(),
        sequence: info.stream_sequence,
        pending: info.pending,
        trace: headers::carried_by(raw.headers.as_ref()),
        published_at: timestamp(info.published.unix_timestamp_nanos()),
    })
}

/// Waits for an answer until [`ANSWER_DEADLINE`]: a request that got lost with its connection is never answered.
pub(crate) async fn answered<T>(answer: impl Future<Output = Result<T, async_nats::Error>>) -> Result<T, JournalError> {
    timeout(ANSWER_DEADLINE, answer).await.map_err(unavailable)?.map_err(unavailable)
}

pub(crate) async fn fetch(
    consumer: &PullConsumer,
    max: usize,
) -> Result<Vec<async_nats::jetstream::Message>, async_nats::Error> {
    let mut batch = consumer.fetch().max_messages(max).messages().await?;
    let mut messages = vec![];
    while let Some(message) = batch.next().await {
        messages.push(message?);
    }
    Ok(messages)
}
