//! Work queues: consumers that several processes share. Each message goes to one of them, and is redelivered if it is
//! not acknowledged in time.
//!
//! A work queue recovers by itself ([`ResilientConsumer`]) until the drain begins. A message that cannot be read is
//! copied to the stream POISON and skipped, so that it never blocks the others.

use std::{collections::VecDeque, marker::PhantomData, pin::pin, time::Duration};

use async_nats::jetstream::{
    AckKind, ErrorCode,
    consumer::{AckPolicy, PullConsumer, pull},
    message::PublishMessage,
    stream::ConsumerErrorKind,
};
use bytes::Bytes;
use events::Record;
use futures::FutureExt as _;
use runtime::{ErrorChain as _, trace::Traced as _};
use tokio::time::Instant;
use tracing::Span;

use crate::{
    clock::timestamp,
    connection::connect::Journal,
    consume::{
        ack_handle::{AckHandle, Message, STALE_AFTER, acknowledge},
        resilient_consumer::ResilientConsumer,
        spec::{Lifetime, WorkQueueSpec},
    },
    error::JournalError,
    handles::{Quarantine, quarantine},
    headers, measured,
    streams::StreamName,
    subjects,
    work::timers,
};

/// How long the broker waits for an acknowledgement or a heartbeat ([`Message::with_heartbeat`]) before it redelivers.
pub const ACK_WAIT: Duration = Duration::from_secs(4);
/// How many messages of a work queue may wait in a process, given the size of a pull. The client pulls again when half
/// of a pull is left.
const fn max_buffered(fetch: usize) -> usize {
    fetch + fetch / 2
}
/// Messages that become stale within this time count as stale since the same instant, so that one read of the history
/// serves them all. Otherwise a slow process would spend most of its time on reads of the history.
const STALE_GROUP_INTERVAL: Duration = Duration::from_millis(250);

const OPERATION: &str = "deliver messages";

/// A work queue: messages that processes share.
pub struct WorkQueue<T> {
    journal: Journal,
    spec: WorkQueueSpec,
    source: ResilientConsumer,
    /// A message that was received and not yet returned to the caller.
    received: Option<async_nats::jetstream::Message>,
    /// When the latest messages were received, for at most [`max_buffered`] messages. Cleared when the queue is
    /// empty.
    received_at: VecDeque<Instant>,
    /// `Some` if the received message may be stale: the instant up to which the history has to be read.
    stale_since: Option<Instant>,
    /// Its name in metrics.
    counted: measured::Consumer,
    value: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for WorkQueue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkQueue").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Journal {
    pub(crate) fn work_queue<T: Record>(&self, spec: WorkQueueSpec) -> WorkQueue<T> {
        WorkQueue {
            journal: self.clone(),
            source: ResilientConsumer::new(spec.name.clone()),
            counted: measured::Consumer::new(spec.stream, &spec.name, spec.lifetime),
            spec,
            received: None,
            received_at: VecDeque::new(),
            stale_since: None,
            value: PhantomData,
        }
    }
}

impl<T: Record> WorkQueue<T> {
    /// The next message; `None` once the drain has begun. Cancel-safe.
    pub async fn next(&mut self) -> Option<Message<T>> {
        let drain = self.journal.drain().clone();
        loop {
            if self.received.is_none() {
                tokio::select! {
                    biased;
                    () = drain.stopping() => return None,
                    () = self.take() => {}
                }
            }
            tokio::select! {
                biased;
                () = drain.stopping() => return None,
                () = self.journal.restart_watermark().wait_until_known() => {}
            }
            if let Some(raw) = self.received.take()
                && let Some(message) = self.read(raw).await
            {
                return Some(message);
            }
        }
    }

    /// Cancel-safe. After a cancelled wait, the arrival of the next message is unknown. It counts as received when
    /// the wait began.
    async fn take(&mut self) {
        let mut next = pin!(self.source.next(self.spec.fetch, || consumer(&self.journal, &self.spec)));
        let raw = match next.as_mut().now_or_never() {
            Some(raw) => raw,
            None => {
                // The queue is empty. If the caller stops waiting, the next message may arrive at any time from now on.
                self.received_at.clear();
                self.received_at.push_back(Instant::now());
                let raw = next.await;
                self.received_at.clear();
                raw
            }
        };
        let now = Instant::now();
        if self.received_at.len() == max_buffered(self.spec.fetch) {
            self.received_at.pop_front();
        }
        self.received_at.push_back(now);
        self.received = Some(raw);
        // The client requests a message only after this process took the message `max_buffered` places before. So this
        // message cannot have arrived before that one was taken.
        let is_stale = self.received_at.front().is_some_and(|at| now.duration_since(*at) > STALE_AFTER);
        let lately = self.stale_since.filter(|at| now.duration_since(*at) < STALE_GROUP_INTERVAL);
        self.stale_since = is_stale.then(|| lately.unwrap_or(now));
    }

