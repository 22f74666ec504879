//! What a group of processes shares between them: each message goes to one of them, and comes again if it is not
//! acknowledged in time.
//!
//! A feed owns its recovery ([`Source`]), until the drain begins. A message that cannot be read is copied to the stream
//! POISON and passed over, so that it never stands in the way of the others.

use std::{collections::VecDeque, marker::PhantomData, pin::pin, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        AckKind,
        consumer::{AckPolicy, PullConsumer, pull},
        message::PublishMessage,
    },
};
use bytes::Bytes;
use domain::{AnonymisationFact, DeliveryFact, JobFact, LeadEvent, NoticeFact, RegistryFact, Work};
use futures::FutureExt as _;
use jiff::Timestamp;
use runtime::ErrorChain as _;
use tokio::time::Instant;
use wire::Record;

use crate::{
    Journal, JournalError, Message, StreamName, Traffic,
    consume::ack_handle::{HandedOut, acknowledge},
    consume::resilient_consumer::Source,
    headers, subjects,
    work::timers,
};

/// How long after a message was handed out another process gets it, unless it is kept ([`Message::while_doing`]).
pub const ACK_WAIT: Duration = Duration::from_secs(4);
/// How many messages are asked for at once.
pub(crate) const FETCH: usize = 200;
/// How many notices are asked for at once: each may take as long as a mail server takes, and one that lies here for longer
/// than [`ACK_WAIT`] is handed out again.
const NOTICE_FETCH: usize = 4;
/// How many messages of a feed may lie in a process before they are taken: the next ones are asked for when half of those are
/// left that were asked for.
const fn most_ahead(fetch: usize) -> usize {
    fetch + fetch / 2
}
/// How long a message may have lain here, which the broker does not know, before another process may have got it as well:
/// well below [`ACK_WAIT`], as it may wait for a second more.
pub(crate) const DOUBTFUL: Duration = Duration::from_secs(1);
/// Those that are doubted within this time are as of one moment, so that one look back serves them all: a process that is
/// slow already would do little else.
const DOUBTED_AT_ONCE: Duration = Duration::from_millis(250);
/// How much of a feed may be handed out and not acknowledged, over all processes.
const IN_HAND: i64 = 20_000;

/// How many notices of a feed may be handed out and not acknowledged: while the mail server is paused, each comes again
/// when the pause is over.
const NOTICES_IN_HAND: i64 = 5_000;
/// How many jobs are worked on at once, over all processes; the others wait for their turn.
const JOBS_IN_HAND: i64 = 64;

/// The consumers that hand out lead events to be routed.
pub(crate) const fn router(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic::Steady => "router",
        Traffic::Burst => "router-bursts",
    }
}
/// The consumer that hands out what asks for an attempt.
pub(crate) const SENDER: &str = "sender";
const ASKED: &str = "hand out messages";

/// Who keeps a consumer alive.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lifetime {
    /// It stays until somebody removes it.
    Durable,
    /// The broker removes it when nobody has read from it for so long. Unread messages stay.
    UnusedFor(Duration),
}

/// What to consume.
#[derive(Debug, Clone)]
pub(crate) struct FeedSpec {
    pub(crate) stream: StreamName,
    pub(crate) name: String,
    pub(crate) filter: String,
    pub(crate) in_hand: i64,
    /// How many messages are asked for at once.
    pub(crate) fetch: usize,
    pub(crate) lifetime: Lifetime,
}

