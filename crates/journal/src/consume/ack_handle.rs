//! A message of a work queue, and the handle that acknowledges it.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_nats::jetstream::AckKind;
use jiff::Timestamp;
use runtime::{ErrorChain as _, coalesced_timer, trace::TraceContext};
use tokio::time::Instant;

/// How often a heartbeat is sent. Two intervals, plus the second that work may wait in a lane queue, are less than
/// [`ACK_WAIT`](crate::ACK_WAIT). So one heartbeat of a message may get lost, if the message was fresh when its work
/// began. The heartbeats of messages that arrive together are spread over [`MAX_HEARTBEAT_SPREAD_MS`], so that a
/// thousand of them are not sent at once.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(1_000);
const MAX_HEARTBEAT_SPREAD_MS: u64 = 400;
/// How long a message may wait in the process without a heartbeat before it is stale: another process may have got it,
/// too. Well below [`ACK_WAIT`](crate::ACK_WAIT), because its work may then wait for another second in a lane queue.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(1);

/// A message of a work queue. It has to be acknowledged.
pub struct Message<T> {
    pub value: T,
    /// Its sequence in the stream.
    pub sequence: u64,
    /// How often the broker has delivered it, including this time, as far as the broker remembers.
    pub delivered: u64,
    /// `Some` if another process may have got the message, too. The facts that are stored up to this instant show what
    /// that process did; a history that was read earlier may miss them.
    pub may_be_repeat: Option<Instant>,
    pub trace: TraceContext,
    /// When the broker stored it.
    pub published_at: Timestamp,
    pub(crate) ack_handle: Arc<AckHandle>,
}

/// A delivered message that waits for its acknowledgement.
pub(crate) struct AckHandle {
    raw: async_nats::jetstream::Message,
    /// How many parts of the work are not done.
    unfinished: AtomicUsize,
    /// Whether the message is to be redelivered.
    redeliver: AtomicBool,
}

impl<T: std::fmt::Debug> std::fmt::Debug for Message<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("value", &self.value).field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl<T> Message<T> {
    /// Marks the message as a possible repeat if `since` is more than [`STALE_AFTER`] ago. `since` is the time when the
    /// message was requested or received.
    pub fn mark_if_stale(&mut self, since: Instant) {
        if since.elapsed() > STALE_AFTER {
            self.may_be_repeat = Some(Instant::now());
        }
    }

    /// Acknowledges the message. If the acknowledgement gets lost, the message is redelivered.
    pub async fn ack(&self) {
        self.ack_handle.done(None).await;
    }

    /// Runs long work and sends heartbeats, so that the broker does not redeliver the message meanwhile.
    pub async fn with_heartbeat<Done>(&self, doing: impl Future<Output = Done>) -> Done {
        let mut doing = pin!(doing);
        let pause =
            HEARTBEAT_INTERVAL + Duration::from_millis(self.sequence.wrapping_mul(97) % MAX_HEARTBEAT_SPREAD_MS);
        loop {
            tokio::select! {
                biased;
                done = &mut doing => return done,
                () = coalesced_timer::sleep_at_least(pause) => acknowledge(&self.ack_handle.raw, AckKind::Progress).await,
            }
        }
    }

    /// An id of this message, which is the same at each redelivery.
    pub fn id(&self) -> String {
        let stream = self.ack_handle.raw.info().map(|info| info.stream.to_owned()).unwrap_or_default();
        format!("{stream}/{}", self.sequence)
    }

    /// Sends a nak: the broker redelivers the message after this time.
    pub async fn nak(&self, after: Duration) {
        self.ack_handle.done(Some(after)).await;
    }

    /// The same message with a converted value.
    pub fn map<U>(self, view: impl FnOnce(T) -> U) -> Message<U> {
        let Self { value, sequence, delivered, may_be_repeat, trace, published_at, ack_handle } = self;
        Message { value: view(value), sequence, delivered, may_be_repeat, trace, published_at, ack_handle }
    }

    /// Splits the message into one part for each value; there is at least one value. All parts belong to `trace`. The
    /// message is acknowledged when every part is acknowledged, and redelivered if one part sent a nak.
    pub fn divided<U>(self, values: Vec<U>, trace: TraceContext) -> impl Iterator<Item = Message<U>> {
        let Self { sequence, delivered, may_be_repeat, published_at, ack_handle, .. } = self;
        ack_handle.unfinished.store(values.len(), Ordering::Relaxed);
        values.into_iter().map(move |value| {
            let (trace, ack_handle) = (trace.clone(), Arc::clone(&ack_handle));
            Message { value, sequence, delivered, may_be_repeat, trace, published_at, ack_handle }
        })
    }
}

impl AckHandle {
    pub(crate) fn new(raw: async_nats::jetstream::Message) -> Arc<Self> {
        Arc::new(Self { raw, unfinished: AtomicUsize::new(1), redeliver: AtomicBool::new(false) })
    }

    /// Ends one part, with a nak if `redeliver_after` is given. The last part that ends answers the broker.
    async fn done(&self, redeliver_after: Option<Duration>) {
        if redeliver_after.is_some() {
            self.redeliver.store(true, Ordering::Relaxed);
        }
        // AcqRel: the last part reads the `redeliver` that the other parts have stored.
        if self.unfinished.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let kind = match self.redeliver.load(Ordering::Relaxed) {
            true => AckKind::Nak(redeliver_after),
            false => AckKind::Ack,
        };
        acknowledge(&self.raw, kind).await;
    }
}

pub(crate) async fn acknowledge(raw: &async_nats::jetstream::Message, kind: AckKind) {
    if let Err(error) = raw.ack_with(kind).await {
        tracing::debug!(error = error.chain(), "cannot answer the broker; it may redeliver the message");
    }
}
