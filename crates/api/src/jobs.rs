//! Conversions of jobs, and of the requests for them.

use std::sync::Arc;

use domain::{
    AccountId, DeliveryId, DeliveryStatus, DestinationId, Job, JobId, LeadSequence, RequestId,
    delivery::{DeliveryFilter, RetryRefusal},
    job::{Counts, JobStatus, MAX_LISTED, Outcomes, Pace, Plan, Recovery, Refused, check},
    registry::EventTypePattern,
};
use jiff::Timestamp;

use crate::{
    deliveries::{filter, filter_to_api, retry_reason, statuses},
    job::Plan as ShownPlan,
    primitives::timestamp_to_api,
    request::{Violations, WrongField, given, request_id, required, time},
    status::job_refusal,
};

/// The maximum number of event types in a request for a recovery.
const MAX_TYPES: usize = 32;

/// The parameters of every request for a job, besides its plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub pace: Pace,
    pub reason: String,
    pub request: RequestId,
}

impl Start {
    pub fn of(fields: &mut Violations, pace: u32, reason: &str, request: &str) -> Option<Self> {
        let pace = match pace {
            0 => Ok(Pace::DEFAULT),
            number => Pace::per_second(number).ok_or_else(|| {
                WrongField::new("pace", format!("{number} is not from 1 to {} a second", Pace::FASTEST))
            }),
        };
        let pace = fields.note(pace);
        let reason = fields.note(retry_reason(reason));
        let request = fields.note(request_id(request));
        Some(Self { pace: pace?, reason: reason?, request: request? })
    }
}

pub fn job_id(text: &str) -> Result<JobId, WrongField> {
    required("job_id", text, JobId::parse)
}

/// The plan of a bulk retry. It ignores the searched values of the filter (`where`), which the caller of this function
/// has to resolve.
pub fn retry_plan(
    fields: &mut Violations,
    request: &crate::RetryDeliveriesRequest,
    account: Option<&AccountId>,
) -> Option<Plan> {
    match &request.filter {
        Some(_) if !request.delivery_ids.is_empty() => {
            fields.wrong("filter", "cannot be given together with delivery_ids");
            None
        }
        Some(given) => {
            let filter = retry_filter(fields, given, account, request.force)?;
            Some(Plan::RetryFiltered(Box::new(filter)))
        }
        None => {
            let plan = Plan::RetryListed(fields.note(listed(&request.delivery_ids))?);
            fields.note(check(&plan).map_err(|e| job_refusal(&e)))?;
            Some(plan)
        }
    }
}

/// The plan of a recovery. It covers no event until the caller sets `end`.
pub fn recovery(fields: &mut Violations, request: &crate::RecoverDestinationRequest) -> Option<Recovery> {
    let destination = fields.note(required("destination_id", &request.destination_id, DestinationId::parse));
    let since = time("since", request.since.as_ref()).and_then(|since| given("since", since));
    let since = fields.note(since);
    let until = fields.note(time("until", request.until.as_ref()));
    let event_types = fields.note(event_types(&request.event_types));
    let recovery = Recovery {
        destination: destination?,
        since: since?,
        until: until?,
        include_before_created: request.include_before_created,
        event_types: event_types?,
        end: LeadSequence(0),
    };
    fields.note(check(&Plan::Recover(recovery.clone())).map_err(|e| job_refusal(&e)))?;
    Some(recovery)
}

/// The filter of a bulk retry. It refuses statuses of deliveries that cannot be retried.
fn retry_filter(
    fields: &mut Violations,
    given: &crate::DeliveryFilter,
    account: Option<&AccountId>,
    force: bool,
) -> Option<DeliveryFilter> {
    let filter = filter(fields, given);
    let is_other = |account: &AccountId| AccountId::parse(&given.account_id).is_ok_and(|other| other != *account);
    if let Some(account) = account.filter(|account| is_other(account)) {
        fields.wrong("filter.account_id", format!("has to be {account}, like the account_id of the request"));
    }
    let refused = |status: &DeliveryStatus| match status {
        DeliveryStatus::Failed => false,
        DeliveryStatus::Succeeded => !force,
        _ => true,
    };
    if statuses("filter.statuses", &given.statuses).is_ok_and(|statuses| statuses.iter().any(refused)) {
        let problem = "has a status other than failed; only failed deliveries can be retried, and with force those that succeeded";
        fields.wrong("filter.statuses", problem);
    }
    let filter = filter?;
    // Deliveries that are requested while the job runs do not belong to it.
    let now = Timestamp::now();
    let requested_before = Some(filter.requested_before.map_or(now, |before| before.min(now)));
    Some(DeliveryFilter { account: Some(account?.clone()), requested_before, ..filter })
}

