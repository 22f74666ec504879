//! Recognition of repeated events that are older than the deduplication window of the broker.
//!
//! Query looks up their ids (`journal::Journal::known_events`). Nearly all ids are unknown. [`filter`] recognises
//! unknown ids without a question to query, and [`follower`] fills the filter. Concurrent questions share a request.
//!
//! Guarantee: an event that the read model shows is recognised. If query does not answer, publishing continues, and
//! only the broker recognises repeats, within its deduplication window.

mod filter;
mod follower;

use std::{sync::Arc, time::Duration};

use domain::{AccountId, EventId, LeadEvent, lead::KnownEvent};
use filter::Filter;
use follower::Follower;
use journal::{Journal, JournalError};
use runtime::ErrorChain as _;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};

/// The maximum number of questions in one request.
const MAX_EVENTS: usize = 500;
/// The maximum number of waiting questions. Further publishers wait until there is room.
const MAX_WAITING: usize = 4_096;
/// The delay before the next request after query did not answer. Without it, each publisher would wait for the timeout.
const RETRY_DELAY: Duration = Duration::from_secs(2);

struct Question {
    event: (AccountId, EventId),
    answer: oneshot::Sender<Option<KnownEvent>>,
}

#[derive(Debug, Clone)]
pub(crate) struct KnownEvents {
    questions: mpsc::Sender<Question>,
    filter: Arc<Filter>,
    wanted: Arc<Notify>,
}

impl KnownEvents {
    pub(crate) fn start(journal: Journal) -> Self {
        let (questions, waiting) = mpsc::channel(MAX_WAITING);
        let (filter, wanted) = (Arc::<Filter>::default(), Arc::<Notify>::default());
        let follower = Follower { journal: journal.clone(), filter: Arc::clone(&filter), wanted: Arc::clone(&wanted) };
        tokio::spawn(follower.run());
        // The task ends with the last publisher.
        tokio::spawn(run(journal, waiting));
        Self { questions, filter, wanted }
    }

    /// The stored event with the same id; `None` if it is not known.
    pub(crate) async fn look_up(&self, event: &LeadEvent) -> Option<KnownEvent> {
        self.wanted.notify_one();
        if !self.filter.may_know(&event.message_id(), std::time::Instant::now()) {
            return None;
        }
        let (answer, reply) = oneshot::channel();
        let question = Question { event: (event.account.clone(), event.event_id.clone()), answer };
        self.questions.send(question).await.ok()?;
        reply.await.ok().flatten()
    }

    /// Notes that an event is sent to the broker.
    pub(crate) fn sent(&self, event: &LeadEvent) {
        if self.filter.is_started() {
            self.filter.add([event.message_id().as_str()]);
        }
    }

    /// Notes the sequence at which the broker stored an event.
    pub(crate) fn stored(&self, event: &LeadEvent, sequence: u64) {
        if self.filter.is_started() {
            self.filter.own(&event.message_id(), sequence);
        }
    }
}

async fn run(journal: Journal, mut waiting: mpsc::Receiver<Question>) {
    let (mut questions, mut failed_at) = (Vec::with_capacity(MAX_EVENTS), None::<Instant>);
    while waiting.recv_many(&mut questions, MAX_EVENTS).await > 0 {
        let (events, answers): (Vec<_>, Vec<_>) = questions.drain(..).map(|q| (q.event, q.answer)).unzip();
        if failed_at.is_some_and(|at| at.elapsed() < RETRY_DELAY) {
            // A dropped answer means "not known" to the publisher.
            continue;
        }
        match journal.known_events().ask(events).await {
            Ok(leads) => {
                failed_at = None;
                for (answer, lead) in answers.into_iter().zip(leads) {
                    // The publisher may be gone.
                    let _ = answer.send(lead);
                }
            }
            Err(error) => {
                report(&error, failed_at.is_none());
                failed_at = Some(Instant::now());
            }
        }
    }
}

/// Warns about the first failure only, until query answers again.
fn report(error: &JournalError, is_first: bool) {
    if is_first {
        tracing::warn!(
            error = error.chain(),
            "cannot look up event ids; repeats older than the deduplication window are not recognised; retrying"
        );
    } else {
        tracing::debug!(error = error.chain(), "cannot look up event ids; retrying");
    }
}
