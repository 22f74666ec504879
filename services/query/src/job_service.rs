//! `leadline.v1.JobService`: starts, shows and cancels jobs.

use std::time::Duration;

use api::{
    job_service_server::JobServiceServer,
    status::{aborted, because, invalid, job_refusal, not_found, unavailable},
};
use domain::{
    AccountId, DeliveryStatus, DestinationId, Job, JobFact, JobId, LeadSequence, RequestId,
    delivery::DeliveryFilter,
    job::{JobRef, JobStarted, Outcomes, Pace, Plan, Recovery, cancel, check},
    registry::EventTypePattern,
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RecordedJob, RegistryView, StreamName};
use prost::Message as _;
use read_model::{
    History, Store,
    hashing::Hashing,
    read_barrier::{ReadBarrier, SHOWN_POLL},
};
use runtime::{ErrorChain as _, publishing, trace::TraceContext};
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status, codec::CompressionEncoding};
use tracing::Instrument as _;

mod parts;
mod searching;

use self::parts::{
    id_of, listed, place, refusal_place, request_id, required, required_time, shown, shown_refusal, status, time,
};
use crate::{caller::Caller, delivery_service::filter, failed, listing, not_found, retry_reason, stale};

/// At most this many jobs of an account may be open: enough to help several destinations at once, and one repeated
/// mistake does not fill the installation. Two concurrent requests may both be accepted.
const MAX_OPEN: u32 = 5;
/// How long the answer to a dry run waits for its result; after that it comes without.
const DRY_RUN_TIMEOUT: Duration = Duration::from_secs(5);
/// At most this many types of events are named in a request for a recovery.
const MAX_TYPES: usize = 32;
/// The size of a job's outcome counts in a message, in bytes: room for three numbers of 64 bits.
const MAX_OUTCOMES: usize = 40;
/// The number of tries of a cancellation while the job records its progress in between.
const MAX_CANCEL_TRIES: u32 = 20;

struct JobService {
    journal: Journal,
    store: Store,
    registry: RegistryView,
    hashing: Hashing,
    read_barrier: ReadBarrier,
    history: History,
}

pub(crate) fn service(
    journal: Journal,
    store: Store,
    registry: RegistryView,
    hashing: Hashing,
    history: History,
) -> JobServiceServer<impl api::job_service_server::JobService> {
    let read_barrier = ReadBarrier::new(journal.clone(), store.clone());
    JobServiceServer::new(JobService { journal, store, registry, hashing, read_barrier, history })
        .accept_compressed(CompressionEncoding::Gzip)
}

type Answer<T> = Result<Response<T>, Status>;

/// The fields that every request for a job has.
struct NewJob {
    account: AccountId,
    plan: Plan,
    dry_run: bool,
    pace: u32,
    force: bool,
    by: String,
    reason: String,
    request: RequestId,
    trace: Option<TraceContext>,
}

