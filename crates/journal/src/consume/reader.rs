//! Ordered reads of a stream from any sequence: without gaps or acknowledgements, for one reader.

use std::{collections::VecDeque, pin::pin, time::Duration};

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use bytes::Bytes;
use domain::{AccountId, DeliveryFact, DestinationId};
use events::RecordError;
use futures::FutureExt as _;
use jiff::Timestamp;
use runtime::{
    ErrorChain as _,
    trace::{TraceContext, Traced as _},
};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use crate::{
    clock::timestamp,
    connection::connect::Journal,
    consume::resilient_consumer::ResilientConsumer,
    error::JournalError,
    handles::{Deliveries, Facts},
    headers,
    streams::StreamFact,
    subjects,
};

/// How many messages one pull requests.
const MAX_FETCH: usize = 2_000;
/// How long the broker keeps the consumer of a reader that is gone.
const CONSUMER_LIFETIME: Duration = Duration::from_secs(30);

/// A fact and its sequence in the stream.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// `None` if the fact is unreadable. A [`StreamReader`] also puts it into quarantine.
    pub value: Option<T>,
    pub sequence: u64,
    /// How many messages for this reader followed it when the broker delivered it.
    pub pending: u64,
    pub trace: TraceContext,
    /// When the broker stored it.
    pub published_at: Timestamp,
}

/// Reads a stream in order, from a sequence on, and waits for new messages at its end.
pub struct StreamReader<T> {
    journal: Journal,
    filter: String,
    next_sequence: u64,
    consumer: String,
    consumer_sequence: u64,
    source: ResilientConsumer,
    read_ahead: VecDeque<Entry<T>>,
    strip: Box<dyn Fn(&mut T) + Send + Sync>,
}

impl<T> std::fmt::Debug for StreamReader<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamReader").field("next_sequence", &self.next_sequence).finish_non_exhaustive()
    }
}

impl<T: StreamFact> Facts<'_, T> {
    /// Reads all facts of a stream from this sequence on (1 is the first).
    pub fn read(self, from: u64) -> StreamReader<T> {
        self.journal.read_filtered(from, String::new())
    }
}

impl Deliveries<'_> {
    /// Reads the facts about deliveries from this sequence on: those of an account or a destination, or all if both are
    /// `None`.
    pub fn read(
        self,
        from: u64,
        account: Option<&AccountId>,
        destination: Option<&DestinationId>,
    ) -> StreamReader<DeliveryFact> {
        self.journal.read_filtered(from, subjects::deliveries_of(account, destination))
    }

    /// Reads what was done about deliveries from this sequence on, without the facts that request work.
    pub fn read_done(self, from: u64) -> StreamReader<DeliveryFact> {
        self.journal.read_filtered(from, subjects::DONE.to_owned())
    }
}

impl Journal {
    fn read_filtered<T: StreamFact>(&self, from: u64, filter: String) -> StreamReader<T> {
        StreamReader {
            journal: self.clone(),
            filter,
            next_sequence: from.max(1),
            consumer: String::new(),
            consumer_sequence: 0,
            source: ResilientConsumer::new(format!("reader of {}", T::STREAM.as_str())),
            read_ahead: VecDeque::new(),
            strip: Box::new(|_| {}),
        }
    }
}

impl<T: StreamFact> StreamReader<T> {
    /// Applies `strip` to every fact as soon as it is read, so that unneeded parts are not kept in memory.
    #[must_use]
    pub fn stripped(mut self, strip: impl Fn(&mut T) + Send + Sync + 'static) -> Self {
        self.strip = Box::new(strip);
        self
    }

    /// The next facts, at most `max`: waits for the first, then adds those that have arrived already. Empty once the
    /// drain has begun. Cancel-safe.
    pub async fn next_batch(&mut self, max: usize) -> Vec<Entry<T>> {
        let drain = self.journal.drain().clone();
        tokio::select! {
            biased;
            () = drain.stopping() => return vec![],
            () = self.fill(max) => {}
        }
        let taken = self.read_ahead.len().min(max);
        self.read_ahead.drain(..taken).collect()
    }

