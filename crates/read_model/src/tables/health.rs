//! The health of each destination: its deliveries that have not ended, and the outcomes of its last attempts.

use std::collections::{BTreeMap, HashMap};

use domain::{AccountId, DeliveryStatus, DestinationId, health::Streak};
use jiff::Timestamp;
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    sql::{
        self, Statement, Value,
        bulk::{self, Insert},
    },
    store::Store,
};

#[rustfmt::skip]
const COLUMNS: [&str; 9] = [
    "destination", "account", "pending", "processing", "retrying", "held", "last_success_at", "last_failure_at", "failures",
];

/// The states of deliveries that have not ended, in the order of their columns.
pub const OPEN: [DeliveryStatus; 4] =
    [DeliveryStatus::Pending, DeliveryStatus::Processing, DeliveryStatus::Retrying, DeliveryStatus::Held];

/// How facts change the health of a destination.
#[derive(Debug, Clone)]
pub(crate) struct HealthNews {
    pub account: AccountId,
    /// The change of the number of deliveries in each state of [`OPEN`].
    pub open: [i64; OPEN.len()],
    /// The ends of attempts, in the order of the facts: whether each succeeded, and when.
    pub attempts: Vec<(bool, Timestamp)>,
}

/// A destination's deliveries that have not ended, and its last attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthRow {
    pub open: [i64; OPEN.len()],
    pub streak: Streak,
}

pub(crate) async fn apply(
    transaction: &mut Transaction<'static, Any>,
    news: BTreeMap<DestinationId, HealthNews>,
) -> Result<(), StoreError> {
    if news.is_empty() {
        return Ok(());
    }
    let select = format!("SELECT {} FROM destination_health WHERE destination IN ", COLUMNS.join(", "));
    let keys = news.keys().map(|id| id.as_str().into()).collect();
    let mut known = HashMap::new();
    for row in bulk::select_in(transaction, &select, keys).await? {
        known.insert(sql::text(&row, "destination")?, from_row(&row)?);
    }
    let rows: Vec<_> = news
        .iter()
        .map(|(destination, news)| {
            let mut row = known.remove(destination.as_str()).unwrap_or_default();
            row.open.iter_mut().zip(news.open).for_each(|(count, by)| *count += by);
            news.attempts.iter().for_each(|(succeeded, at)| row.streak.learn(*succeeded, *at));
            to_row(destination, &news.account, &row)
        })
        .collect();
    let then = sql::replace("destination", &["destination", "account"], &COLUMNS);
    let insert = Insert { table: "destination_health", columns: &COLUMNS, then };
    insert.count(transaction, Box::new(rows.into_iter())).await.map(drop)
}

impl Store {
    /// The health of these destinations. A destination that had no delivery yet is missing in the result.
    pub async fn health_of(
        &self,
        destinations: &[&DestinationId],
    ) -> Result<HashMap<DestinationId, HealthRow>, StoreError> {
        if destinations.is_empty() {
            return Ok(HashMap::new());
        }
        let mut select =
            Statement::new(format!("SELECT {} FROM destination_health WHERE destination IN (", COLUMNS.join(", ")));
        let places = vec!["?"; destinations.len()].join(", ");
        select.push(&places, destinations.iter().map(|id| id.as_str().into())).push(")", []);
        let named = |row: &AnyRow| {
            let id = sql::parsed(row, "destination", |text| DestinationId::parse(text).ok())?;
            Ok((id, from_row(row)?))
        };
        self.fetch_all(select).await?.iter().map(named).collect()
    }