#[tonic::async_trait]
impl api::job_service_server::JobService for JobService {
    async fn retry_deliveries(
        &self,
        request: Request<api::RetryDeliveriesRequest>,
    ) -> Answer<api::RetryDeliveriesResponse> {
        let caller = Caller::of(&request)?.asked_by(&request.get_ref().requested_by)?;
        let trace = TraceContext::of_request(request.metadata().as_ref());
        let request = request.into_inner();
        let account = caller.account(&request.account_id)?;
        let named = request_id(&request.request_id)?;
        let plan = match request.filter {
            Some(given) if !given.r#where.is_empty() && request.delivery_ids.is_empty() => {
                // The deliveries that matched when the job was made may no longer match.
                if let Some(job) = self.known(&account, &named, request.dry_run).await? {
                    return Ok(Response::new(api::RetryDeliveriesResponse { job: Some(self.shown(&job).await?) }));
                }
                Plan::RetryListed(self.found(given, &account, request.force).await?)
            }
            Some(_) if !request.delivery_ids.is_empty() => {
                return Err(invalid("filter", "cannot be given together with delivery_ids"));
            }
            Some(given) => Plan::RetryFiltered(Box::new(ended_ones(given, &account, request.force)?)),
            None => Plan::RetryListed(listed(&request.delivery_ids)?),
        };
        let new_job = NewJob {
            account,
            plan,
            dry_run: request.dry_run,
            pace: request.pace,
            force: request.force,
            by: caller.by(),
            reason: retry_reason::reason(&request.reason)?,
            request: named,
            trace,
        };
        let job = self.start(new_job).await?;
        Ok(Response::new(api::RetryDeliveriesResponse { job: Some(self.shown(&job).await?) }))
    }

    async fn recover_destination(
        &self,
        request: Request<api::RecoverDestinationRequest>,
    ) -> Answer<api::RecoverDestinationResponse> {
        let caller = Caller::of(&request)?.asked_by(&request.get_ref().requested_by)?;
        let trace = TraceContext::of_request(request.metadata().as_ref());
        let request = request.get_ref();
        let account = caller.account(&request.account_id)?;
        let destination = required("destination_id", &request.destination_id, DestinationId::parse)?;
        let registry = self.registry.snapshot();
        if registry.destination(&destination).is_none_or(|found| found.account != account) {
            return Err(not_found("DESTINATION", format!("account {account} has no destination {destination}")));
        }
        let since = required_time("since", request.since.as_ref())?;
        let until = time("until", request.until.as_ref())?;
        let include_before_created = request.include_before_created;
        let event_types = event_types(&request.event_types)?;
        let end = self.journal.stream(StreamName::Leads).last_sequence().await.map_err(|e| unknown(&e))?;
        let end = LeadSequence(end);
        let plan = Plan::Recover(Recovery { destination, since, until, include_before_created, event_types, end });
        let new_job = NewJob {
            account,
            plan,
            dry_run: request.dry_run,
            pace: request.pace,
            force: request.include_succeeded,
            by: caller.by(),
            reason: retry_reason::reason(&request.reason)?,
            request: request_id(&request.request_id)?,
            trace,
        };
        let job = self.start(new_job).await?;
        Ok(Response::new(api::RecoverDestinationResponse { job: Some(self.shown(&job).await?) }))
    }

    async fn get_job(&self, request: Request<api::GetJobRequest>) -> Answer<api::Job> {
        let job = self.find(&Caller::of(&request)?, id_of(&request.get_ref().job_id)?).await?;
        Ok(Response::new(self.shown(&job).await?))
    }

    async fn list_jobs(&self, request: Request<api::ListJobsRequest>) -> Answer<api::ListJobsResponse> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let account = caller.account(&request.account_id)?;
        let status = status(request.status());
        let page = listing::page(request.page_size, &request.page_token, (&account, status))?;
        let mut found = self.store.jobs(&account, status, &page).await.map_err(failed)?;
        let next_page_token =
            page.cut_to_bytes(&mut found, |job| shown(job, Outcomes::default()).encoded_len() + MAX_OUTCOMES, place);
        let ids: Vec<_> = found.iter().map(Job::id).collect();
        let outcomes = self.store.outcomes(&ids).await.map_err(failed)?;
        let of = |job: &Job| outcomes.get(&job.id()).copied().unwrap_or_default();
        let jobs = found.iter().map(|job| shown(job, of(job))).collect();
        Ok(Response::new(api::ListJobsResponse { jobs, next_page_token }))
    }

    async fn list_job_refusals(
        &self,
        request: Request<api::ListJobRefusalsRequest>,
    ) -> Answer<api::ListJobRefusalsResponse> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let id = self.find(&caller, id_of(&request.job_id)?).await?.id();
        let page = listing::page(request.page_size, &request.page_token, id)?;
        let mut found = self.store.job_refusals(id, &page).await.map_err(failed)?;
        let next_page_token = page.cut(&mut found, refusal_place);
        let refusals = found.iter().map(shown_refusal).collect();
        Ok(Response::new(api::ListJobRefusalsResponse { refusals, next_page_token }))
    }

    async fn cancel_job(&self, request: Request<api::CancelJobRequest>) -> Answer<api::CancelJobResponse> {
        let caller = Caller::of(&request)?.asked_by(&request.get_ref().requested_by)?;
        let trace = TraceContext::of_request(request.metadata().as_ref());
        let reference = self.find(&caller, id_of(&request.get_ref().job_id)?).await?.reference().clone();
        let (span, trace) =
            TraceContext::enter(trace.as_ref(), || publishing!("JOBS", leadline.job.id = %reference.job));
        let job = self.cancel(&reference, caller.by(), &trace).instrument(span).await?;
        Ok(Response::new(api::CancelJobResponse { job: Some(self.shown(&job).await?) }))
    }
}

