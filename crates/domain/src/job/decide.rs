//! Decisions about each delivery or event that a job reaches, and about the job itself.

use std::collections::HashSet;

use jiff::Timestamp;

use super::{
    facts::{
        JobCancelRequested, JobFact, JobFinished, JobOutcome, JobProgressed, JobStarted, Plan, Progress, Recovery,
        Refused, Sample,
    },
    state::Job,
};
use crate::{
    delivery::{
        Delivery, DeliveryFact, DeliveryStatus, RetryContext, RetryRefusal, RetryRequest, request, request_retry,
    },
    ids::{DeliveryId, DestinationId, LeadSequence},
    lead::LeadEvent,
    registry::Registry,
    routing::destinations_for,
};

/// The maximum number of deliveries in the list of a job. Their ids must fit into one fact.
pub const MAX_LISTED: usize = 1_000;
/// The maximum number of examples that a dry run shows.
pub const MAX_SAMPLED: usize = 20;

/// Why a job is not started, or not cancelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JobRefusal {
    #[error("no delivery is named")]
    Nothing,
    #[error("{0} deliveries are named, and {MAX_LISTED} is the limit; use a filter, or several jobs")]
    TooMany(usize),
    #[error("delivery {0} is named twice")]
    Twice(DeliveryId),
    #[error("until ({until}) is not later than since ({since})")]
    NoTime { since: Timestamp, until: Timestamp },
    #[error("the job has ended already: {}", .0.as_str())]
    Ended(JobOutcome),
}

/// Whether a job can start with this plan.
///
/// # Errors
/// If the plan is invalid.
pub fn check(plan: &Plan) -> Result<(), JobRefusal> {
    match plan {
        Plan::RetryListed(ids) => {
            if ids.is_empty() {
                return Err(JobRefusal::Nothing);
            }
            if ids.len() > MAX_LISTED {
                return Err(JobRefusal::TooMany(ids.len()));
            }
            let mut seen = HashSet::with_capacity(ids.len());
            ids.iter().find(|id| !seen.insert(**id)).map_or(Ok(()), |id| Err(JobRefusal::Twice(*id)))
        }
        Plan::RetryFiltered(_) => Ok(()),
        Plan::Recover(Recovery { since, until: Some(until), .. }) if until <= since => {
            Err(JobRefusal::NoTime { since: *since, until: *until })
        }
        Plan::Recover(_) => Ok(()),
    }
}

/// The decision about a delivery or an event.
#[expect(clippy::large_enum_variant, reason = "a decision is carried out at once, so there are never many of them")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobDecision {
    /// Append this fact, which asks for an attempt.
    Ask(DeliveryFact),
    /// No attempt is possible.
    Refuse(Refused),
    /// The destination has the event, or is about to get it.
    Had,
    /// The event is older than the destination, and the job skips such events.
    BeforeCreated,
    /// The destination does not want the event.
    NotWanted,
}

/// An event that a recovery has reached.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub event: &'a LeadEvent,
    pub sequence: LeadSequence,
    /// Its delivery to the destination; `None` if the delivery does not exist.
    pub delivery: Option<&'a Delivery>,
}

impl Recovery {
    /// Why the recovery skips an event, by the current configuration. `None` if the destination should have the event;
    /// then the delivery has to be looked up.
    pub fn reason_to_skip(&self, registry: &Registry, event: &LeadEvent) -> Option<JobDecision> {
        let in_time = event.received_at >= self.since && self.until.is_none_or(|until| event.received_at < until);
        // A recovery skips test deliveries.
        let test = event.interface.is_tests();
        let of_types =
            self.event_types.is_empty() || self.event_types.iter().any(|types| types.matches(&event.event_type));
        if test || !in_time || !of_types || !destinations_for(registry, event).iter().any(|d| d.id == self.destination)
        {
            return Some(JobDecision::NotWanted);
        }
        let created = registry.destination_created_at(&self.destination);
        let older = created.is_some_and(|created| event.received_at < created);
        (older && !self.include_before_created).then_some(JobDecision::BeforeCreated)
    }
}

