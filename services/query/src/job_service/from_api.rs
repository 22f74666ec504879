//! Reads the requests for jobs, and notes every wrong field.

use std::sync::Arc;

use api::{
    request::{Violations, WrongField, given, request_id, required, time},
    status::job_refusal,
};
use domain::{
    AccountId, DeliveryId, DeliveryStatus, DestinationId, JobId, LeadSequence, RequestId,
    delivery::DeliveryFilter,
    job::{MAX_LISTED, Pace, Plan, Recovery, check},
    registry::EventTypePattern,
};
use jiff::Timestamp;

use crate::{
    delivery_service::{filter, statuses},
    retry_reason,
};

/// At most this many types of events are named in a request for a recovery.
const MAX_TYPES: usize = 32;

/// What every request for a job has beside its plan.
pub(super) struct Start {
    pub(super) pace: Pace,
    pub(super) reason: String,
    pub(super) request: RequestId,
}

impl Start {
    pub(super) fn of(fields: &mut Violations, pace: u32, reason: &str, request: &str) -> Option<Self> {
        let pace = match pace {
            0 => Ok(Pace::DEFAULT),
            number => Pace::per_second(number).ok_or_else(|| {
                WrongField::new("pace", format!("{number} is not from 1 to {} a second", Pace::FASTEST))
            }),
        };
        let pace = fields.note(pace);
        let reason = fields.note(retry_reason::reason(reason));
        let request = fields.note(request_id(request));
        Some(Self { pace: pace?, reason: reason?, request: request? })
    }
}

pub(super) fn job_id(text: &str) -> Result<JobId, WrongField> {
    required("job_id", text, JobId::parse)
}

/// The plan of a bulk retry; the values of its filter are not looked at.
pub(super) fn retry_plan(
    fields: &mut Violations,
    request: &api::RetryDeliveriesRequest,
    account: Option<&AccountId>,
) -> Option<Plan> {
    match &request.filter {
        Some(_) if !request.delivery_ids.is_empty() => {
            fields.wrong("filter", "cannot be given together with delivery_ids");
            None
        }
        Some(given) => {
            let filter = ended_ones(fields, given, account, request.force)?;
            Some(Plan::RetryFiltered(Box::new(filter)))
        }
        None => {
            let plan = Plan::RetryListed(fields.note(listed(&request.delivery_ids))?);
            fields.note(check(&plan).map_err(|e| job_refusal(&e)))?;
            Some(plan)
        }
    }
}

/// The plan of a recovery. It ends with the first event until the caller sets `end`.
pub(super) fn recovery(fields: &mut Violations, request: &api::RecoverDestinationRequest) -> Option<Recovery> {
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

/// The filter of deliveries that can be retried.
fn ended_ones(
    fields: &mut Violations,
    given: &api::DeliveryFilter,
    account: Option<&AccountId>,
    force: bool,
) -> Option<DeliveryFilter> {
    let filter = filter(fields, given);
    let is_other = |account: &AccountId| AccountId::parse(&given.account_id).is_ok_and(|other| other != *account);
    if let Some(account) = account.filter(|account| is_other(account)) {
        fields.wrong("filter.account_id", format!("is not {account}, whose deliveries are to be retried"));
    }
    let refused = |status: &DeliveryStatus| match status {
        DeliveryStatus::Failed => false,
        DeliveryStatus::Succeeded => !force,
        _ => true,
    };
    if statuses("filter.statuses", &given.statuses).is_ok_and(|statuses| statuses.iter().any(refused)) {
        let problem =
            "has others than failed; only failed deliveries can be retried, and with force those that succeeded";
        fields.wrong("filter.statuses", problem);
    }
    let filter = filter?;
    // Deliveries that are requested while the job runs do not belong to it.
    let now = Timestamp::now();
    let requested_before = Some(filter.requested_before.map_or(now, |before| before.min(now)));
    Some(DeliveryFilter { account: Some(account?.clone()), requested_before, ..filter })
}

/// The deliveries of a list; reads no more of them than a job may have.
fn listed(ids: &[String]) -> Result<Arc<[DeliveryId]>, WrongField> {
    if ids.len() > MAX_LISTED {
        let problem = format!("are {}, and {MAX_LISTED} is the limit; use a filter", ids.len());
        return Err(WrongField::new("delivery_ids", problem));
    }
    ids.iter().map(|text| required("delivery_ids", text, DeliveryId::parse)).collect()
}

fn event_types(given: &[String]) -> Result<Vec<EventTypePattern>, WrongField> {
    if given.len() > MAX_TYPES {
        return Err(WrongField::new("event_types", format!("are {}, and {MAX_TYPES} is the limit", given.len())));
    }
    given.iter().map(|text| required("event_types", text, EventTypePattern::parse)).collect()
}