impl JobService {
    /// A job with the outcomes of its deliveries.
    async fn shown(&self, job: &Job) -> Result<api::Job, Status> {
        let outcomes = self.store.outcomes(&[job.id()]).await.map_err(failed)?;
        Ok(shown(job, outcomes.get(&job.id()).copied().unwrap_or_default()))
    }

    /// A job of another account looks as if it did not exist.
    async fn find(&self, caller: &Caller, id: JobId) -> Result<Job, Status> {
        let found = self.store.job(id).await.map_err(failed)?;
        let found = found.filter(|job| caller.may_see(Some(&job.reference().account)));
        let account = caller.principal().account();
        found.ok_or_else(|| {
            let what = format!("there is no job {id}");
            not_found::in_history(self.history, &self.registry.snapshot(), account, "JOB", &what)
        })
    }

    /// Stores the request of a job. Returns the job; a dry run with its result if that comes in time.
    async fn start(&self, new_job: NewJob) -> Result<Job, Status> {
        let NewJob { account, plan, dry_run, pace, force, by, reason, request, trace } = new_job;
        if self.registry.snapshot().account(&account).is_none() {
            return Err(not_found("ACCOUNT", format!("there is no account {account}")));
        }
        check(&plan).map_err(|e| job_refusal(&e))?;
        let pace = match pace {
            0 => Pace::DEFAULT,
            number => Pace::per_second(number)
                .ok_or_else(|| invalid("pace", format!("{number} is not from 1 to {} a second", Pace::FASTEST)))?,
        };
        let reference = JobRef { job: JobId::of_request(&account, &request), account };
        if let Some(job) = self.known(&reference.account, &request, dry_run).await? {
            return Ok(job);
        }
        let account = &reference.account;
        let open = self.store.open_jobs(account).await.map_err(failed)?;
        if open >= MAX_OPEN {
            return Err(because(
                Code::ResourceExhausted,
                "LIMIT_REACHED",
                format!(
                    "account {account} has {open} jobs that have not ended, and {MAX_OPEN} is the limit; wait, or cancel one"
                ),
            ));
        }
        let (span, trace) =
            TraceContext::enter(trace.as_ref(), || publishing!("JOBS", leadline.job.id = %reference.job));
        let fact = JobStarted { reference, plan, dry_run, pace, force, by, reason, at: Timestamp::now() };
        let fact = JobFact::Started(fact);
        let sequence = match self.journal.jobs().append(&fact, 0, &trace).instrument(span).await {
            Ok(sequence) => sequence,
            // A repeat of this call was first.
            Err(JournalError::LostRace) => {
                self.journal.stream(StreamName::Jobs).last_sequence().await.map_err(|e| unknown(&e))?
            }
            Err(error) => return Err(not_stored(&error)),
        };
        let job = Job::evolve(None, &fact).map_err(|e| Status::internal(e.to_string()))?;
        self.read_barrier.shows(StreamName::Jobs, sequence).await.map_err(failed)?;
        if dry_run { self.result_of(job).await } else { Ok(job) }
    }