/// Decides about an event that its destination should have.
pub fn consider_event(
    job: &JobStarted,
    destination: &DestinationId,
    candidate: Candidate<'_>,
    context: RetryContext,
    at: Timestamp,
) -> JobDecision {
    let Candidate { event, sequence, delivery } = candidate;
    let requested = match delivery {
        Some(delivery) if !is_to_be_sent(job, delivery, sequence) => return JobDecision::Had,
        Some(delivery) => request_retry(delivery, context, at, job.retry_request()),
        None => context.check().map(|()| request(event, sequence, destination, at)),
    };
    let id = DeliveryId::of(&event.account, &event.event_id, destination);
    decision(job, id, requested)
}

/// Decides about a delivery that the job should retry; `delivery` is `None` if it does not exist.
pub fn consider_retry(
    job: &JobStarted,
    id: DeliveryId,
    delivery: Option<&Delivery>,
    context: RetryContext,
    at: Timestamp,
) -> JobDecision {
    let own = delivery.filter(|delivery| delivery.reference.account == job.reference.account);
    let requested = match own {
        Some(delivery) => request_retry(delivery, context, at, job.retry_request()),
        None => Err(RetryRefusal::Unknown),
    };
    decision(job, id, requested)
}

/// Whether a recovery sends an event although the destination has a delivery of it. An event that LEADS contains twice
/// is sent once.
fn is_to_be_sent(job: &JobStarted, delivery: &Delivery, sequence: LeadSequence) -> bool {
    match delivery.status {
        DeliveryStatus::Failed => true,
        DeliveryStatus::Succeeded => job.force && delivery.reference.lead_sequence == sequence,
        _ => false,
    }
}

impl JobStarted {
    /// The request for each delivery that the job retries.
    fn retry_request(&self) -> RetryRequest {
        RetryRequest {
            by: self.by.clone(),
            reason: self.reason.clone(),
            request: None,
            force: self.force,
            previous: None,
        }
    }
}

fn decision(job: &JobStarted, delivery: DeliveryId, requested: Result<DeliveryFact, RetryRefusal>) -> JobDecision {
    match requested {
        Ok(fact) => JobDecision::Ask(fact.requested_in(job.reference.job)),
        Err(why) => JobDecision::Refuse(Refused { delivery, why }),
    }
}

impl Progress {
    /// Counts a decision that was carried out (or, in a dry run, would have been).
    pub fn count(&mut self, decision: &JobDecision, dry_run: bool) {
        let counts = &mut self.counts;
        counts.examined += 1;
        match decision {
            JobDecision::Ask(fact) => {
                match fact {
                    DeliveryFact::Requested(_) => counts.requested += 1,
                    _ => counts.retried += 1,
                }
                if dry_run && self.sample.len() < MAX_SAMPLED {
                    let reference = fact.reference();
                    self.sample.push(Sample { delivery: reference.delivery, event_id: reference.event_id.clone() });
                }
            }
            JobDecision::Refuse(refused) => *counts.refused.entry(refused.why).or_default() += 1,
            JobDecision::Had => counts.had += 1,
            JobDecision::BeforeCreated => counts.before_created += 1,
            JobDecision::NotWanted => {}
        }
    }

    /// The fact that stores this progress.
    #[must_use]
    pub fn record(self, job: &JobStarted, refused: Vec<Refused>, at: Timestamp) -> JobFact {
        let progress = Self { step: self.step + 1, ..self };
        JobFact::Progressed(JobProgressed { reference: job.reference.clone(), progress, refused, at })
    }
}

/// Requests the end of a job; `None` if a caller requested it before.
///
/// # Errors
/// If the job has ended already.
pub fn cancel(job: &Job, by: String, at: Timestamp) -> Result<Option<JobFact>, JobRefusal> {
    if let Some(finished) = &job.finished {
        return Err(JobRefusal::Ended(finished.outcome));
    }
    let reference = job.reference().clone();
    Ok(job.cancel.is_none().then_some(JobFact::CancelRequested(JobCancelRequested { reference, by, at })))
}

/// The end of a job.
pub fn finish(job: &Job, outcome: JobOutcome, at: Timestamp) -> JobFact {
    let (reference, counts) = (job.reference().clone(), job.progress.counts.clone());
    JobFact::Finished(JobFinished { reference, outcome, counts, at })
}