    /// The next facts, at most `max`: waits for the first until `first_by`, then adds what arrives until `enough`
    /// completes. Empty if no fact arrives in time, or once the drain has begun. Not cancel-safe: the gathered facts
    /// are lost.
    pub async fn gather(&mut self, max: usize, first_by: Instant, enough: impl Future<Output = ()>) -> Vec<Entry<T>> {
        let mut gathered = timeout_at(first_by, self.next_batch(max)).await.unwrap_or_default();
        let mut enough = pin!(enough);
        while !gathered.is_empty() && gathered.len() < max {
            tokio::select! {
                biased;
                more = self.next_batch(max - gathered.len()) => {
                    if more.is_empty() {
                        break;
                    }
                    gathered.extend(more);
                }
                () = &mut enough => break,
            }
        }
        gathered
    }

    async fn fill(&mut self, max: usize) {
        if self.read_ahead.is_empty() {
            let entry = self.next().await;
            self.read_ahead.push_back(entry);
        }
        while self.read_ahead.len() < max
            && let Some(entry) = self.next().now_or_never()
        {
            self.read_ahead.push_back(entry);
        }
    }

    async fn next(&mut self) -> Entry<T> {
        loop {
            let from = self.next_sequence;
            let raw = self.source.next(MAX_FETCH, || consumer::<T>(&self.journal, from, &self.filter)).await;
            match self.read(&raw) {
                Ok(entry) => return entry,
                Err(why) => self.source.recover(why).await,
            }
        }
    }

    /// Decodes a message. `Err` if a message before it is missing.
    fn read(&mut self, raw: &async_nats::jetstream::Message) -> Result<Entry<T>, &'static str> {
        let info = raw.info().map_err(|_| "received a message without JetStream metadata")?;
        if info.consumer != self.consumer {
            (self.consumer, self.consumer_sequence) = (info.consumer.to_owned(), 0);
        }
        if info.consumer_sequence != self.consumer_sequence + 1 {
            return Err("a message is missing");
        }
        self.consumer_sequence += 1;
        self.next_sequence = info.stream_sequence + 1;
        let mut value = T::decode(raw.payload.clone()).map_err(|error| {
            // In a separate task, because the caller may cancel at any time.
            let trace = headers::carried_by(raw.headers.as_ref());
            let quarantined = quarantine::<T>(self.journal.clone(), raw.payload.clone(), info.stream_sequence, error);
            tokio::spawn(quarantined.traced(Span::none(), &trace));
        });
        if let Ok(value) = &mut value {
            (self.strip)(value);
        }
        Ok(Entry {
            value: value.ok(),
            sequence: info.stream_sequence,
            pending: info.pending,
            trace: headers::carried_by(raw.headers.as_ref()),
            published_at: timestamp(info.published.unix_timestamp_nanos()),
        })
    }
}

/// A failure is only logged: the next reader of the stream meets the message again and quarantines it.
async fn quarantine<T: StreamFact>(journal: Journal, payload: Bytes, sequence: u64, error: RecordError) {
    if let Err(error) = journal.quarantine().add(T::STREAM, "replay", sequence, payload, &error).await {
        tracing::error!(error = error.chain(), "cannot quarantine message; skipping it");
    }
}

async fn consumer<T: StreamFact>(journal: &Journal, from: u64, filter: &str) -> Result<PullConsumer, JournalError> {
    let config = pull::Config {
        filter_subject: filter.to_owned(),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
        ack_policy: AckPolicy::None,
        inactive_threshold: CONSUMER_LIFETIME,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    };
    let consumer = journal.context().create_consumer_on_stream(config, T::STREAM.as_str()).await;
    consumer.map_err(|e| JournalError::unavailable("read a stream", e))
}