/// Parses the ids of a list. If the list is longer than a job allows, no id is parsed.
fn listed(ids: &[String]) -> Result<Arc<[DeliveryId]>, WrongField> {
    if ids.len() > MAX_LISTED {
        let problem = format!("has {} entries, and {MAX_LISTED} is the limit; use a filter", ids.len());
        return Err(WrongField::new("delivery_ids", problem));
    }
    ids.iter().map(|text| required("delivery_ids", text, DeliveryId::parse)).collect()
}

fn event_types(given: &[String]) -> Result<Vec<EventTypePattern>, WrongField> {
    if given.len() > MAX_TYPES {
        return Err(WrongField::new(
            "event_types",
            format!("has {} entries, and {MAX_TYPES} is the limit", given.len()),
        ));
    }
    given.iter().map(|text| required("event_types", text, EventTypePattern::parse)).collect()
}

pub const fn status_from_api(status: crate::JobStatus) -> Option<JobStatus> {
    match status {
        crate::JobStatus::Unspecified => None,
        crate::JobStatus::Running => Some(JobStatus::Running),
        crate::JobStatus::Cancelling => Some(JobStatus::Cancelling),
        crate::JobStatus::Completed => Some(JobStatus::Completed),
        crate::JobStatus::Cancelled => Some(JobStatus::Cancelled),
        crate::JobStatus::Failed => Some(JobStatus::Failed),
    }
}

const fn status_to_api(status: JobStatus) -> crate::JobStatus {
    match status {
        JobStatus::Running => crate::JobStatus::Running,
        JobStatus::Cancelling => crate::JobStatus::Cancelling,
        JobStatus::Completed => crate::JobStatus::Completed,
        JobStatus::Cancelled => crate::JobStatus::Cancelled,
        JobStatus::Failed => crate::JobStatus::Failed,
    }
}

pub fn job_to_api(job: &Job, outcomes: Outcomes) -> crate::Job {
    let started = &job.started;
    let sample = job.progress.sample.iter().map(|sample| crate::JobSample {
        delivery_id: sample.delivery.to_string(),
        event_id: sample.event_id.to_string(),
    });
    crate::Job {
        job_id: job.id().to_string(),
        account_id: started.reference.account.to_string(),
        status: status_to_api(job.status()).into(),
        outcome: job.finished.as_ref().map(|finished| finished.outcome.as_str().to_owned()).unwrap_or_default(),
        outcome_code: job.finished.as_ref().map_or(crate::JobOutcome::Unspecified, |f| f.outcome.into()).into(),
        requested_by: started.by.clone(),
        dry_run: started.dry_run,
        pace: started.pace.get(),
        plan: Some(plan_to_api(&started.plan, started.force)),
        counts: Some(counts_to_api(job.counts(), outcomes)),
        sample: sample.collect(),
        started_at: Some(timestamp_to_api(started.at)),
        updated_at: Some(timestamp_to_api(job.updated_at)),
        finished_at: job.finished.as_ref().map(|finished| timestamp_to_api(finished.at)),
        reason: started.reason.clone(),
        cancelled_by: job.cancel.as_ref().map(|cancel| cancel.by.clone()).unwrap_or_default(),
    }
}

fn plan_to_api(plan: &Plan, force: bool) -> ShownPlan {
    match plan {
        Plan::RetryListed(ids) => {
            let delivery_ids = ids.iter().map(ToString::to_string).collect();
            ShownPlan::Retry(crate::RetryPlan { delivery_ids, filter: None, force })
        }
        Plan::RetryFiltered(filter) => {
            ShownPlan::Retry(crate::RetryPlan { delivery_ids: vec![], filter: Some(filter_to_api(filter)), force })
        }
        Plan::Recover(recovery) => ShownPlan::Recovery(crate::RecoveryPlan {
            destination_id: recovery.destination.to_string(),
            since: Some(timestamp_to_api(recovery.since)),
            until: recovery.until.map(timestamp_to_api),
            include_before_created: recovery.include_before_created,
            include_succeeded: force,
            event_types: recovery.event_types.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        }),
    }
}

fn counts_to_api(counts: &Counts, outcomes: Outcomes) -> crate::JobCounts {
    let refusal = |(why, count): (&RetryRefusal, &u64)| crate::JobRefusalCount {
        reason: why.as_str().to_owned(),
        message: why.to_string(),
        count: *count,
        reason_code: crate::RetryRefusalReason::from(*why).into(),
    };
    crate::JobCounts {
        examined: counts.examined,
        retried: counts.retried,
        requested: counts.requested,
        had: counts.had,
        before_created: counts.before_created,
        refused: counts.refused.values().sum(),
        refusals: counts.refused.iter().map(refusal).collect(),
        succeeded: outcomes.succeeded,
        failed: outcomes.failed,
        waiting: outcomes.waiting,
    }
}

pub fn refusal_to_api(refused: &Refused) -> crate::JobRefusal {
    crate::JobRefusal {
        delivery_id: refused.delivery.to_string(),
        reason: refused.why.as_str().to_owned(),
        message: refused.why.to_string(),
        reason_code: crate::RetryRefusalReason::from(refused.why).into(),
    }
}