    /// The job of an earlier call with this id; a dry run has its result if that comes in time.
    async fn known(&self, account: &AccountId, request: &RequestId, dry_run: bool) -> Result<Option<Job>, Status> {
        self.read_barrier.wait_for_now(StreamName::Jobs).await.map_err(stale)?;
        match self.store.job(JobId::of_request(account, request)).await.map_err(failed)? {
            Some(job) if dry_run => self.result_of(job).await.map(Some),
            found => Ok(found),
        }
    }

    async fn result_of(&self, job: Job) -> Result<Job, Status> {
        let give_up = Instant::now() + DRY_RUN_TIMEOUT;
        while Instant::now() < give_up {
            if let Some(now) = self.store.job(job.id()).await.map_err(failed)?.filter(|now| now.finished.is_some()) {
                return Ok(now);
            }
            tokio::time::sleep(SHOWN_POLL).await;
        }
        Ok(job)
    }

    async fn cancel(&self, reference: &JobRef, by: String, trace: &TraceContext) -> Result<Job, Status> {
        for _ in 0..MAX_CANCEL_TRIES {
            let recorded = self.journal.jobs().get(reference).await.map_err(|e| unknown(&e))?;
            let gone = || not_found("JOB", format!("job {} no longer exists", reference.job));
            let RecordedJob { job, version, .. } = recorded.ok_or_else(gone)?;
            let decided = cancel(&job, by.clone(), Timestamp::now()).map_err(|e| job_refusal(&e))?;
            let Some(fact) = decided else { return Ok(job) };
            match self.journal.jobs().append(&fact, version, trace).await {
                Ok(sequence) => {
                    self.read_barrier.shows(StreamName::Jobs, sequence).await.map_err(failed)?;
                    return Job::evolve(Some(job), &fact).map_err(|e| Status::internal(e.to_string()));
                }
                // The job has progressed meanwhile, and may have ended.
                Err(JournalError::LostRace) => {}
                Err(error) => return Err(not_stored(&error)),
            }
        }
        Err(aborted("the job records its progress faster than it can be cancelled; repeat the call"))
    }
}

fn ended_ones(given: api::DeliveryFilter, account: &AccountId, force: bool) -> Result<DeliveryFilter, Status> {
    let filter = filter(given)?;
    if filter.account.as_ref().is_some_and(|other| other != account) {
        return Err(invalid("filter.account_id", format!("is not {account}, whose deliveries are to be retried")));
    }
    let refused = |status: &DeliveryStatus| match status {
        DeliveryStatus::Failed => false,
        DeliveryStatus::Succeeded => !force,
        _ => true,
    };
    if filter.statuses.iter().any(refused) {
        return Err(invalid(
            "filter.statuses",
            "has a status other than failed; only failed deliveries can be retried, and with force also succeeded ones",
        ));
    }
    // Deliveries that are requested while the job runs do not belong to it.
    let now = Timestamp::now();
    let requested_before = Some(filter.requested_before.map_or(now, |before| before.min(now)));
    Ok(DeliveryFilter { account: Some(account.clone()), requested_before, ..filter })
}

fn event_types(given: &[String]) -> Result<Vec<EventTypePattern>, Status> {
    if given.len() > MAX_TYPES {
        return Err(invalid("event_types", format!("has {} entries, and {MAX_TYPES} is the limit", given.len())));
    }
    given.iter().map(|text| required("event_types", text, EventTypePattern::parse)).collect()
}

fn unknown(error: &JournalError) -> Status {
    unavailable(format!("cannot read the journal: {error}"))
}

fn not_stored(error: &JournalError) -> Status {
    tracing::warn!(error = error.chain(), "cannot append a fact of a job; refused the call");
    unavailable(format!(
        "cannot confirm that the request was stored: {error}; repeat the call with the same request_id, it is stored once"
    ))
}
