//! Work on one job: the runner reads pages, acts at the job's pace, and records the progress every few seconds.

use std::{collections::HashMap, time::Duration};

use domain::{
    Delivery, DeliveryFact, DeliveryId, Job, JobFact, Registry,
    delivery::RetryContext,
    job::{
        Candidate, JobDecision, JobOutcome, JobRef, Plan, Progress, Refused, Spread, consider_event, consider_retry,
        finish,
    },
};
use jiff::{SignedDuration, Timestamp};
use journal::{ACK_WAIT, JournalError, RecordedJob, StreamName};
use read_model::request_retry;
use runtime::{crash, trace::TraceContext};
use tokio::time::Instant;

use super::{
    context::{Context, Ended, JobError},
    items::{Item, ItemPage, Missing, What},
};

/// How long a job works before it records its progress.
const RECORD_INTERVAL: Duration = Duration::from_secs(2);
/// At most this many refusals fit into one record.
const MAX_REFUSED: usize = 1_000;
/// The largest difference between the clocks of two streams' leaders.
const MAX_CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(1);
/// The largest age of the state that a decision uses. A process that was silent for longer, because its machine hung,
/// may have lost the job.
const MAX_STATE_AGE: Duration = RECORD_INTERVAL.saturating_add(ACK_WAIT);
/// The interval of checks while the events are not routed yet, or the configuration is not known yet.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// A job that this process works on.
pub(super) struct Run<'a> {
    pub(super) context: &'a Context,
    pub(super) job: Job,
    version: u64,
    /// When the broker stored the last record.
    reached_at: Timestamp,
    /// The requests of this job, by any process, since the last record.
    pub(super) requested: HashMap<DeliveryId, DeliveryFact>,
    spread: Spread,
    clock: Instant,
    trace: &'a TraceContext,
}

/// The work since the last record.
struct Step {
    progress: Progress,
    refused: Vec<Refused>,
    began: Instant,
    /// Whether the job is at its end.
    last: bool,
}

/// The result of one item.
enum Settled {
    As(Box<JobDecision>),
    /// No process can read the item.
    Skipped,
    /// The item has to be read again later.
    NotYet,
}

/// Whether a record was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    Yes,
    /// Another process recorded something instead.
    TakenOver,
}

impl<'a> Run<'a> {
    /// Resumes a job from its last record; `None` if no record of the job is left.
    pub(super) async fn begin(
        context: &'a Context,
        reference: &JobRef,
        trace: &'a TraceContext,
    ) -> Result<Option<Self>, JobError> {
        let Some(RecordedJob { job, version, reached_at }) = context.journal.jobs().get(reference).await? else {
            return Ok(None);
        };
        let (spread, clock) = (Spread::new(job.started.pace), Instant::now());
        Ok(Some(Self { context, job, version, reached_at, requested: HashMap::new(), spread, clock, trace }))
    }

    /// Finds the requests since the last record. The process that made them died before it could record them, or does
    /// not know yet that it has lost the job. Call this after reading deliveries: a delivery that this job retried may
    /// not be failed any more, and its request has to be among those found.
    pub(super) async fn read_requests(&mut self) -> Result<(), JobError> {
        if !self.job.started.dry_run {
            let since = self.reached_at.checked_sub(MAX_CLOCK_SKEW).unwrap_or(Timestamp::MIN);
            let facts = self.context.journal.deliveries().requested_by_job(self.job.reference(), since).await?;
            self.requested = facts.into_iter().map(|fact| (fact.reference().delivery, fact)).collect();
        }
        Ok(())
    }

    pub(super) async fn until_its_end(mut self) -> Result<Ended, JobError> {
        while self.job.finished.is_none() {
            if self.context.drain.is_stopping() {
                return Ok(Ended::Stopping);
            }
            if self.job.cancel.is_some() {
                return self.end(JobOutcome::Cancelled).await;
            }
            let registry = self.context.registry.snapshot();
            if self.lost_its_destination(&registry) {
                return self.end(JobOutcome::DestinationDeleted).await;
            }
            let Some(step) = self.step(&registry).await? else {
                self.context.rest(CHECK_INTERVAL).await;
                self.reload().await?;
                continue;
            };
            let last = step.last;
            if self.record(step).await? == Recorded::TakenOver {
                return Ok(Ended::TakenOver);
            }
            crash::point("after a job's progress is stored");
            if last {
                return self.end(JobOutcome::Completed).await;
            }
        }
        Ok(Ended::Done)
    }

    fn lost_its_destination(&self, registry: &Registry) -> bool {
        let Plan::Recover(recovery) = &self.job.started.plan else { return false };
        registry.destination_ever(&recovery.destination).is_some_and(|destination| destination.deleted)
    }

    /// Works until the next record is due; `None` if no page can be read yet.
    async fn step(&mut self, registry: &Registry) -> Result<Option<Step>, JobError> {
        let progress = self.job.progress.clone();
        let mut step = Step { progress, refused: vec![], began: Instant::now(), last: false };
        while !step.last {
            // Decisions need every fact that is stored by now.
            self.context.read_barrier.wait_for_now(StreamName::Deliveries).await?;
            let Some(page) = self.page(&step.progress.cursor, registry).await? else { return Ok(None) };
            if !self.work_through(page, registry, &mut step).await? {
                break;
            }
        }
        Ok(Some(step))
    }

