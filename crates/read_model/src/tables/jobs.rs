//! Jobs and their refusals.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    AccountId, DeliveryId, DeliveryStatus, Job, JobId,
    delivery::RetryRefusal,
    job::{JobStatus, Refused},
};
use events::Record as _;
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    page::Page,
    sql::{
        self, Statement, Value,
        bulk::{self, Insert},
    },
    store::Store,
};

const COLUMNS: [&str; 5] = ["job", "account", "status", "started_at", "facts"];
const REFUSAL_COLUMNS: [&str; 4] = ["job", "delivery", "reason", "status"];

/// The known states of these jobs, read inside the transaction that will write them.
pub(crate) async fn load(
    transaction: &mut Transaction<'static, Any>,
    ids: &[JobId],
) -> Result<HashMap<JobId, Job>, StoreError> {
    let ids = ids.iter().map(|id| id.to_string().into()).collect();
    let rows = bulk::select_in(transaction, "SELECT facts FROM jobs WHERE job IN ", ids).await?;
    rows.iter().map(|row| from_row(row).map(|job| (job.id(), job))).collect()
}

/// Writes states over existing ones.
pub(crate) async fn save<'a>(
    transaction: &mut Transaction<'static, Any>,
    jobs: impl IntoIterator<Item = &'a Job>,
) -> Result<(), StoreError> {
    let insert = Insert { table: "jobs", columns: &COLUMNS, then: sql::replace("job", &[], &COLUMNS) };
    let rows: Vec<_> = jobs.into_iter().map(to_row).collect();
    insert.count(transaction, Box::new(rows.into_iter())).await.map(drop)
}

/// Adds refusals of jobs; a refusal that exists stays as it is.
pub(crate) async fn add_refusals(
    transaction: &mut Transaction<'static, Any>,
    refusals: Vec<(JobId, &Refused)>,
) -> Result<(), StoreError> {
    let then = " ON CONFLICT (job, delivery) DO NOTHING".to_owned();
    let rows = refusals.iter().map(|(job, refused)| refusal_row(*job, refused));
    Insert { table: "job_refusals", columns: &REFUSAL_COLUMNS, then }.count(transaction, Box::new(rows)).await.map(drop)
}

impl Store {
    pub async fn job(&self, id: JobId) -> Result<Option<Job>, StoreError> {
        let mut select = Statement::new("SELECT facts FROM jobs WHERE job = ");
        select.push("?", [id.to_string().into()]);
        self.fetch_optional(select).await?.as_ref().map(from_row).transpose()
    }

    /// The jobs of an account, the newest first.
    pub async fn jobs(
        &self,
        account: &AccountId,
        status: Option<JobStatus>,
        page: &Page,
    ) -> Result<Vec<Job>, StoreError> {
        self.fetch_all(select(account, status, page)).await?.iter().map(from_row).collect()
    }

    /// How many jobs of an account are open.
    pub async fn open_jobs(&self, account: &AccountId) -> Result<u32, StoreError> {
        let mut select = Statement::new("SELECT COUNT(*) AS jobs FROM jobs WHERE account = ");
        select.push("? AND status IN (", [account.as_str().into()]);
        let open: Vec<_> = JobStatus::ALL.into_iter().filter(|status| status.is_open()).collect();
        let places = vec!["?"; open.len()].join(", ");
        select.push(&places, open.into_iter().map(|status| status.as_str().into())).push(")", []);
        sql::count(&self.fetch_one(select).await?, "jobs")
    }

    /// The refusals of a job, in the order of the deliveries' ids.
    pub async fn job_refusals(&self, job: JobId, page: &Page) -> Result<Vec<Refused>, StoreError> {
        let mut select = Statement::new("SELECT delivery, reason, status FROM job_refusals WHERE job = ");
        select.push("?", [job.to_string().into()]);
        if let Some(after) = page.after() {
            select.push(" AND delivery > ?", [after.id.as_str().into()]);
        }
        select.push(" ORDER BY delivery LIMIT ?", [page.limit().into()]);
        self.fetch_all(select).await?.iter().map(refusal).collect()
    }
}

/// The statement of a page of jobs.
pub(crate) fn select(account: &AccountId, status: Option<JobStatus>, page: &Page) -> Statement {
    let mut select = Statement::new("SELECT facts FROM jobs WHERE account = ");
    select.push("?", [account.as_str().into()]);
    if let Some(status) = status {
        select.push(" AND status = ?", [status.as_str().into()]);
    }
    if let Some(after) = page.after() {
        select.push(" AND (started_at, job) < (?, ?)", [after.at.into(), after.id.as_str().into()]);
    }
    select.push(" ORDER BY started_at DESC, job DESC LIMIT ?", [page.limit().into()]);
    select
}

fn to_row(job: &Job) -> Vec<Value> {
    vec![
        job.id().to_string().into(),
        job.reference().account.as_str().into(),
        job.status().as_str().into(),
        job.started.at.into(),
        STANDARD.encode(job.encode()).into(),
    ]
}

fn from_row(row: &AnyRow) -> Result<Job, StoreError> {
    sql::parsed(row, "facts", |text| Job::decode(STANDARD.decode(text).ok()?.into()).ok())
}

fn refusal_row(job: JobId, refused: &Refused) -> Vec<Value> {
    vec![
        job.to_string().into(),
        refused.delivery.to_string().into(),
        refused.why.as_str().into(),
        refused.why.status().map_or("", DeliveryStatus::as_str).into(),
    ]
}

fn refusal(row: &AnyRow) -> Result<Refused, StoreError> {
    let status = DeliveryStatus::parse(&sql::text(row, "status")?);
    Ok(Refused {
        delivery: sql::parsed(row, "delivery", |text| DeliveryId::parse(text).ok())?,
        why: sql::parsed(row, "reason", |word| RetryRefusal::parse(word, status))?,
    })
}