    /// When the oldest open delivery of each of these destinations was requested.
    pub async fn oldest_waiting(
        &self,
        destinations: &[&DestinationId],
    ) -> Result<HashMap<DestinationId, Timestamp>, StoreError> {
        let mut oldest = HashMap::new();
        for destination in destinations {
            // One look-up in the index for each state.
            let mut select = Statement::new("SELECT MIN(at) AS at FROM (");
            for (index, status) in OPEN.iter().enumerate() {
                let union = if index > 0 { " UNION ALL " } else { "" };
                let values = [destination.as_str().into(), status.as_str().into()];
                select.push(
                    &format!(
                        "{union}SELECT MIN(requested_at) AS at FROM deliveries \
                         WHERE destination = ? AND status <> 'succeeded' AND status = ? AND requested_at > 0"
                    ),
                    values,
                );
            }
            select.push(") each_state", []);
            if let Some(row) = self.fetch_optional(select).await?
                && sql::int_or_none(&row, "at")?.is_some()
            {
                oldest.insert((*destination).clone(), sql::time(&row, "at")?);
            }
        }
        Ok(oldest)
    }

    /// Destinations with at least `failures` failures in a row, the one with the latest failure first.
    pub async fn failing(&self, failures: u64, max: u32) -> Result<Vec<DestinationId>, StoreError> {
        let mut select =
            Statement::new("SELECT destination FROM destination_health WHERE failures > 0 AND failures >= ");
        let failures = i64::try_from(failures).unwrap_or(i64::MAX);
        select.push("? ORDER BY last_failure_at DESC, destination LIMIT ?", [failures.into(), max.into()]);
        let id = |row: &AnyRow| sql::parsed(row, "destination", |text| DestinationId::parse(text).ok());
        self.fetch_all(select).await?.iter().map(id).collect()
    }

    /// When the oldest open delivery of all destinations was requested.
    pub async fn oldest_open(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut select = Statement::new("SELECT MIN(at) AS at FROM (");
        for (index, status) in OPEN.iter().enumerate() {
            let union = if index > 0 { " UNION ALL " } else { "" };
            let each = "SELECT MIN(requested_at) AS at FROM deliveries WHERE at_succeeded = 0 AND status = ?";
            select.push(&format!("{union}{each} AND requested_at > 0"), [status.as_str().into()]);
        }
        select.push(") each_state", []);
        let row = self.fetch_one(select).await?;
        sql::int_or_none(&row, "at")?.map(|_| sql::time(&row, "at")).transpose()
    }

    /// Who disabled a destination last, and when.
    pub async fn disabled_by(
        &self,
        account: &AccountId,
        destination: &DestinationId,
    ) -> Result<Option<(String, Timestamp)>, StoreError> {
        let mut select = Statement::new("SELECT actor, at FROM audit_log WHERE account = ");
        select
            .push("? AND kind = 'destination' AND entity = ?", [account.as_str().into(), destination.as_str().into()]);
        select.push(" AND action = 'disabled' ORDER BY sequence DESC LIMIT 1", []);
        let row = self.fetch_optional(select).await?;
        row.map(|row| Ok((sql::text(&row, "actor")?, sql::time(&row, "at")?))).transpose()
    }
}

fn to_row(destination: &DestinationId, account: &AccountId, row: &HealthRow) -> Vec<Value> {
    let mut values = vec![destination.as_str().into(), account.as_str().into()];
    values.extend(row.open.map(Value::from));
    values.extend([
        sql::or_zero(row.streak.last_success_at),
        sql::or_zero(row.streak.last_failure_at),
        i64::try_from(row.streak.failures_in_a_row).unwrap_or(i64::MAX).into(),
    ]);
    values
}

fn from_row(row: &AnyRow) -> Result<HealthRow, StoreError> {
    Ok(HealthRow {
        open: [
            sql::int(row, "pending")?,
            sql::int(row, "processing")?,
            sql::int(row, "retrying")?,
            sql::int(row, "held")?,
        ],
        streak: Streak {
            last_success_at: sql::time_or_none(row, "last_success_at")?,
            last_failure_at: sql::time_or_none(row, "last_failure_at")?,
            failures_in_a_row: u64::try_from(sql::int(row, "failures")?).unwrap_or_default(),
        },
    })
}
