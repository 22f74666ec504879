//! `leadline jobs`: shows and cancels bulk retries and recoveries.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Duration,
};

use api::{JobStatus, job::Plan};
use clap::{Args, Subcommand};
use tokio::time::{Instant, sleep};
use tonic::Status;

use crate::{
    remote::session::{ForAccount, Paging, Remote, Session, within},
    terminal::{
        errors::{AlreadyReported, is_away, usage},
        output::{counted, note, print},
        table::{Cell, Column, Table, Tone, fixed, flexible, print_facts, wrapped},
        time_args::{shown, span},
    },
};

/// How often a followed job is read.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// How long the server may be away while a job is followed.
const OUTAGE_TIMEOUT: Duration = Duration::from_secs(60);
/// The minimum length of a shortened id.
const MIN_BEGINNING: usize = 8;
/// The length of a UUID.
const ID_LENGTH: usize = 36;
/// How many of the latest jobs are searched for a shortened id.
const MAX_PAGE_SIZE: u32 = 500;
/// The maximum number of refusals that are shown with a job.
const MAX_REFUSALS: u32 = 20;

/// List, show and cancel jobs.
#[derive(Debug, Args)]
pub(crate) struct Jobs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List jobs, the newest first
    #[command(after_help = "Example:\n  leadline jobs list --status running")]
    List(List),
    /// Show a job and its first refusals
    #[command(after_help = "Example:\n  leadline jobs show 0b9b1f62-7a3e-5c55-8d0f-4a53c3f0a111 --follow")]
    Show(Show),
    /// List every refusal of a job with its reason
    #[command(after_help = "Example:\n  leadline jobs refusals 0b9b1f62-7a3e-5c55-8d0f-4a53c3f0a111 --all --json")]
    Refusals(Refusals),
    /// Cancel a job; what it has done by then is not undone
    #[command(after_help = "Example:\n  leadline jobs cancel 0b9b1f62-7a3e-5c55-8d0f-4a53c3f0a111")]
    Cancel(Cancel),
}

#[derive(Debug, Args)]
struct List {
    /// Only jobs with this status: running, cancelling, completed, cancelled, failed
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<JobStatus>,
    #[command(flatten)]
    account: ForAccount,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Named {
    /// The job: its id, or at least its first eight characters
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    account: ForAccount,
}

#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    job: Named,
    /// Wait for the end of the job and for the outcomes of its deliveries, and show the progress
    #[arg(long)]
    follow: bool,
    /// How long to wait for the outcomes of the deliveries once the job has ended; they continue in any case
    #[arg(long, value_name = "TIME", value_parser = span, default_value = "1m", requires = "follow")]
    wait: Duration,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Refusals {
    #[command(flatten)]
    job: Named,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Args)]
struct Cancel {
    #[command(flatten)]
    job: Named,
    #[command(flatten)]
    remote: Remote,
}

impl Jobs {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.verb {
            Verb::List(list) => list.run().await,
            Verb::Show(Show { job, follow, wait, remote }) => {
                let session = remote.connect().await?;
                let job_id = job.id(&session).await?;
                if follow {
                    return self::follow(&session, &job_id, wait).await;
                }
                let job = get(&session, &job_id).await?;
                show(&session, &job).await
            }
            Verb::Refusals(Refusals { job, paging, remote }) => {
                let session = remote.connect().await?;
                let job_id = job.id(&session).await?;
                let page = async |size, token| refusals(&session, &job_id, size, token).await;
                session.list(&paging, REFUSAL_COLUMNS, refusal, page).await
            }
            Verb::Cancel(Cancel { job, remote }) => {
                let session = remote.connect().await?;
                let job_id = job.id(&session).await?;
                let request = api::CancelJobRequest { job_id, requested_by: String::new() };
                let job = session.jobs().cancel_job(within(request)).await?.into_inner().job.unwrap_or_default();
                show(&session, &job).await
            }
        }
    }
}

impl Named {
    /// The whole id of the job. A shortened id is looked up among the latest jobs.
    async fn id(self, session: &Session) -> anyhow::Result<String> {
        let Self { job, account } = self;
        if !(MIN_BEGINNING..ID_LENGTH).contains(&job.len()) {
            return Ok(job);
        }
        let account_id = session.account(&account).await?;
        let request = api::ListJobsRequest { account_id, page_size: MAX_PAGE_SIZE, ..api::ListJobsRequest::default() };
        let latest = session.jobs().list_jobs(within(request)).await?.into_inner().jobs;
        let ids: Vec<_> = latest.into_iter().map(|job| job.job_id).filter(|id| id.starts_with(&job)).collect();
        match ids.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(usage(format!("none of the latest {MAX_PAGE_SIZE} jobs has an id that begins with {job}"))),
            [one, other, ..] => {
                Err(usage(format!("several ids begin with {job}, such as {one} and {other}; give more characters")))
            }
        }
    }
}