/// Messages that are shared between the processes that read them.
pub struct Feed<T> {
    journal: Journal,
    spec: FeedSpec,
    source: Source,
    /// Taken, and not yet handed out.
    taken: Option<async_nats::jetstream::Message>,
    /// When the last ones were taken, since there were none.
    taken_at: VecDeque<Instant>,
    /// The one that was taken may have lain here for long: as of when to look back.
    doubted_at: Option<Instant>,
    value: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Journal {
    /// Every lead event of a kind of traffic, for the router.
    pub fn router_feed(&self, traffic: Traffic) -> Feed<LeadEvent> {
        self.durable(StreamName::Leads, router(traffic), subjects::leads(traffic))
    }

    /// Every fact that asks for an attempt, for the sender.
    pub fn work_feed(&self) -> Feed<DeliveryFact> {
        self.durable(StreamName::Deliveries, SENDER, subjects::TODO)
    }

    /// Every attempt whose time has come, for the sender.
    pub fn due_feed(&self) -> Feed<Work> {
        self.durable(StreamName::Timers, "due", subjects::DUE)
    }

    /// Every notice that is called for, for the notifier.
    pub fn called_for_feed(&self) -> Feed<NoticeFact> {
        self.notices("mailer", subjects::CALLED_FOR)
    }

    /// Every notice about leads that is called for, for the notifier.
    pub fn called_for_leads_feed(&self) -> Feed<NoticeFact> {
        self.notices("mailer-leads", subjects::CALLED_FOR_LEADS)
    }

    fn notices(&self, name: &str, filter: &str) -> Feed<NoticeFact> {
        let (name, filter, lifetime) = (name.to_owned(), filter.to_owned(), Lifetime::Durable);
        let stream = StreamName::Notices;
        self.feed(FeedSpec { stream, name, filter, in_hand: NOTICES_IN_HAND, fetch: NOTICE_FETCH, lifetime })
    }

    /// Every change of the configuration, for the notifier, who asks the owners of addresses.
    pub fn registry_feed(&self) -> Feed<RegistryFact> {
        self.durable(StreamName::Registry, "confirmer", subjects::REGISTRY)
    }

    /// Every attempt of which an outline is left, for the outbox.
    pub fn blanked_attempt_feed(&self) -> Feed<DeliveryFact> {
        self.durable(StreamName::Deliveries, "outbox", subjects::BLANKED_ATTEMPTS)
    }

    /// Every event of which an outline is left, for the outbox.
    pub fn blanked_event_feed(&self) -> Feed<AnonymisationFact> {
        self.durable(StreamName::Anonymised, "outbox-leads", subjects::BLANKED_EVENTS)
    }

    /// Every change of a destination, for the notifier.
    pub fn destination_feed(&self) -> Feed<RegistryFact> {
        self.durable(StreamName::Registry, "notifier", subjects::DESTINATIONS)
    }

    /// Every fact about jobs, for who works on them. A fact of a start is kept in hand for as long as its job runs.
    pub fn job_feed(&self) -> Feed<JobFact> {
        self.feed(FeedSpec {
            stream: StreamName::Jobs,
            name: "worker".to_owned(),
            filter: subjects::JOBS.to_owned(),
            in_hand: JOBS_IN_HAND,
            fetch: FETCH,
            lifetime: Lifetime::Durable,
        })
    }

    fn durable<T: Record>(&self, stream: StreamName, name: &str, filter: &str) -> Feed<T> {
        let (name, filter) = (name.to_owned(), filter.to_owned());
        self.feed(FeedSpec { stream, name, filter, in_hand: IN_HAND, fetch: FETCH, lifetime: Lifetime::Durable })
    }

    pub(crate) fn feed<T: Record>(&self, spec: FeedSpec) -> Feed<T> {
        Feed {
            journal: self.clone(),
            source: Source::new(spec.name.clone()),
            spec,
            taken: None,
            taken_at: VecDeque::new(),
            doubted_at: None,
            value: PhantomData,
        }
    }
}

impl<T: Record> Feed<T> {
    /// The next message; `None` once the drain has begun. Safe to cancel.
    pub async fn next(&mut self) -> Option<Message<T>> {
        let drain = self.journal.drain().clone();
        loop {
            if self.taken.is_none() {
                tokio::select! {
                    biased;
                    () = drain.stopping() => return None,
                    () = self.take() => {}
                }
            }
            tokio::select! {
                biased;
                () = drain.stopping() => return None,
                () = self.journal.memory().settled() => {}
            }
            if let Some(raw) = self.taken.take()
                && let Some(message) = self.read(raw).await
            {
                return Some(message);
            }
        }
    }

    /// Safe to cancel. Since when something has lain here is known unless this waits and is not asked what it waits for.
    async fn take(&mut self) {
        let mut next = pin!(self.source.next(self.spec.fetch, || consumer(&self.journal, &self.spec)));
        let raw = match next.as_mut().now_or_never() {
            Some(raw) => raw,
            None => {
                // There is none now. If nobody waits for it any more, that is when the next one may have come.
                self.taken_at.clear();
                self.taken_at.push_back(Instant::now());
                let raw = next.await;
                self.taken_at.clear();
                raw
            }
        };
        let now = Instant::now();
        if self.taken_at.len() == most_ahead(self.spec.fetch) {
            self.taken_at.pop_front();
        }
        self.taken_at.push_back(now);
        self.taken = Some(raw);
        // It was asked for after the one was taken that came [`most_ahead`] before it.
        let is_doubtful = self.taken_at.front().is_some_and(|at| now.duration_since(*at) > DOUBTFUL);
        let lately = self.doubted_at.filter(|at| now.duration_since(*at) < DOUBTED_AT_ONCE);
        self.doubted_at = is_doubtful.then(|| lately.unwrap_or(now));
    }