    /// Removes the consumer of a queue that no process reads any more, so that no messages wait in it. A later consumer
    /// reads the stream from its beginning.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn remove(&self) -> Result<(), JournalError> {
        let (context, stream) = (self.journal.context(), self.spec.stream.as_str());
        match context.delete_consumer_from_stream(&self.spec.name, stream).await {
            Ok(_) => Ok(()),
            Err(error) if is_missing(&error.kind()) => Ok(()),
            Err(error) => Err(JournalError::unavailable("remove a consumer", error)),
        }
    }

    pub(crate) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Creates the consumer unless it exists.
    pub(crate) async fn consumer(&self) -> Result<PullConsumer, JournalError> {
        consumer(&self.journal, &self.spec).await
    }

    pub(crate) async fn read(&self, raw: async_nats::jetstream::Message) -> Option<Message<T>> {
        let Ok(info) = raw.info() else {
            // The client handles status messages of the broker itself. A message without metadata cannot be
            // acknowledged.
            tracing::error!(consumer = self.spec.name, "received a message without JetStream metadata; skipping it");
            return None;
        };
        let (sequence, delivered) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1));
        let published_at = timestamp(info.published.unix_timestamp_nanos());
        let may_be_repeat = match delivered {
            1 => self.stale_since.max(self.journal.restart_watermark().may_be_redelivery(published_at)),
            _ => Some(Instant::now()),
        };
        if raw.headers.as_ref().is_some_and(|headers| headers.get(timers::CANCELLED).is_some()) {
            acknowledge(&raw, AckKind::Ack).await;
            return None;
        }
        self.counted.received();
        match T::decode(raw.payload.clone()) {
            Ok(value) => {
                let trace = headers::carried_by(raw.headers.as_ref());
                let ack_handle = AckHandle::new(raw);
                Some(Message { value, sequence, delivered, may_be_repeat, trace, published_at, ack_handle })
            }
            Err(error) => {
                // In a separate task, because the caller may cancel at any time.
                let trace = headers::carried_by(raw.headers.as_ref());
                let quarantined = quarantine(self.journal.clone(), self.spec.clone(), raw, sequence, error);
                tokio::spawn(quarantined.traced(Span::none(), &trace));
                None
            }
        }
    }
}

fn is_missing(kind: &ConsumerErrorKind) -> bool {
    matches!(kind, ConsumerErrorKind::JetStream(error) if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND)
}

/// If the copy fails, the broker redelivers the message, and the copy is tried again.
async fn quarantine(
    journal: Journal,
    spec: WorkQueueSpec,
    raw: async_nats::jetstream::Message,
    sequence: u64,
    error: events::RecordError,
) {
    match journal.quarantine().add(spec.stream, &spec.name, sequence, raw.payload.clone(), &error).await {
        Ok(()) => acknowledge(&raw, AckKind::Ack).await,
        Err(error) => {
            tracing::error!(error = error.chain(), "cannot quarantine message; retrying after its redelivery")
        }
    }
}

impl Quarantine<'_> {
    /// Copies an unreadable message to POISON. The broker stores one copy, even if several readers meet the message,
    /// because every copy has the same message id.
    pub(crate) async fn add(
        self,
        stream: StreamName,
        reader: &str,
        sequence: u64,
        payload: Bytes,
        error: &events::RecordError,
    ) -> Result<(), JournalError> {
        let stream = stream.as_str();
        tracing::error!(
            stream,
            sequence,
            error = error.chain(),
            "cannot read message; copying it to the stream POISON"
        );
        let headers = quarantine::headers(reader, sequence, &error.chain());
        let copy = PublishMessage::build().payload(payload).headers(headers);
        let copy = copy.message_id(format!("{stream}/{sequence}"));
        self.journal.publish(subjects::poison(stream, sequence), copy).await.map(drop)
    }
}

/// Creates the consumer unless it exists.
async fn consumer(journal: &Journal, spec: &WorkQueueSpec) -> Result<PullConsumer, JournalError> {
    // An ephemeral consumer is only kept in memory: if the broker loses it, it is created again.
    let (durable_name, inactive_threshold, memory_storage) = match spec.lifetime {
        Lifetime::Durable => (Some(spec.name.clone()), Duration::ZERO, false),
        Lifetime::UnusedFor(time) => (None, time, true),
    };
    let config = pull::Config {
        name: Some(spec.name.clone()),
        durable_name,
        inactive_threshold,
        memory_storage,
        filter_subject: spec.filter.clone(),
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: spec.max_ack_pending,
        ..pull::Config::default()
    };
    let context = journal.context();
    context
        .create_consumer_on_stream(config, spec.stream.as_str())
        .await
        .map_err(|e| JournalError::unavailable(OPERATION, e))
}
