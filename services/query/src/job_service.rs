//! `leadline.v1.JobService`: starts, shows and cancels jobs.

use std::time::Duration;

use api::{
    job_service_server::JobServiceServer,
    jobs::{Start, job_id, job_to_api, recovery, refusal_to_api, retry_plan, status_from_api},
    request::Violations,
    status::{aborted, because, job_refusal, not_found, unavailable},
};
use domain::{
    AccountId, Job, JobFact, JobId, LeadSequence, RequestId,
    job::{JobRef, JobStarted, Outcomes, Plan, Recovery, Refused, cancel},
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RecordedJob, RegistryView, StreamName};
use prost::Message as _;
use read_model::{
    History, Store,
    hashing::Hashing,
    page::Place,
    read_barrier::{ReadBarrier, SHOWN_POLL},
};
use runtime::{ErrorChain as _, publishing, trace::TraceContext};
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status, codec::CompressionEncoding};
use tracing::Instrument as _;

mod searching;

use crate::{
    call::{
        caller::Caller,
        errors::{failed, impossible, stale, unread},
        listing, not_found,
    },
    delivery_service::wanted,
};

/// At most this many jobs of an account may be open: enough to help several destinations at once, and few enough that
/// one repeated mistake does not overload the installation. Two concurrent requests may both be accepted.
const MAX_OPEN: u32 = 5;
/// How long the answer to a dry run waits for the result. After that, the answer is sent without it.
const DRY_RUN_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum bytes that the outcome counts of a job take in a message: three numbers of 64 bits.
const MAX_OUTCOMES: usize = 40;
/// How many times a cancellation is tried, because the job may record progress in between.
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

/// The request of a caller for a job.
struct Requested {
    account: AccountId,
    plan: Plan,
    start: Start,
    dry_run: bool,
    force: bool,
    by: String,
    trace: Option<TraceContext>,
}

