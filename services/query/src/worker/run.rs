//! One job being worked on: pages are gone through, what is to be done is done at the job's pace, and how far that is
//! gets recorded every few seconds.

use std::{collections::HashMap, time::Duration};

use domain::{
    DeliveryFact, DeliveryId, Job, JobFact, Registry,
    delivery::Subject,
    job::{
        Candidate, JobOutcome, JobRef, Plan, Progress, Refused, Spread, Verdict, consider_event, consider_retry, finish,
    },
};
use jiff::{SignedDuration, Timestamp};
use journal::{ACK_WAIT, JournalError, RecordedJob, StreamName};
use runtime::{crash, trace::TraceContext};
use tokio::time::Instant;

use super::{
    Ended, Trouble, Worker,
    pages::{Item, Missing, Page, What},
};
use crate::retrying;

/// How long a job works before it records how far it is.
const RECORD_AFTER: Duration = Duration::from_secs(2);
/// How many refusals fit into one record.
const MOST_REFUSED: usize = 1_000;
/// How far the clocks of two streams' leaders may be apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_secs(1);
/// How old what is decided on may be. Whoever was silent for longer, because its machine hung, may have lost the job.
const TOO_LONG_AGO: Duration = RECORD_AFTER.saturating_add(ACK_WAIT);
/// The pause while the router or the configuration have to catch up.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A job being worked on.
pub(super) struct Run<'a> {
    pub(super) worker: &'a Worker,
    pub(super) job: Job,
    version: u64,
    /// When the broker took the last record.
    reached_at: Timestamp,
    /// What was asked for in this job since then, by whomever.
    pub(super) asked: HashMap<DeliveryId, DeliveryFact>,
    spread: Spread,
    clock: Instant,
    trace: &'a TraceContext,
}

/// What is not recorded yet.
struct Step {
    progress: Progress,
    refused: Vec<Refused>,
    began: Instant,
    /// There is nothing behind it.
    last: bool,
}

/// What became of one thing.
enum Settled {
    As(Verdict),
    /// It cannot be read, and nobody else can either.
    PassedOver,
    /// It has to be looked at again.
    NotYet,
}

/// Whether a record was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Recorded {
    Yes,
    /// Another process recorded something instead.
    TakenOver,
}

impl<'a> Run<'a> {
    /// Takes a job up where it was left; none: nobody knows it any more.
    pub(super) async fn begin(
        worker: &'a Worker,
        reference: &JobRef,
        trace: &'a TraceContext,
    ) -> Result<Option<Self>, Trouble> {
        let Some(RecordedJob { job, version, reached_at }) = worker.journal.job(reference).await? else {
            return Ok(None);
        };
        let (spread, clock) = (Spread::new(job.started.pace), Instant::now());
        Ok(Some(Self { worker, job, version, reached_at, asked: HashMap::new(), spread, clock, trace }))
    }

    /// Finds out what was asked for since the last record: by a process that died before it could record that, or by one
    /// that does not know yet that it has lost the job. Looked at after the deliveries themselves, this tells of each that
    /// is no longer failed whether it is so because of this job.
    pub(super) async fn look_back(&mut self) -> Result<(), Trouble> {
        if !self.job.started.dry_run {
            let since = self.reached_at.checked_sub(CLOCKS_APART).unwrap_or(Timestamp::MIN);
            let facts = self.worker.journal.asked_for_in(self.job.reference(), since).await?;
            self.asked = facts.into_iter().map(|fact| (fact.reference().delivery, fact)).collect();
        }
        Ok(())
    }

