//! What a group of processes shares between them: each message goes to one of them, and comes again if it is not
//! acknowledged in time.
//!
//! A feed owns its recovery ([`Source`]), until the drain begins. A message that cannot be read is copied to the stream
//! POISON and passed over, so that it never stands in the way of the others.

use std::{
    marker::PhantomData,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

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
use jiff::Timestamp;
use runtime::{together, trace::TraceContext};
use tokio::time::Instant;
use wire::Record;

use crate::{Journal, JournalError, StreamName, Traffic, append::confirmed, headers, source::Source, subjects, timers};

/// How long a message may be worked on before another process gets it, unless it is kept ([`Message::while_doing`]).
pub const ACK_WAIT: Duration = Duration::from_secs(4);
/// How often the broker is told that a message is still being worked on: two of them, and the second that a lane may wait
/// before, are less than [`ACK_WAIT`], so one may get lost. What began together is spread over [`SPREAD_MS`], so that a thousand such messages do not come at once.
const KEEP_ALIVE: Duration = Duration::from_millis(1_000);
const SPREAD_MS: u64 = 400;
/// How many messages are asked for at once.
const FETCH: usize = 200;
/// How many messages of a feed may lie in a process before they are taken: the next ones are asked for when half of those are
/// left that were asked for.
pub const MOST_AHEAD: usize = FETCH + FETCH / 2;
/// How much of a feed may be handed out and not acknowledged, over all processes.
const IN_HAND: i64 = 20_000;

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
    pub(crate) lifetime: Lifetime,
}

/// Messages that are shared between the processes that read them.
pub struct Feed<T> {
    journal: Journal,
    spec: FeedSpec,
    source: Source,
    /// Taken, and not yet handed out.
    taken: Option<async_nats::jetstream::Message>,
    value: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Feed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("spec", &self.spec).finish_non_exhaustive()
    }
}

/// A message that was handed out, and has to be acknowledged.
pub struct Message<T> {
    /// What it carries.
    pub value: T,
    /// Its place in its stream.
    pub sequence: u64,
    /// How often it was handed out, counting this time, as far as the broker remembers.
    pub delivered: u64,
    /// It may have been handed out before. What was recorded between its time and this moment tells what came of that;
    /// what is asked earlier may not yet be there.
    pub may_be_repeat: Option<Instant>,
    /// The trace that it belongs to.
    pub trace: TraceContext,
    /// When the broker took it.
    pub published_at: Timestamp,
    handed_out: Arc<HandedOut>,
}

/// What the broker handed out, and waits to hear of.
struct HandedOut {
    raw: async_nats::jetstream::Message,
    /// For how many it is not done.
    left: AtomicUsize,
    /// It is to come again.
    again: AtomicBool,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Message<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("value", &self.value).field("sequence", &self.sequence).finish_non_exhaustive()
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
        self.durable(StreamName::Notices, "mailer", subjects::CALLED_FOR)
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
            lifetime: Lifetime::Durable,
        })
    }

    fn durable<T: Record>(&self, stream: StreamName, name: &str, filter: &str) -> Feed<T> {
        let (name, filter) = (name.to_owned(), filter.to_owned());
        self.feed(FeedSpec { stream, name, filter, in_hand: IN_HAND, lifetime: Lifetime::Durable })
    }

    pub(crate) fn feed<T: Record>(&self, spec: FeedSpec) -> Feed<T> {
        Feed { journal: self.clone(), source: Source::new(spec.name.clone()), spec, taken: None, value: PhantomData }
    }
}