#[tonic::async_trait]
impl api::job_service_server::JobService for JobService {
    async fn retry_deliveries(
        &self,
        request: Request<api::RetryDeliveriesRequest>,
    ) -> Answer<api::RetryDeliveriesResponse> {
        let trace = TraceContext::of_request(request.metadata().as_ref());
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let mut fields = Violations::default();
        let caller = caller.with_requester(&mut fields, &request.requested_by);
        let account = fields.note(caller.account(&request.account_id));
        let start = Start::of(&mut fields, request.pace, &request.reason, &request.request_id);
        let plan = retry_plan(&mut fields, &request, account.as_ref());
        let values = request.filter.map(|given| given.r#where).unwrap_or_default();
        if let (false, true, Some(account), Some(start)) = (values.is_empty(), fields.is_empty(), &account, &start) {
            // A repeated call gets its job, although the filter may match other deliveries by now.
            if let Some(job) = self.known(account, &start.request, request.dry_run).await? {
                return Ok(Response::new(api::RetryDeliveriesResponse { job: Some(self.with_outcomes(&job).await?) }));
            }
        }
        let values = account.as_ref().and_then(|id| fields.note(wanted(&self.hashing, Some(id), &values)));
        let (account, start, plan, values) = fields.end(|| Some((account?, start?, plan?, values?)))?;
        let plan = match plan {
            Plan::RetryFiltered(filter) if !values.is_empty() => {
                Plan::RetryListed(self.found(*filter, &values, request.force).await?)
            }
            plan => plan,
        };
        let (dry_run, force, by) = (request.dry_run, request.force, caller.by());
        let job = self.start(Requested { account, plan, start, dry_run, force, by, trace }).await?;
        Ok(Response::new(api::RetryDeliveriesResponse { job: Some(self.with_outcomes(&job).await?) }))
    }

    async fn recover_destination(
        &self,
        request: Request<api::RecoverDestinationRequest>,
    ) -> Answer<api::RecoverDestinationResponse> {
        let trace = TraceContext::of_request(request.metadata().as_ref());
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let caller = caller.with_requester(&mut fields, &request.requested_by);
        let account = fields.note(caller.account(&request.account_id));
        let start = Start::of(&mut fields, request.pace, &request.reason, &request.request_id);
        let recovery = recovery(&mut fields, request);
        let (account, start, recovery) = fields.end(|| Some((account?, start?, recovery?)))?;
        let (registry, destination) = (self.registry.snapshot(), &recovery.destination);
        if registry.destination(destination).is_none_or(|found| found.account != account) {
            return Err(not_found("DESTINATION", format!("account {account} has no destination {destination}")));
        }
        let end = self.journal.stream(StreamName::Leads).last_sequence().await.map_err(unread)?;
        let plan = Plan::Recover(Recovery { end: LeadSequence(end), ..recovery });
        let (dry_run, force, by) = (request.dry_run, request.include_succeeded, caller.by());
        let job = self.start(Requested { account, plan, start, dry_run, force, by, trace }).await?;
        Ok(Response::new(api::RecoverDestinationResponse { job: Some(self.with_outcomes(&job).await?) }))
    }

    async fn get_job(&self, request: Request<api::GetJobRequest>) -> Answer<api::Job> {
        let job = self.find(&Caller::of(&request)?, job_id(&request.get_ref().job_id)?).await?;
        Ok(Response::new(self.with_outcomes(&job).await?))
    }

    async fn list_jobs(&self, request: Request<api::ListJobsRequest>) -> Answer<api::ListJobsResponse> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let account = fields.note(caller.account(&request.account_id));
        let status = status_from_api(request.status());
        let list = account.as_ref().map(|account| (account, status));
        let page = listing::page(&mut fields, request.page_size, &request.page_token, list);
        let (account, page) = fields.end(|| account.zip(page))?;
        let mut found = self.store.jobs(&account, status, &page).await.map_err(failed)?;
        let next_page_token = page.cut_to_bytes(
            &mut found,
            |job| job_to_api(job, Outcomes::default()).encoded_len() + MAX_OUTCOMES,
            place,
        );
        let ids: Vec<_> = found.iter().map(Job::id).collect();
        let outcomes = self.store.outcomes(&ids).await.map_err(failed)?;
        let of = |job: &Job| outcomes.get(&job.id()).copied().unwrap_or_default();
        let jobs = found.iter().map(|job| job_to_api(job, of(job))).collect();
        Ok(Response::new(api::ListJobsResponse { jobs, next_page_token }))
    }

    async fn list_job_refusals(
        &self,
        request: Request<api::ListJobRefusalsRequest>,
    ) -> Answer<api::ListJobRefusalsResponse> {
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let id = fields.note(job_id(&request.job_id));
        let page = listing::page(&mut fields, request.page_size, &request.page_token, id);
        let (id, page) = fields.end(|| id.zip(page))?;
        let id = self.find(&caller, id).await?.id();
        let mut found = self.store.job_refusals(id, &page).await.map_err(failed)?;
        let next_page_token = page.cut(&mut found, refusal_place);
        let refusals = found.iter().map(refusal_to_api).collect();
        Ok(Response::new(api::ListJobRefusalsResponse { refusals, next_page_token }))
    }

    async fn cancel_job(&self, request: Request<api::CancelJobRequest>) -> Answer<api::CancelJobResponse> {
        let trace = TraceContext::of_request(request.metadata().as_ref());
        let (caller, request) = (Caller::of(&request)?, request.get_ref());
        let mut fields = Violations::default();
        let caller = caller.with_requester(&mut fields, &request.requested_by);
        let id = fields.note(job_id(&request.job_id));
        let id = fields.end(|| id)?;
        let reference = self.find(&caller, id).await?.reference().clone();
        let (span, trace) =
            TraceContext::enter(trace.as_ref(), || publishing!(StreamName::Jobs, leadline.job.id = %reference.job));
        let job = self.cancel(&reference, caller.by(), &trace).instrument(span).await?;
        Ok(Response::new(api::CancelJobResponse { job: Some(self.with_outcomes(&job).await?) }))
    }
}

