//! The outcomes of the rounds that jobs requested. The counts change with each fact about such a delivery; other rounds
//! do not change them.

use std::collections::HashMap;

use domain::{JobId, delivery::RoundOutcome, job::Outcomes};
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    sql::{self, Statement, Value, bulk::Insert},
    store::Store,
};

const COLUMNS: [&str; 4] = ["job", "succeeded", "failed", "waiting"];

/// The changes of a batch of facts.
#[derive(Debug, Default)]
pub struct Changes {
    of: HashMap<JobId, [i64; 3]>,
}

impl Changes {
    /// Adds the change of one delivery by one fact.
    pub fn note(&mut self, before: Option<(JobId, RoundOutcome)>, after: Option<(JobId, RoundOutcome)>) {
        let Some((job, outcome)) = after.filter(|after| before != Some(*after)) else { return };
        let counts = self.of.entry(job).or_default();
        counts[column(outcome)] += 1;
        if let Some((_, outcome)) = before.filter(|(known, _)| *known == job) {
            counts[column(outcome)] -= 1;
        }
    }

    pub async fn write(self, transaction: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
        let mut changes: Vec<_> = self.of.into_iter().collect();
        changes.sort_unstable_by_key(|(job, _)| *job);
        let sets = COLUMNS[1..].iter().map(|column| format!("{column} = job_outcomes.{column} + excluded.{column}"));
        let then = format!(" ON CONFLICT (job) DO UPDATE SET {}", sets.collect::<Vec<_>>().join(", "));
        let rows = changes.into_iter().map(|(job, counts)| {
            let mut row = vec![Value::from(job.to_string())];
            row.extend(counts.map(Value::from));
            row
        });
        Insert { table: "job_outcomes", columns: &COLUMNS, then }.count(transaction, Box::new(rows)).await.map(drop)
    }
}

const fn column(outcome: RoundOutcome) -> usize {
    match outcome {
        RoundOutcome::Succeeded => 0,
        RoundOutcome::Failed => 1,
        RoundOutcome::Waiting => 2,
    }
}

impl Store {
    /// The outcomes of these jobs, without those that have none yet.
    pub async fn outcomes(&self, jobs: &[JobId]) -> Result<HashMap<JobId, Outcomes>, StoreError> {
        if jobs.is_empty() {
            return Ok(HashMap::new());
        }
        let mut select = Statement::new(format!("SELECT {} FROM job_outcomes WHERE job IN (", COLUMNS.join(", ")));
        let places = vec!["?"; jobs.len()].join(", ");
        select.push(&places, jobs.iter().map(|job| job.to_string().into())).push(")", []);
        self.fetch_all(select).await?.iter().map(from_row).collect()
    }
}

fn from_row(row: &AnyRow) -> Result<(JobId, Outcomes), StoreError> {
    let count = |column| sql::int(row, column).map(|count| u64::try_from(count).unwrap_or_default());
    let outcomes = Outcomes { succeeded: count("succeeded")?, failed: count("failed")?, waiting: count("waiting")? };
    Ok((sql::parsed(row, "job", |text| JobId::parse(text).ok())?, outcomes))
}
