//! Jobs as the API shows them.

use api::{job::Plan as ShownPlan, timestamp_to_api};
use domain::{
    Job,
    delivery::RetryRefusal,
    job::{Counts, JobStatus, Outcomes, Plan, Refused},
};
use read_model::page::Place;

use crate::delivery_service::shown_filter;

pub(super) const fn status(status: api::JobStatus) -> Option<JobStatus> {
    match status {
        api::JobStatus::Unspecified => None,
        api::JobStatus::Running => Some(JobStatus::Running),
        api::JobStatus::Cancelling => Some(JobStatus::Cancelling),
        api::JobStatus::Completed => Some(JobStatus::Completed),
        api::JobStatus::Cancelled => Some(JobStatus::Cancelled),
        api::JobStatus::Failed => Some(JobStatus::Failed),
    }
}

const fn shown_status(status: JobStatus) -> api::JobStatus {
    match status {
        JobStatus::Running => api::JobStatus::Running,
        JobStatus::Cancelling => api::JobStatus::Cancelling,
        JobStatus::Completed => api::JobStatus::Completed,
        JobStatus::Cancelled => api::JobStatus::Cancelled,
        JobStatus::Failed => api::JobStatus::Failed,
    }
}

pub(super) fn place(job: &Job) -> Place {
    Place { at: job.started.at.as_microsecond(), id: job.id().to_string() }
}

pub(super) fn refusal_place(refused: &Refused) -> Place {
    Place { at: 0, id: refused.delivery.to_string() }
}

pub(super) fn shown(job: &Job, outcomes: Outcomes) -> api::Job {
    let started = &job.started;
    let sample = job.progress.sample.iter().map(|sample| api::JobSample {
        delivery_id: sample.delivery.to_string(),
        event_id: sample.event_id.to_string(),
    });
    api::Job {
        job_id: job.id().to_string(),
        account_id: started.reference.account.to_string(),
        status: shown_status(job.status()).into(),
        outcome: job.finished.as_ref().map(|finished| finished.outcome.as_str().to_owned()).unwrap_or_default(),
        outcome_code: job.finished.as_ref().map_or(api::JobOutcome::Unspecified, |f| f.outcome.into()).into(),
        requested_by: started.by.clone(),
        dry_run: started.dry_run,
        pace: started.pace.get(),
        plan: Some(shown_plan(&started.plan, started.force)),
        counts: Some(shown_counts(job.counts(), outcomes)),
        sample: sample.collect(),
        started_at: Some(timestamp_to_api(started.at)),
        updated_at: Some(timestamp_to_api(job.updated_at)),
        finished_at: job.finished.as_ref().map(|finished| timestamp_to_api(finished.at)),
        reason: started.reason.clone(),
        cancelled_by: job.cancel.as_ref().map(|cancel| cancel.by.clone()).unwrap_or_default(),
    }
}

fn shown_plan(plan: &Plan, force: bool) -> ShownPlan {
    match plan {
        Plan::RetryListed(ids) => {
            let delivery_ids = ids.iter().map(ToString::to_string).collect();
            ShownPlan::Retry(api::RetryPlan { delivery_ids, filter: None, force })
        }
        Plan::RetryFiltered(filter) => {
            ShownPlan::Retry(api::RetryPlan { delivery_ids: vec![], filter: Some(shown_filter(filter)), force })
        }
        Plan::Recover(recovery) => ShownPlan::Recovery(api::RecoveryPlan {
            destination_id: recovery.destination.to_string(),
            since: Some(timestamp_to_api(recovery.since)),
            until: recovery.until.map(timestamp_to_api),
            include_before_created: recovery.include_before_created,
            include_succeeded: force,
            event_types: recovery.event_types.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
        }),
    }
}

fn shown_counts(counts: &Counts, outcomes: Outcomes) -> api::JobCounts {
    let refusal = |(why, count): (&RetryRefusal, &u64)| api::JobRefusalCount {
        reason: why.as_str().to_owned(),
        message: why.to_string(),
        count: *count,
    };
    api::JobCounts {
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

pub(super) fn shown_refusal(refused: &Refused) -> api::JobRefusal {
    api::JobRefusal {
        delivery_id: refused.delivery.to_string(),
        reason: refused.why.as_str().to_owned(),
        message: refused.why.to_string(),
    }
}