impl<T: Record> Feed<T> {
    /// The next message; `None` once the drain has begun. Safe to cancel.
    pub async fn next(&mut self) -> Option<Message<T>> {
        let drain = self.journal.drain().clone();
        loop {
            if self.taken.is_none() {
                self.taken = tokio::select! {
                    biased;
                    () = drain.stopping() => return None,
                    raw = self.source.next(FETCH, || consumer(&self.journal, &self.spec)) => Some(raw),
                };
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
            1 => self.journal.memory().may_have_forgotten(published_at),
            _ => Some(Instant::now()),
        };
        if raw.headers.as_ref().is_some_and(|headers| headers.get(timers::CANCELLED).is_some()) {
            acknowledge(&raw, AckKind::Ack).await;
            return None;
        }
        match T::decode(raw.payload.clone()) {
            Ok(value) => {
                let trace = headers::carried_by(raw.headers.as_ref());
                let handed_out = HandedOut { raw, left: AtomicUsize::new(1), again: AtomicBool::new(false) };
                let handed_out = Arc::new(handed_out);
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
        tracing::error!(stream, sequence, %error, "a message cannot be read; it is set aside in the stream POISON");
        let mut headers = HeaderMap::new();
        headers.insert("Leadline-Reason", error.to_string().replace(['\r', '\n'], " "));
        headers.insert("Leadline-Reader", reader);
        headers.insert("Leadline-Sequence", sequence.to_string());
        let copy = PublishMessage::build().payload(payload).headers(headers);
        let copy = copy.message_id(format!("{stream}/{sequence}"));
        confirmed(self.context().send_publish(subjects::poison(stream, sequence), copy).await).await.map(drop)
    }
}

impl<T> Message<T> {
    /// Done: it need not come again. If the broker misses this, it does come again.
    pub async fn ack(&self) {
        self.handed_out.done(None).await;
    }

    /// Does something that may take long, and keeps the broker from giving the message to somebody else meanwhile.
    pub async fn while_doing<Done>(&self, doing: impl Future<Output = Done>) -> Done {
        let mut doing = pin!(doing);
        let pause = KEEP_ALIVE + Duration::from_millis(self.sequence.wrapping_mul(97) % SPREAD_MS);
        loop {
            tokio::select! {
                biased;
                done = &mut doing => return done,
                () = together::sleep_at_least(pause) => acknowledge(&self.handed_out.raw, AckKind::Progress).await,
            }
        }
    }

    /// A name for this message, the same however often it is handed out.
    pub fn id(&self) -> String {
        let stream = self.handed_out.raw.info().map(|info| info.stream.to_owned()).unwrap_or_default();
        format!("{stream}/{}", self.sequence)
    }

    /// Not done: it is to come again, after this time.
    pub async fn retry_later(&self, after: Duration) {
        self.handed_out.done(Some(after)).await;
    }

    /// The same message with another view of what it carries.
    pub fn map<U>(self, view: impl FnOnce(T) -> U) -> Message<U> {
        let Self { value, sequence, delivered, may_be_repeat, trace, published_at, handed_out } = self;
        Message { value: view(value), sequence, delivered, may_be_repeat, trace, published_at, handed_out }
    }

    /// The same message for some who do a part of the work each, as part of this trace; there has to be one at least. When
    /// all of them are done with it, so is the message; or it comes again, if it is to for one of them.
    pub fn divided<U>(self, values: Vec<U>, trace: TraceContext) -> impl Iterator<Item = Message<U>> {
        let Self { sequence, delivered, may_be_repeat, published_at, handed_out, .. } = self;
        handed_out.left.store(values.len(), Ordering::Relaxed);
        values.into_iter().map(move |value| {
            let (trace, handed_out) = (trace.clone(), Arc::clone(&handed_out));
            Message { value, sequence, delivered, may_be_repeat, trace, published_at, handed_out }
        })
    }
}

impl HandedOut {
    /// One of those who have it is done with it, or wants it to come again after a while; the last one tells the broker.
    async fn done(&self, again_after: Option<Duration>) {
        if again_after.is_some() {
            self.again.store(true, Ordering::Relaxed);
        }
        // Whoever comes last sees what the others have stored.
        if self.left.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let kind = match self.again.load(Ordering::Relaxed) {
            true => AckKind::Nak(again_after),
            false => AckKind::Ack,
        };
        acknowledge(&self.raw, kind).await;
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

async fn acknowledge(raw: &async_nats::jetstream::Message, kind: AckKind) {
    if let Err(error) = raw.ack_with(kind).await {
        tracing::debug!(%error, "an acknowledgement was not sent; the message comes again");
    }
}

/// A time of the broker. One that is out of range is none of this era, and the latest time says so.
pub(crate) fn timestamp(nanos: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
}