impl JobService {
    /// A job with the outcomes of its deliveries.
    async fn with_outcomes(&self, job: &Job) -> Result<api::Job, Status> {
        let outcomes = self.store.outcomes(&[job.id()]).await.map_err(failed)?;
        Ok(job_to_api(job, outcomes.get(&job.id()).copied().unwrap_or_default()))
    }

    /// Finds a job. For a job of another account, the error is the same as for one that does not exist.
    async fn find(&self, caller: &Caller, id: JobId) -> Result<Job, Status> {
        let found = self.store.job(id).await.map_err(failed)?;
        let found = found.filter(|job| caller.may_see(Some(&job.reference().account)));
        let account = caller.principal().account();
        found.ok_or_else(|| {
            let what = format!("there is no job {id}");
            not_found::in_history(self.history, &self.registry.snapshot(), account, "JOB", &what)
        })
    }

    /// Stores the request for a job. Returns the job; for a dry run with the result, if there is one in time.
    async fn start(&self, requested: Requested) -> Result<Job, Status> {
        let Requested { account, plan, start: Start { pace, reason, request }, dry_run, force, by, trace } = requested;
        if self.registry.snapshot().account(&account).is_none() {
            return Err(not_found("ACCOUNT", format!("there is no account {account}")));
        }
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
            TraceContext::enter(trace.as_ref(), || publishing!(StreamName::Jobs, leadline.job.id = %reference.job));
        let fact = JobStarted { reference, plan, dry_run, pace, force, by, reason, at: Timestamp::now() };
        let fact = JobFact::Started(fact);
        let sequence = match self.journal.jobs().append(&fact, 0, &trace).instrument(span).await {
            Ok(sequence) => sequence,
            // A repeat of this call stored the job first.
            Err(JournalError::LostRace) => {
                self.journal.stream(StreamName::Jobs).last_sequence().await.map_err(unread)?
            }
            Err(error) => return Err(not_stored(&error)),
        };
        let job = Job::evolve(None, &fact).map_err(impossible)?;
        self.read_barrier.shows(StreamName::Jobs, sequence).await.map_err(failed)?;
        if dry_run { self.result_of(job).await } else { Ok(job) }
    }

    /// The job of an earlier call with this id; for a dry run with the result, if there is one in time.
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
            let recorded = self.journal.jobs().get(reference).await.map_err(unread)?;
            let gone = || not_found("JOB", format!("job {} no longer exists", reference.job));
            let RecordedJob { job, version, .. } = recorded.ok_or_else(gone)?;
            let decided = cancel(&job, by.clone(), Timestamp::now()).map_err(|e| job_refusal(&e))?;
            let Some(fact) = decided else { return Ok(job) };
            match self.journal.jobs().append(&fact, version, trace).await {
                Ok(sequence) => {
                    self.read_barrier.shows(StreamName::Jobs, sequence).await.map_err(failed)?;
                    return Job::evolve(Some(job), &fact).map_err(impossible);
                }
                // The job has progressed meanwhile, and may have ended.
                Err(JournalError::LostRace) => {}
                Err(error) => return Err(not_stored(&error)),
            }
        }
        Err(aborted("the job records its progress faster than it can be cancelled; repeat the call"))
    }
}

fn place(job: &Job) -> Place {
    Place { at: job.started.at.as_microsecond(), id: job.id().to_string() }
}

fn refusal_place(refused: &Refused) -> Place {
    Place { at: 0, id: refused.delivery.to_string() }
}

fn not_stored(error: &JournalError) -> Status {
    tracing::warn!(error = error.chain(), "cannot append a fact of a job; refused the call");
    unavailable(format!(
        "cannot confirm that the request was stored: {error}; repeat the call with the same request_id, it is stored once"
    ))
}
