//! Recognition of repeated events that are older than the deduplication window of the broker.
//!
//! Query looks their ids up (`journal::Journal::known_events`). Concurrent questions share a request, so a burst costs
//! a few requests to query. Guarantee: an event that the read model shows is recognised. If query does not answer,
//! publishing goes on, and the broker alone recognises repeats, within its deduplication window.

use std::time::Duration;

use domain::{AccountId, EventId, LeadEvent, LeadId};
use journal::{Journal, JournalError};
use runtime::ErrorChain as _;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

/// Questions in one request, at most.
const MAX_EVENTS: usize = 500;
/// Questions that wait, at most; further publishers wait before they ask.
const MAX_WAITING: usize = 4_096;
/// The delay of the next request after query did not answer: without it each publisher would wait for the same timeout.
const RETRY_DELAY: Duration = Duration::from_secs(2);

struct Question {
    event: (AccountId, EventId),
    answer: oneshot::Sender<Option<LeadId>>,
}

#[derive(Debug, Clone)]
pub(crate) struct KnownEvents {
    questions: mpsc::Sender<Question>,
}

impl KnownEvents {
    pub(crate) fn start(journal: Journal) -> Self {
        let (questions, waiting) = mpsc::channel(MAX_WAITING);
        // The task ends with the last publisher.
        tokio::spawn(run(journal, waiting));
        Self { questions }
    }

    /// The lead of an event that was stored before; `None` if the event is not known.
    pub(crate) async fn lead_of(&self, event: &LeadEvent) -> Option<LeadId> {
        let (answer, reply) = oneshot::channel();
        let question = Question { event: (event.account.clone(), event.event_id.clone()), answer };
        self.questions.send(question).await.ok()?;
        reply.await.ok().flatten()
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
        match journal.known_events(events).await {
            Ok(leads) => {
                failed_at = None;
                for (answer, lead) in answers.into_iter().zip(leads) {
                    // The publisher may have gone.
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
