//! A message that was handed out: what it carries, and how the broker hears what became of it.

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
use runtime::{ErrorChain as _, together, trace::TraceContext};
use tokio::time::Instant;

use crate::consume::work_queue::DOUBTFUL;

/// How often the broker is told that a message is still being worked on: two of them, and the second that a lane may wait
/// before, are less than [`ACK_WAIT`](crate::ACK_WAIT), so of a message that did not lie here before one may get lost. What
/// began together is spread over [`SPREAD_MS`], so that a thousand such messages do not come at once.
const KEEP_ALIVE: Duration = Duration::from_millis(1_000);
const SPREAD_MS: u64 = 400;

/// A message that was handed out, and has to be acknowledged.
pub struct Message<T> {
    /// What it carries.
    pub value: T,
    /// Its place in its stream.
    pub sequence: u64,
    /// How often it was handed out, counting this time, as far as the broker remembers.
    pub delivered: u64,
    /// It may have been handed out before, or to another process since. What was recorded between its time and this moment
    /// tells what came of that; what is asked earlier may not yet be there.
    pub may_be_repeat: Option<Instant>,
    /// The trace that it belongs to.
    pub trace: TraceContext,
    /// When the broker took it.
    pub published_at: Timestamp,
    pub(crate) handed_out: Arc<HandedOut>,
}

/// What the broker handed out, and waits to hear of.
pub(crate) struct HandedOut {
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

impl<T> Message<T> {
    /// It was asked for or taken then. If that is long ago, another process may have got it since.
    pub fn lay_here_since(&mut self, since: Instant) {
        if since.elapsed() > DOUBTFUL {
            self.may_be_repeat = Some(Instant::now());
        }
    }

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
    pub(crate) fn new(raw: async_nats::jetstream::Message) -> Arc<Self> {
        Arc::new(Self { raw, left: AtomicUsize::new(1), again: AtomicBool::new(false) })
    }

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

pub(crate) async fn acknowledge(raw: &async_nats::jetstream::Message, kind: AckKind) {
    if let Err(error) = raw.ack_with(kind).await {
        tracing::debug!(error = error.chain(), "an acknowledgement was not sent; the message comes again");
    }
}
