//! The job runner: one process at a time works on a job, and keeps it until the job has ended.
//!
//! * this file chooses the jobs of this process, and retries a job that cannot continue
//! * [`run`] works on one job, [`pages`] reads its items
//!
//! Guarantee: a job continues from its last record of progress, even if another process worked on it before. Requests
//! after that record carry the job's id; the next process finds them, counts them, and does not repeat them.
//!
//! If the first process is silent, the broker redelivers the job to a second one. Then the process that records
//! progress first keeps the job. The record of the other process is refused ([`journal::JournalError::LostRace`]), and
//! it stops. Until then both may request the same delivery; both requests have the same message id, so one is stored.

mod context;
mod items;
mod pages;
mod run;

use std::{sync::Arc, time::Duration};

use domain::{JobFact, JobId, job::JobRef};
use journal::{Message, StreamName};
use read_model::{Sources, read_barrier::ReadBarrier};
use runtime::{
    ErrorChain as _, KeysInFlight, Platform, processing,
    trace::{TraceContext, Traced as _},
};

use self::{
    context::{Context, Ended},
    run::Run,
};

/// The delay before the runner retries a job that the broker or the database stopped.
const RETRY_DELAY: Duration = Duration::from_secs(1);

pub(super) fn start(sources: &Sources, platform: &Platform) {
    let Sources { journal, store, registry, .. } = sources;
    let context = Context {
        journal: journal.clone(),
        store: store.clone(),
        registry: registry.clone(),
        read_barrier: ReadBarrier::new(journal.clone(), store.clone()),
        drain: platform.drain.clone(),
    };
    let runner = Arc::new(JobRunner { context, in_flight: KeysInFlight::default() });
    platform.drain.spawn("jobs", async move {
        let mut facts = runner.context.journal.jobs().work_queue();
        while let Some(message) = facts.next().await {
            match &message.value {
                JobFact::Started(_) => runner.context.drain.spawn_work(Arc::clone(&runner).take(message)),
                // The process that works on the job reads these facts from the stream.
                JobFact::Progressed(_) | JobFact::CancelRequested(_) | JobFact::Finished(_) => message.ack().await,
            }
        }
    });
}

struct JobRunner {
    context: Context,
    in_flight: KeysInFlight<JobId>,
}

impl JobRunner {
    async fn take(self: Arc<Self>, message: Message<JobFact>) {
        let reference = message.value.reference();
        let Some(_in_flight) = self.in_flight.begin(reference.job) else {
            // This process works on the job already. The acknowledgement after that work covers this redelivery, too.
            return;
        };
        let (span, trace) = TraceContext::enter(
            Some(&message.trace),
            || processing!(StreamName::Jobs, leadline.job.id = %reference.job, leadline.account.id = %reference.account),
        );
        let working = async {
            tracing::info!(job = %reference.job, account = %reference.account, "job runs here");
            match message.with_heartbeat(Box::pin(self.work(reference, &trace))).await {
                Ended::Done => message.ack().await,
                Ended::Stopping => message.nak(Duration::ZERO).await,
                Ended::TakenOver => tracing::info!(job = %reference.job, "another process has taken over the job"),
            }
        };
        working.traced(span, &trace).await;
    }

    /// Works on a job until it has ended, even if the broker or the database fails meanwhile.
    async fn work(&self, reference: &JobRef, trace: &TraceContext) -> Ended {
        loop {
            let worked = async {
                match Run::begin(&self.context, reference, trace).await? {
                    Some(run) => run.until_its_end().await,
                    None => Ok(Ended::Done),
                }
            };
            let error = match worked.await {
                Ok(ended) => return ended,
                Err(error) => error,
            };
            tracing::warn!(job = %reference.job, error = error.chain(), "cannot continue job; retrying");
            if !self.context.rest(RETRY_DELAY).await {
                return Ended::Stopping;
            }
        }
    }
}