    pub(crate) const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Makes the consumer unless it is there.
    pub(crate) async fn consumer(&self) -> Result<PullConsumer, JournalError> {
        consumer(&self.journal, &self.spec).await
    }

    pub(crate) async fn read(&self, raw: async_nats::jetstream::Message) -> Option<Message<T>> {
        let Ok(info) = raw.info() else {
            // The broker's own status messages never get here; whatever it is, it cannot be acknowledged either.
            tracing::error!(feed = self.spec.name, "a message came that is not the broker's; passed over");
            return None;
        };
        let (sequence, delivered) = (info.stream_sequence, u64::try_from(info.delivered).unwrap_or(1));
        let published_at = timestamp(info.published.unix_timestamp_nanos());
        let may_be_repeat = match delivered {
            1 => self.doubted_at.max(self.journal.memory().may_have_forgotten(published_at)),
            _ => Some(Instant::now()),
        };
        if raw.headers.as_ref().is_some_and(|headers| headers.get(timers::CANCELLED).is_some()) {
            acknowledge(&raw, AckKind::Ack).await;
            return None;
        }
        match T::decode(raw.payload.clone()) {
            Ok(value) => {
                let trace = headers::carried_by(raw.headers.as_ref());
                let handed_out = HandedOut::new(raw);
                Some(Message { value, sequence, delivered, may_be_repeat, trace, published_at, handed_out })
            }
            Err(error) => {
                // In a task of its own: whoever reads may give up waiting at any time.
                tokio::spawn(set_aside(self.journal.clone(), self.spec.clone(), raw, sequence, error));
                None
            }
        }
    }
}

/// If it cannot be set aside, it comes again and is tried again.
async fn set_aside(
    journal: Journal,
    spec: FeedSpec,
    raw: async_nats::jetstream::Message,
    sequence: u64,
    error: wire::WireError,
) {
    match journal.set_aside(spec.stream, &spec.name, sequence, raw.payload.clone(), &error).await {
        Ok(()) => acknowledge(&raw, AckKind::Ack).await,
        Err(error) => tracing::error!(error = error.chain(), "it could not be set aside; trying again later"),
    }
}

impl Journal {
    /// Copies what cannot be read to POISON: once, however many read it, and however often.
    pub(crate) async fn set_aside(
        &self,
        stream: StreamName,
        reader: &str,
        sequence: u64,
        payload: Bytes,
        error: &wire::WireError,
    ) -> Result<(), JournalError> {
        let stream = stream.as_str();
        tracing::error!(
            stream,
            sequence,
            error = error.chain(),
            "a message cannot be read; it is set aside in the stream POISON"
        );
        let mut headers = HeaderMap::new();
        headers.insert("Leadline-Reason", error.to_string().replace(['\r', '\n'], " "));
        headers.insert("Leadline-Reader", reader);
        headers.insert("Leadline-Sequence", sequence.to_string());
        let copy = PublishMessage::build().payload(payload).headers(headers);
        let copy = copy.message_id(format!("{stream}/{sequence}"));
        self.confirm(self.context().send_publish(subjects::poison(stream, sequence), copy).await).await.map(drop)
    }
}

/// Makes the consumer unless it is there.
async fn consumer(journal: &Journal, spec: &FeedSpec) -> Result<PullConsumer, JournalError> {
    // What is not to last is not worth a file: if the broker forgets it, it is made anew.
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
        max_ack_pending: spec.in_hand,
        ..pull::Config::default()
    };
    let context = journal.context();
    context
        .create_consumer_on_stream(config, spec.stream.as_str())
        .await
        .map_err(|e| JournalError::unavailable(ASKED, e))
}

/// A time of the broker. One that is out of range is none of this era, and the latest time says so.
pub(crate) fn timestamp(nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
}