    /// Works through a page. Returns whether there is time for another one before the next record.
    async fn work_through(&mut self, page: ItemPage, registry: &Registry, step: &mut Step) -> Result<bool, JobError> {
        let read_at = Instant::now();
        let mut left = page.items.len();
        for Item { what, cursor } in page.items {
            if self.context.drain.is_stopping() {
                return Ok(false);
            }
            match self.settle(what, registry, read_at).await? {
                Settled::As(decision) => {
                    step.progress.count(&decision, self.job.started.dry_run);
                    if let JobDecision::Refuse(refused) = *decision {
                        step.refused.push(refused);
                    }
                }
                Settled::Skipped => {}
                Settled::NotYet => return Ok(false),
            }
            step.progress.cursor = cursor;
            left -= 1;
            if left > 0 && (step.began.elapsed() >= RECORD_INTERVAL || step.refused.len() >= MAX_REFUSED) {
                return Ok(false);
            }
        }
        step.last = page.last;
        Ok(step.began.elapsed() < RECORD_INTERVAL && step.refused.len() < MAX_REFUSED)
    }

    /// Decides about one item and acts on it.
    async fn settle(&mut self, what: What, registry: &Registry, read_at: Instant) -> Result<Settled, JobError> {
        let now = Timestamp::now();
        let decision = match what {
            What::Unreadable => return Ok(Settled::Skipped),
            What::Decided(decision) => *decision,
            What::Delivery(id, delivery) => {
                if let Some(fact) = self.requested.get(&id) {
                    return Ok(Settled::As(Box::new(JobDecision::Ask(fact.clone()))));
                }
                let subject = match &delivery {
                    Some(delivery) => self.retry_context(delivery, registry).await?,
                    None => RetryContext::default(),
                };
                consider_retry(&self.job.started, id, delivery.as_deref(), subject, now)
            }
            What::Event(missing) => {
                if let Some(fact) = self.requested.get(&missing.id) {
                    return Ok(Settled::As(Box::new(JobDecision::Ask(fact.clone()))));
                }
                let Missing { event, sequence, delivery, destination, .. } = missing.as_ref();
                let subject = match delivery {
                    Some(delivery) => self.retry_context(delivery, registry).await?,
                    None => request_retry::configured(registry, &event.account, &event.interface, destination),
                };
                let candidate = Candidate { event, sequence: *sequence, delivery: delivery.as_ref() };
                consider_event(&self.job.started, destination, candidate, subject, now)
            }
        };
        match decision {
            JobDecision::Ask(fact) if !self.job.started.dry_run => self.ask(fact, read_at).await,
            decided => Ok(Settled::As(Box::new(decided))),
        }
    }

    async fn retry_context(&self, delivery: &Delivery, registry: &Registry) -> Result<RetryContext, JobError> {
        let Context { journal, store, .. } = self.context;
        request_retry::context(journal, store, registry, delivery, self.job.started.force).await
    }

    /// Requests another round of a delivery, or a missing delivery, as soon as the job's pace allows it.
    async fn ask(&mut self, fact: DeliveryFact, read_at: Instant) -> Result<Settled, JobError> {
        let now = self.clock.elapsed();
        let wait = self.spread.turn(now).saturating_sub(now);
        if !self.context.rest(wait).await || read_at.elapsed() >= MAX_STATE_AGE {
            return Ok(Settled::NotYet);
        }
        let mut fact = fact;
        if let DeliveryFact::RetryRequested(retry) = &mut fact {
            retry.previous = self.context.store.latest_span(retry.reference.delivery).await?;
        }
        let requested = request_retry::append(&self.context.journal, &fact, self.trace).await?;
        crash::point("after a job asked for a delivery");
        let Err(why) = requested else { return Ok(Settled::As(Box::new(JobDecision::Ask(fact)))) };
        // Another request came first: from a person, another job, or another process that works on this job.
        self.read_requests().await?;
        let delivery = fact.reference().delivery;
        Ok(Settled::As(Box::new(match fact {
            fact if self.requested.contains_key(&delivery) => JobDecision::Ask(fact),
            DeliveryFact::Requested(_) => JobDecision::Had,
            _ => JobDecision::Refuse(Refused { delivery, why }),
        })))
    }

    /// Reads the job again: a caller may have cancelled it while nothing was recorded.
    async fn reload(&mut self) -> Result<(), JobError> {
        if let Some(now) = self.unless_taken_over().await? {
            (self.job, self.version) = (now.job, now.version);
        }
        Ok(())
    }

    async fn record(&mut self, step: Step) -> Result<Recorded, JobError> {
        if step.progress == self.job.progress {
            return Ok(Recorded::Yes);
        }
        let fact = step.progress.record(&self.job.started, step.refused, Timestamp::now());
        self.append(fact).await
    }

    async fn end(mut self, outcome: JobOutcome) -> Result<Ended, JobError> {
        let fact = finish(&self.job, outcome, Timestamp::now());
        Ok(match self.append(fact).await? {
            Recorded::Yes => {
                tracing::info!(job = %self.job.id(), outcome = outcome.as_str(), "job ended");
                Ended::Done
            }
            Recorded::TakenOver => Ended::TakenOver,
        })
    }

    async fn append(&mut self, fact: JobFact) -> Result<Recorded, JobError> {
        loop {
            match self.context.journal.jobs().append(&fact, self.version, self.trace).await {
                Ok(version) => {
                    self.version = version;
                    self.reached_at = self.context.journal.jobs().stored_at(version).await?;
                    self.job = Job::evolve(Some(self.job.clone()), &fact)?;
                    return Ok(Recorded::Yes);
                }
                Err(JournalError::LostRace) => match self.unless_taken_over().await? {
                    // Only a cancellation was recorded in between.
                    Some(now) => (self.job, self.version) = (now.job, now.version),
                    None => return Ok(Recorded::TakenOver),
                },
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The current state of the job, if no other process recorded progress.
    async fn unless_taken_over(&self) -> Result<Option<RecordedJob>, JobError> {
        let now = self.context.journal.jobs().get(self.job.reference()).await?;
        Ok(now.filter(|now| now.job.progress.step == self.job.progress.step && now.job.finished.is_none()))
    }
}
