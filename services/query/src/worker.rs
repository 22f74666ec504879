//! Who works on jobs: each job is handed to one process at a time, and stays in its hand until the job has ended.
//!
//! * here: which jobs this process works on, and what happens when it cannot go on
//! * [`run`] is one job being worked on, [`pages`] what it goes through
//!
//! Guarantee: a job goes on from its last record of progress, whoever worked on it before and however that ended. What
//! was asked for after that record carries the job's id, is found by it, is counted and not asked for again. If the broker
//! hands a job to a second process because the first one was silent, whichever records progress first has it: the other
//! one's record is refused ([`journal::JournalError::LostRace`]), and it stops. Until then both may ask for the same; the
//! message id of what they ask for is the same, and is stored once.

mod pages;
mod run;

use std::{sync::Arc, time::Duration};

use domain::{
    JobFact, JobId,
    job::{IllegalJob, JobRef},
};
use journal::{Journal, JournalError, Message, RegistryView};
use runtime::{Drain, ErrorChain as _, Platform, UnderWay, trace::TraceContext};
use tracing::{Instrument as _, info_span};

use self::run::Run;
use crate::{
    freshness::{Freshness, Stale},
    store::{Store, StoreError},
};

/// The pause before a job goes on that the broker or the database stopped.
const PAUSE: Duration = Duration::from_secs(1);

/// What work on jobs needs.
struct Worker {
    journal: Journal,
    store: Store,
    registry: RegistryView,
    freshness: Freshness,
    drain: Drain,
    under_way: UnderWay<JobId>,
}

/// Why work on a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// There is nothing left to do.
    Done,
    /// Another process has it.
    TakenOver,
    /// This process is about to end; another one is to go on.
    Stopping,
}

/// What keeps a job from going on for now.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    History(#[from] IllegalJob),
}

/// Starts working on jobs.
pub(crate) fn start(journal: &Journal, store: &Store, registry: &RegistryView, platform: &Platform) {
    let worker = Arc::new(Worker {
        journal: journal.clone(),
        store: store.clone(),
        registry: registry.clone(),
        freshness: Freshness::new(journal.clone(), store.clone()),
        drain: platform.drain.clone(),
        under_way: UnderWay::default(),
    });
    platform.drain.spawn("jobs", async move {
        let mut facts = worker.journal.job_feed();
        while let Some(message) = facts.next().await {
            match &message.value {
                JobFact::Started(_) => worker.drain.spawn_work(Arc::clone(&worker).take(message)),
                // They are for whoever has the job in hand, and are read from the stream.
                JobFact::Progressed(_) | JobFact::CancelRequested(_) | JobFact::Finished(_) => message.ack().await,
            }
        }
    });
}

impl Worker {
    async fn take(self: Arc<Self>, message: Message<JobFact>) {
        let reference = message.value.reference();
        let Some(_under_way) = self.under_way.begin(reference.job) else {
            // It is under way in this process, and whoever works on it acknowledges for both.
            return;
        };
        let (span, trace) = TraceContext::enter(
            Some(&message.trace),
            || info_span!("job", otel.kind = "consumer", job = %reference.job, account = %reference.account),
        );
        let working = Box::pin(self.work(reference, &trace).instrument(span));
        match message.while_doing(working).await {
            Ended::Done => message.ack().await,
            Ended::Stopping => message.retry_later(Duration::ZERO).await,
            Ended::TakenOver => tracing::info!(job = %reference.job, "another process works on this job"),
        }
    }

    /// Works on a job until it has ended, however often the broker or the database fail.
    async fn work(&self, reference: &JobRef, trace: &TraceContext) -> Ended {
        loop {
            let worked = async {
                match Run::begin(self, reference, trace).await? {
                    Some(run) => run.until_its_end().await,
                    None => Ok(Ended::Done),
                }
            };
            let trouble = match worked.await {
                Ok(ended) => return ended,
                Err(trouble) => trouble,
            };
            tracing::warn!(job = %reference.job, error = trouble.chain(), "a job stands still; trying again");
            if !self.rest(PAUSE).await {
                return Ended::Stopping;
            }
        }
    }

    /// Lets time pass; whether the process goes on.
    async fn rest(&self, time: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.drain.stopping() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}
