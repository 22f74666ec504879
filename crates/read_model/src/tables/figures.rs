//! Counts of the whole installation, for metrics.

use domain::job::JobStatus;

use crate::{
    error::StoreError,
    sql::{self, Statement},
    store::Store,
};

/// The counts of all accounts together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries whose stored status is held.
    pub held: u64,
    pub open_problems: u64,
    pub open_jobs: Vec<(JobStatus, u64)>,
}

impl Store {
    pub async fn installation_counts(&self) -> Result<Counts, StoreError> {
        let held = self.sum("SELECT CAST(COALESCE(SUM(held), 0) AS BIGINT) AS n FROM destination_health").await?;
        let open_problems = self.sum("SELECT COUNT(*) AS n FROM problems WHERE deliveries > 0").await?;
        let mut open_jobs = vec![];
        for status in JobStatus::ALL.into_iter().filter(|status| status.is_open()) {
            let mut select = Statement::new("SELECT COUNT(*) AS n FROM jobs WHERE status = ");
            select.push("?", [status.as_str().into()]);
            open_jobs.push((status, self.number(select).await?));
        }
        Ok(Counts { held, open_problems, open_jobs })
    }

    async fn sum(&self, text: &str) -> Result<u64, StoreError> {
        self.number(Statement::new(text)).await
    }

    async fn number(&self, select: Statement) -> Result<u64, StoreError> {
        let number = sql::int(&self.fetch_one(select).await?, "n")?;
        u64::try_from(number).map_err(|_| sql::wrong("n", number))
    }
}
