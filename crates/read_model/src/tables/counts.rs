//! How many deliveries ended and how many attempts were made, in buckets of time.

use std::collections::{BTreeMap, HashMap};

use domain::{
    AccountId, DestinationId,
    health::{Answers, Counts, Latencies},
};
use jiff::Timestamp;
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    page::Page,
    sql::{self, Statement, Value, bulk::Insert},
    store::Store,
};

const KEYS: [&str; 4] = ["destination", "width", "start", "account"];
const SUMS: [&str; 4] = ["succeeded", "failed", "attempts", "failed_attempts"];
const ANSWERS: [&str; Answers::KINDS] =
    ["answered_2xx", "answered_3xx", "answered_4xx", "answered_5xx", "not_answered"];
#[rustfmt::skip]
const LATENCIES: [&str; Latencies::BUCKETS] = [
    "l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "l9", "l10", "l11", "l12", "l13", "l14", "l15", "l16", "l17",
    "l18", "l19",
];

/// The size of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Width {
    FiveMinutes,
    Hour,
    Day,
}

impl Width {
    const ALL: [Self; 3] = [Self::FiveMinutes, Self::Hour, Self::Day];

    pub const fn seconds(self) -> i64 {
        match self {
            Self::FiveMinutes => 300,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// The start of the bucket of a time, in microseconds.
    pub fn start_of(self, at: Timestamp) -> i64 {
        let micros = self.seconds() * 1_000_000;
        at.as_microsecond().div_euclid(micros) * micros
    }
}

/// The counts to add to each bucket.
#[derive(Debug, Default)]
pub(crate) struct CountNews(BTreeMap<(DestinationId, Width, i64), (AccountId, Counts)>);

impl CountNews {
    pub(crate) fn add(&mut self, account: &AccountId, destination: &DestinationId, at: Timestamp, counts: &Counts) {
        for width in Width::ALL {
            let key = (destination.clone(), width, width.start_of(at));
            self.0.entry(key).or_insert_with(|| (account.clone(), Counts::default())).1.add_all(counts);
        }
    }
}

pub(crate) async fn apply(transaction: &mut Transaction<'static, Any>, news: &CountNews) -> Result<(), StoreError> {
    let columns: Vec<_> = KEYS.into_iter().chain(counted()).collect();
    let add = |column: &str| format!("{column} = delivery_counts.{column} + excluded.{column}");
    let sums: Vec<_> = counted().map(add).collect();
    let then = format!(" ON CONFLICT (destination, width, start) DO UPDATE SET {}", sums.join(", "));
    let insert = Insert { table: "delivery_counts", columns: &columns, then };
    let rows: Vec<_> = news.0.iter().map(to_row).collect();
    insert.count(transaction, Box::new(rows.into_iter())).await.map(drop)
}

/// The filter of a list of buckets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CountFilter {
    pub account: AccountId,
    pub destination: Option<DestinationId>,
    pub width: Width,
    pub from: Option<Timestamp>,
    pub before: Option<Timestamp>,
}

/// A bucket of a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub destination: DestinationId,
    /// In microseconds.
    pub start: i64,
    pub counts: Counts,
}

impl Store {
    /// Buckets, the newest first; those of one time in the order of the destinations.
    pub async fn counts(&self, filter: &CountFilter, page: &Page) -> Result<Vec<Bucket>, StoreError> {
        self.fetch_all(select(filter, page)).await?.iter().map(from_row).collect()
    }

    /// The sum of the five-minute buckets of all destinations from a time on.
    pub async fn all_counts_since(&self, since: Timestamp) -> Result<Counts, StoreError> {
        let sum = |column: &str| format!("CAST(COALESCE(SUM({column}), 0) AS BIGINT) AS {column}");
        let mut select = Statement::new(format!("SELECT {} FROM delivery_counts", SUMS.map(sum).join(", ")));
        let from = Width::FiveMinutes.start_of(since);
        select.push(" WHERE width = ? AND start >= ?", [Width::FiveMinutes.seconds().into(), from.into()]);
        let row = self.fetch_one(select).await?;
        let number = |column| sql::int(&row, column).map(|number| u64::try_from(number).unwrap_or_default());
        Ok(Counts {
            succeeded: number("succeeded")?,
            failed: number("failed")?,
            attempts: number("attempts")?,
            failed_attempts: number("failed_attempts")?,
            ..Counts::default()
        })
    }

