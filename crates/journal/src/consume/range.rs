//! What was published in some time that has passed, page by page; and what is recorded on one subject.

use async_nats::{
    datetime,
    jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
};
use domain::{AccountId, LeadEvent, LeadSequence};
use futures::StreamExt as _;
use jiff::Timestamp;
use runtime::ErrorChain as _;
use tokio::time::timeout;
use wire::Record as _;

use crate::{
    ANSWER_DEADLINE, Entry, Journal, JournalError, Logged as _, StreamName, consume::work_queue::timestamp, headers,
    subjects,
};

const ASKED: &str = "tell what was recorded";

/// Where to begin with an account's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeadsFrom {
    /// With those that the broker took at this time or later.
    Time(Timestamp),
    /// Behind this place in LEADS.
    After(LeadSequence),
}

impl Journal {
    /// The next events, those of an account alone if one is given, at most `most` of them; none: there are no more by now.
    ///
    /// # Errors
    /// When the broker does not answer, or does not hand out all of them.
    pub async fn leads_of(
        &self,
        account: Option<&AccountId>,
        from: LeadsFrom,
        most: usize,
    ) -> Result<Vec<Entry<LeadEvent>>, JournalError> {
        let start = match from {
            LeadsFrom::Time(since) => {
                let start_time = datetime::from_nanos(since.as_nanosecond()).map_err(unavailable)?;
                DeliverPolicy::ByStartTime { start_time }
            }
            LeadsFrom::After(LeadSequence(sequence)) => DeliverPolicy::ByStartSequence { start_sequence: sequence + 1 },
        };
        let consumer = self.reader(LeadEvent::STREAM, subjects::leads_of(account), start).await?;
        let page = answered(fetch(&consumer, most)).await?;
        (1_u64..).zip(page).map(|(place, raw)| entry(&raw, place)).collect()
    }

    /// A consumer that remembers nothing and that the broker soon forgets.
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
        consumer.map_err(|e| JournalError::unavailable(ASKED, e))
    }
}

fn unavailable(error: impl Into<async_nats::Error>) -> JournalError {
    JournalError::unavailable(ASKED, error)
}

/// Reads a message that has to be the reader's `place`-th.
fn entry(raw: &async_nats::jetstream::Message, place: u64) -> Result<Entry<LeadEvent>, JournalError> {
    let info = raw.info().map_err(unavailable)?;
    if info.consumer_sequence != place {
        return Err(unavailable("a message is missing"));
    }
    let value = LeadEvent::decode(raw.payload.clone());
    if let Err(error) = &value {
        tracing::error!(
            sequence = info.stream_sequence,
            error = error.chain(),
            "a lead event cannot be read; it is passed over"
        );
    }
    Ok(Entry {
        value: value.ok(),
        sequence: info.stream_sequence,
        pending: info.pending,
        trace: headers::carried_by(raw.headers.as_ref()),
        published_at: timestamp(info.published.unix_timestamp_nanos()),
    })
}

/// Waits for an answer, but no longer than usual: what a lost connection has swallowed would be waited for without end.
pub(crate) async fn answered<T>(asking: impl Future<Output = Result<T, async_nats::Error>>) -> Result<T, JournalError> {
    timeout(ANSWER_DEADLINE, asking).await.map_err(unavailable)?.map_err(unavailable)
}

pub(crate) async fn fetch(
    consumer: &PullConsumer,
    most: usize,
) -> Result<Vec<async_nats::jetstream::Message>, async_nats::Error> {
    let mut batch = consumer.fetch().max_messages(most).messages().await?;
    let mut messages = vec![];
    while let Some(message) = batch.next().await {
        messages.push(message?);
    }
    Ok(messages)
}