impl List {
    async fn run(&self) -> anyhow::Result<()> {
        let session = self.remote.connect().await?;
        let account_id = session.account(&self.account).await?;
        let status = self.status.unwrap_or_default().into();
        let columns = [
            fixed("STARTED"),
            fixed("STATUS"),
            fixed("JOB"),
            flexible("WHAT"),
            fixed("EXAMINED"),
            fixed("DONE"),
            fixed("REFUSED"),
        ];
        let row = |job: &api::Job| {
            let counts = job.counts.clone().unwrap_or_default();
            vec![
                shown(job.started_at.as_ref()).into(),
                status_cell(job),
                job.job_id.as_str().into(),
                what(job).into(),
                counts.examined.into(),
                (counts.retried + counts.requested).into(),
                counts.refused.into(),
            ]
        };
        let page = async |page_size, page_token| {
            let request = api::ListJobsRequest { account_id: account_id.clone(), status, page_size, page_token };
            let page = session.jobs().list_jobs(within(request)).await?.into_inner();
            Ok((page.jobs, page.next_page_token))
        };
        session.list(&self.paging, columns, row, page).await
    }
}

async fn get(session: &Session, job_id: &str) -> Result<api::Job, Status> {
    let request = api::GetJobRequest { job_id: job_id.to_owned() };
    Ok(session.jobs().get_job(within(request)).await?.into_inner())
}

/// Waits for the end of a job, then at most `wait` for the outcomes of its deliveries, and prints the job. Fails if the
/// job did not complete, refused a delivery, or had a delivery that failed again.
pub(crate) async fn follow(session: &Session, job_id: &str, wait: Duration) -> anyhow::Result<()> {
    let progress = std::io::stderr().is_terminal() && !session.out.is_json();
    let (mut answered, mut announced) = (Instant::now(), session.out.is_json());
    let mut ended = None;
    let job = loop {
        sleep(POLL_INTERVAL).await;
        match get(session, job_id).await {
            Ok(job) if job.finished_at.is_some() && is_settled(&job, *ended.get_or_insert_with(Instant::now), wait) => {
                break job;
            }
            Ok(job) => {
                answered = Instant::now();
                if !announced {
                    note(&format!(
                        "Job {job_id} continues in the background; leadline jobs cancel {job_id} cancels it."
                    ));
                    announced = true;
                }
                if progress {
                    eprint!("\r{}; {}\u{1b}[K", summary(&job), outcome(&job));
                    let _ = std::io::stderr().flush();
                }
            }
            // The job continues without this process, and its server may come back.
            Err(status) if is_away(&status) && answered.elapsed() < OUTAGE_TIMEOUT => {}
            Err(status) => return Err(status.into()),
        }
    };
    if progress {
        eprint!("\r\u{1b}[K");
    }
    show(session, &job).await?;
    let unsuccessful = job.counts.as_ref().map_or(0, |counts| counts.refused + counts.failed);
    if job.status() == JobStatus::Completed && unsuccessful == 0 { Ok(()) } else { Err(AlreadyReported.into()) }
}

/// Whether the outcomes of a job that ended are known, or the wait for them is over.
fn is_settled(job: &api::Job, ended: Instant, wait: Duration) -> bool {
    let counts = job.counts.clone().unwrap_or_default();
    let is_known = job.dry_run || counts.succeeded + counts.failed >= counts.retried + counts.requested;
    is_known || ended.elapsed() >= wait
}