    /// The sum of the five-minute buckets of each destination from a time on.
    pub async fn counts_since(
        &self,
        destinations: &[&DestinationId],
        since: Timestamp,
    ) -> Result<HashMap<DestinationId, Counts>, StoreError> {
        let mut sums: HashMap<DestinationId, Counts> = HashMap::new();
        if destinations.is_empty() {
            return Ok(sums);
        }
        let mut select = Statement::new(format!("{} WHERE destination IN (", before()));
        let places = vec!["?"; destinations.len()].join(", ");
        select.push(&places, destinations.iter().map(|id| id.as_str().into()));
        let from = Width::FiveMinutes.start_of(since);
        select.push(") AND width = ? AND start >= ?", [Width::FiveMinutes.seconds().into(), from.into()]);
        for row in self.fetch_all(select).await? {
            let bucket = from_row(&row)?;
            sums.entry(bucket.destination).or_default().add_all(&bucket.counts);
        }
        Ok(sums)
    }
}

/// The columns of counts.
fn counted() -> impl Iterator<Item = &'static str> {
    SUMS.into_iter().chain(ANSWERS).chain(LATENCIES)
}

fn before() -> String {
    let columns: Vec<_> = ["destination", "start"].into_iter().chain(counted()).collect();
    format!("SELECT {} FROM delivery_counts", columns.join(", "))
}

pub(crate) fn select(filter: &CountFilter, page: &Page) -> Statement {
    let mut select = Statement::new(before());
    match &filter.destination {
        Some(destination) => {
            let (destination, account) = (destination.as_str().into(), filter.account.as_str().into());
            select.push(" WHERE destination = ? AND (account || '') = ?", [destination, account])
        }
        None => select.push(" WHERE account = ?", [filter.account.as_str().into()]),
    };
    select.push(" AND width = ?", [filter.width.seconds().into()]);
    if let Some(from) = filter.from {
        select.push(" AND start >= ?", [from.into()]);
    }
    if let Some(before) = filter.before {
        select.push(" AND start < ?", [before.into()]);
    }
    if let Some(after) = page.after() {
        let values = [after.at.into(), after.at.into(), after.id.as_str().into()];
        select.push(" AND start <= ? AND (start < ? OR destination > ?)", values);
    }
    select.push(" ORDER BY start DESC, destination LIMIT ?", [page.limit().into()]);
    select
}

fn to_row(
    ((destination, width, start), (account, counts)): (&(DestinationId, Width, i64), &(AccountId, Counts)),
) -> Vec<Value> {
    let number = |count: u64| Value::from(i64::try_from(count).unwrap_or(i64::MAX));
    let mut row = vec![destination.as_str().into(), width.seconds().into(), (*start).into(), account.as_str().into()];
    row.extend([counts.succeeded, counts.failed, counts.attempts, counts.failed_attempts].map(number));
    row.extend(counts.answers.0.map(number));
    row.extend(counts.latencies.0.map(number));
    row
}

fn from_row(row: &AnyRow) -> Result<Bucket, StoreError> {
    let number = |column| sql::int(row, column).map(|number| u64::try_from(number).unwrap_or_default());
    let (mut answers, mut latencies) = (Answers::default(), Latencies::default());
    let columns = answers.0.iter_mut().zip(ANSWERS).chain(latencies.0.iter_mut().zip(LATENCIES));
    for (count, column) in columns {
        *count = number(column)?;
    }
    Ok(Bucket {
        destination: sql::parsed(row, "destination", |text| DestinationId::parse(text).ok())?,
        start: sql::int(row, "start")?,
        counts: Counts {
            succeeded: number("succeeded")?,
            failed: number("failed")?,
            attempts: number("attempts")?,
            failed_attempts: number("failed_attempts")?,
            answers,
            latencies,
        },
    })
}