    pub(super) async fn until_its_end(mut self) -> Result<Ended, Trouble> {
        while self.job.finished.is_none() {
            if self.worker.drain.is_stopping() {
                return Ok(Ended::Stopping);
            }
            if self.job.cancel.is_some() {
                return self.end(JobOutcome::Cancelled).await;
            }
            let registry = self.worker.registry.snapshot();
            if self.lost_its_destination(&registry) {
                return self.end(JobOutcome::DestinationDeleted).await;
            }
            let Some(step) = self.step(&registry).await? else {
                self.worker.rest(LOOK_AGAIN).await;
                self.look_again().await?;
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

    /// Does as much as is to be recorded at once; none: nothing can be done yet.
    async fn step(&mut self, registry: &Registry) -> Result<Option<Step>, Trouble> {
        let progress = self.job.progress.clone();
        let mut step = Step { progress, refused: vec![], began: Instant::now(), last: false };
        while !step.last {
            // What is decided rests on what is recorded by now.
            self.worker.freshness.wait_for_now(StreamName::Deliveries).await?;
            let Some(page) = self.page(&step.progress.cursor, registry).await? else { return Ok(None) };
            if !self.go_through(page, registry, &mut step).await? {
                break;
            }
        }
        Ok(Some(step))
    }

    /// Whether there is time for more.
    async fn go_through(&mut self, page: Page, registry: &Registry, step: &mut Step) -> Result<bool, Trouble> {
        let read_at = Instant::now();
        let mut left = page.items.len();
        for Item { what, cursor } in page.items {
            if self.worker.drain.is_stopping() {
                return Ok(false);
            }
            match self.settle(what, registry, read_at).await? {
                Settled::As(verdict) => {
                    step.progress.count(&verdict, self.job.started.dry_run);
                    if let Verdict::Refuse(refused) = verdict {
                        step.refused.push(refused);
                    }
                }
                Settled::PassedOver => {}
                Settled::NotYet => return Ok(false),
            }
            step.progress.cursor = cursor;
            left -= 1;
            if left > 0 && (step.began.elapsed() >= RECORD_AFTER || step.refused.len() >= MOST_REFUSED) {
                return Ok(false);
            }
        }
        step.last = page.last;
        Ok(step.began.elapsed() < RECORD_AFTER && step.refused.len() < MOST_REFUSED)
    }

    /// Decides about one thing and does what follows.
    async fn settle(&mut self, what: What, registry: &Registry, read_at: Instant) -> Result<Settled, Trouble> {
        let (journal, now) = (&self.worker.journal, Timestamp::now());
        let verdict = match what {
            What::Unreadable => return Ok(Settled::PassedOver),
            What::Decided(verdict) => verdict,
            What::Delivery(id, delivery) => {
                if let Some(fact) = self.asked.get(&id) {
                    return Ok(Settled::As(Verdict::Ask(fact.clone())));
                }
                let subject = match &delivery {
                    Some(delivery) => {
                        retrying::subject::<Trouble>(journal, &self.worker.store, registry, delivery).await?
                    }
                    None => Subject::default(),
                };
                consider_retry(&self.job.started, id, delivery.as_deref(), subject, now)
            }
            What::Event(missing) => {
                if let Some(fact) = self.asked.get(&missing.id) {
                    return Ok(Settled::As(Verdict::Ask(fact.clone())));
                }
                let Missing { event, sequence, delivery, destination, .. } = missing.as_ref();
                let subject = match delivery {
                    Some(delivery) => {
                        retrying::subject::<Trouble>(journal, &self.worker.store, registry, delivery).await?
                    }
                    None => retrying::configured(registry, &event.account, &event.interface, destination),
                };
                let candidate = Candidate { event, sequence: *sequence, delivery: delivery.as_ref() };
                consider_event(&self.job.started, destination, candidate, subject, now)
            }
        };
        match verdict {
            Verdict::Ask(fact) if !self.job.started.dry_run => self.ask(fact, read_at).await,
            decided => Ok(Settled::As(decided)),
        }
    }

    /// Asks for a delivery when its turn has come.
    async fn ask(&mut self, fact: DeliveryFact, read_at: Instant) -> Result<Settled, Trouble> {
        let now = self.clock.elapsed();
        let wait = self.spread.turn(now).saturating_sub(now);
        if !self.worker.rest(wait).await || read_at.elapsed() >= TOO_LONG_AGO {
            return Ok(Settled::NotYet);
        }
        let asked = retrying::ask(&self.worker.journal, &fact, self.trace).await?;
        crash::point("after a job asked for a delivery");
        let Err(why) = asked else { return Ok(Settled::As(Verdict::Ask(fact))) };
        // Somebody was faster: a person, another job, or another process that works on this one.
        self.look_back().await?;
        let delivery = fact.reference().delivery;
        Ok(Settled::As(match fact {
            fact if self.asked.contains_key(&delivery) => Verdict::Ask(fact),
            DeliveryFact::Requested(_) => Verdict::Had,
            _ => Verdict::Refuse(Refused { delivery, why }),
        }))
    }

    /// Somebody may have cancelled the job while nothing was recorded.
    async fn look_again(&mut self) -> Result<(), Trouble> {
        if let Some(now) = self.unless_taken_over().await? {
            (self.job, self.version) = (now.job, now.version);
        }
        Ok(())
    }

    async fn record(&mut self, step: Step) -> Result<Recorded, Trouble> {
        if step.progress == self.job.progress {
            return Ok(Recorded::Yes);
        }
        let fact = step.progress.record(&self.job.started, step.refused, Timestamp::now());
        self.append(fact).await
    }

    async fn end(mut self, outcome: JobOutcome) -> Result<Ended, Trouble> {
        let fact = finish(&self.job, outcome, Timestamp::now());
        Ok(match self.append(fact).await? {
            Recorded::Yes => Ended::Done,
            Recorded::TakenOver => Ended::TakenOver,
        })
    }

    async fn append(&mut self, fact: JobFact) -> Result<Recorded, Trouble> {
        loop {
            match self.worker.journal.append_job(&fact, self.version, self.trace).await {
                Ok(version) => {
                    self.version = version;
                    self.reached_at = self.worker.journal.job_recorded_at(version).await?;
                    self.job = Job::evolve(Some(self.job.clone()), &fact)?;
                    return Ok(Recorded::Yes);
                }
                Err(JournalError::LostRace) => match self.unless_taken_over().await? {
                    // Only a wish to cancel came in between.
                    Some(now) => (self.job, self.version) = (now.job, now.version),
                    None => return Ok(Recorded::TakenOver),
                },
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The job as it is now, if nobody else got any further with it.
    async fn unless_taken_over(&self) -> Result<Option<RecordedJob>, Trouble> {
        let now = self.worker.journal.job(self.job.reference()).await?;
        Ok(now.filter(|now| now.job.progress.step == self.job.progress.step && now.job.finished.is_none()))
    }
}