pub(crate) async fn show(session: &Session, job: &api::Job) -> anyhow::Result<()> {
    if session.out.is_json() {
        return session.out.json(job);
    }
    let counts = job.counts.clone().unwrap_or_default();
    let facts = vec![
        ("job", job.job_id.as_str().into()),
        ("status", status_cell(job)),
        ("account", job.account_id.as_str().into()),
        ("what", what(job).into()),
        ("requested by", job.requested_by.as_str().into()),
        ("pace", format!("{} a second", job.pace).into()),
        ("started", shown(job.started_at.as_ref()).into()),
        ("ended", shown(job.finished_at.as_ref()).into()),
        ("cancelled by", job.cancelled_by.as_str().into()),
        ("because", job.reason.as_str().into()),
        ("progress", summary(job).into()),
        ("deliveries", outcome(job).into()),
    ];
    print_facts(&session.out, facts)?;
    if !job.sample.is_empty() {
        print("")?;
        let row = |sample: &api::JobSample| vec![sample.delivery_id.as_str().into(), sample.event_id.as_str().into()];
        let columns = [fixed("WOULD BE SENT"), flexible("EVENT")];
        Table::new(columns).print(&session.out, &job.sample.iter().map(row).collect::<Vec<_>>())?;
    }
    if counts.refused == 0 {
        return Ok(());
    }
    let (refused, more) = refusals(session, &job.job_id, MAX_REFUSALS, String::new()).await?;
    if !refused.is_empty() {
        print("")?;
        Table::new(REFUSAL_COLUMNS).print(&session.out, &refused.iter().map(refusal).collect::<Vec<_>>())?;
    }
    if !more.is_empty() {
        note(&format!("There are more: leadline jobs refusals {} --all", job.job_id));
    }
    Ok(())
}

const REFUSAL_COLUMNS: [Column; 2] = [fixed("REFUSED"), wrapped("WHY")];

fn refusal(refusal: &api::JobRefusal) -> Vec<Cell> {
    vec![refusal.delivery_id.as_str().into(), refusal.message.as_str().into()]
}

async fn refusals(
    session: &Session,
    job_id: &str,
    page_size: u32,
    page_token: String,
) -> Result<(Vec<api::JobRefusal>, String), Status> {
    let request = api::ListJobRefusalsRequest { job_id: job_id.to_owned(), page_size, page_token };
    let page = session.jobs().list_job_refusals(within(request)).await?.into_inner();
    Ok((page.refusals, page.next_page_token))
}

/// The progress of a job, on one line.
fn summary(job: &api::Job) -> String {
    let api::JobCounts { examined, retried, requested, had, before_created, refused, .. } =
        job.counts.clone().unwrap_or_default();
    let would = if job.dry_run { "would be " } else { "" };
    let mut parts = vec![format!("{examined} examined"), format!("{retried} {would}retried")];
    if matches!(job.plan, Some(Plan::Recovery(_))) {
        parts.push(format!("{requested} {would}requested for the first time"));
        parts.push(format!("{had} already delivered or in progress"));
        parts.push(format!("{before_created} older than the destination"));
    }
    parts.push(format!("{refused} refused"));
    parts.join(", ")
}

/// The outcomes of a job's deliveries, on one line; empty if none is known.
fn outcome(job: &api::Job) -> String {
    let api::JobCounts { succeeded, failed, waiting, .. } = job.counts.clone().unwrap_or_default();
    if succeeded + failed + waiting == 0 {
        return String::new();
    }
    format!("{succeeded} succeeded, {failed} failed again, {waiting} still waiting")
}

fn what(job: &api::Job) -> String {
    let what = match &job.plan {
        Some(Plan::Retry(plan)) => {
            let which = match plan.filter {
                None => format!("of {}", counted(plan.delivery_ids.len() as u64, "delivery", "deliveries")),
                Some(_) => "by filter".to_owned(),
            };
            format!("{} {which}", if plan.force { "resend" } else { "retry" })
        }
        Some(Plan::Recovery(plan)) => {
            let again = if plan.include_succeeded { ", with succeeded events" } else { "" };
            format!("recovery of {} since {}{again}", plan.destination_id, shown(plan.since.as_ref()))
        }
        None => String::new(),
    };
    if job.dry_run { format!("dry run: {what}") } else { what }
}

fn status_cell(job: &api::Job) -> Cell {
    let word = job.status().as_str_name().trim_start_matches(PREFIX).to_lowercase();
    match job.status() {
        JobStatus::Completed => Cell::toned(word, Tone::Good),
        JobStatus::Failed => Cell::toned(format!("{word} ({})", job.outcome), Tone::Bad),
        JobStatus::Cancelled | JobStatus::Cancelling => Cell::toned(word, Tone::Waiting),
        JobStatus::Running | JobStatus::Unspecified => word.into(),
    }
}

const PREFIX: &str = "JOB_STATUS_";

fn status(text: &str) -> Result<JobStatus, String> {
    let found = JobStatus::from_str_name(&format!("{PREFIX}{}", text.to_uppercase()));
    let known = found.filter(|status| *status != JobStatus::Unspecified);
    known.ok_or_else(|| "is not one of running, cancelling, completed, cancelled, failed".to_owned())
}
