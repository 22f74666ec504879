//! Problems: failures with one cause at one destination, and their acknowledgements.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use domain::{
    AccountId, Delivery, DeliveryId, DeliveryRef, DestinationId,
    notice::ProblemAcknowledged,
    problem::{Cause, Problem, Step},
};
use jiff::Timestamp;
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

#[rustfmt::skip]
const COLUMNS: [&str; 10] = [
    "problem", "account", "destination", "cause", "deliveries", "leads", "first_at", "last_at", "closed_at", "example",
];
const SELECT: &str = "SELECT p.problem, p.account, p.destination, p.cause, p.deliveries, p.leads, p.first_at, p.last_at, \
    p.closed_at, p.example, COALESCE(a.at, 0) AS acknowledged_at, COALESCE(a.actor, '') AS actor, \
    COALESCE(h.last_success_at, 0) AS last_success_at FROM problems p \
    LEFT JOIN acknowledgements a ON a.problem = p.problem \
    LEFT JOIN destination_health h ON h.destination = p.destination WHERE ";
/// Rows that are deleted in one statement.
const CHUNK: usize = 500;

/// How a fact about a delivery changes problems.
#[derive(Debug, Clone)]
pub(crate) struct StepOf {
    pub reference: Arc<DeliveryRef>,
    pub at: Timestamp,
    pub step: Step,
}

impl StepOf {
    /// How the deletion of a delivery changes its problem; `None` if the delivery is in no problem.
    pub(crate) fn gone(delivery: &Delivery) -> Option<Self> {
        let step = Step::between(Cause::of(delivery), None, false);
        let (reference, at) = (Arc::clone(&delivery.reference), delivery.updated_at);
        step.left.map(|_| Self { reference, at, step })
    }
}

/// A problem as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProblemRow {
    pub key: String,
    pub account: AccountId,
    pub destination: DestinationId,
    pub cause: Cause,
    pub problem: Problem,
    pub leads: u64,
    pub acknowledged_at: Option<Timestamp>,
    pub acknowledged_by: String,
    pub last_success_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProblemFilter {
    /// `None` for problems of all accounts.
    pub account: Option<AccountId>,
    pub destination: Option<DestinationId>,
    pub include_closed: bool,
}

/// A problem with the columns that do not change.
struct Row {
    account: AccountId,
    destination: DestinationId,
    cause: Cause,
    problem: Problem,
    leads: i64,
}

/// Applies the changes of facts, in the order of the facts.
pub(crate) async fn apply(transaction: &mut Transaction<'static, Any>, steps: &[StepOf]) -> Result<(), StoreError> {
    if steps.is_empty() {
        return Ok(());
    }
    let causes = |step: &Step| [step.left, step.entered, step.repeated].into_iter().flatten();
    let keys = steps.iter().flat_map(|of| causes(&of.step).map(|cause| key(&of.reference.destination, cause)));
    let keys: HashSet<String> = keys.collect();
    let select = format!("SELECT {} FROM problems WHERE problem IN ", COLUMNS.join(", "));
    let found = bulk::select_in(transaction, &select, keys.into_iter().map(Value::from).collect()).await?;
    // Sorted, so that every process locks rows in the same order.
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for row in &found {
        rows.insert(sql::text(row, "problem")?, read(row)?);
    }
    let mut leads: BTreeMap<(String, String), i64> = BTreeMap::new();
    for StepOf { reference, at, step } in steps {
        let mut change = |cause: Option<Cause>, leads_by: i64, change: &dyn Fn(&mut Problem)| {
            let Some(cause) = cause else { return };
            let key = key(&reference.destination, cause);
            *leads.entry((key.clone(), reference.lead.to_string())).or_default() += leads_by;
            let fresh = || Row {
                account: reference.account.clone(),
                destination: reference.destination.clone(),
                cause,
                problem: Problem::default(),
                leads: 0,
            };
            change(&mut rows.entry(key).or_insert_with(fresh).problem);
        };
        change(step.left, -1, &|problem| problem.leave(*at));
        change(step.entered, 1, &|problem| problem.enter(reference.delivery, *at));
        change(step.repeated, 0, &|problem| problem.repeat(reference.delivery, *at));
    }
    count_leads(transaction, leads, &mut rows).await?;
    let insert = Insert { table: "problems", columns: &COLUMNS, then: sql::replace("problem", &["problem"], &COLUMNS) };
    let rows = rows.iter().map(|(key, row)| to_row(key, row));
    insert.count(transaction, Box::new(rows)).await.map(drop)
}

/// Writes how many deliveries of each lead, and how many leads, are in each problem.
async fn count_leads(
    transaction: &mut Transaction<'static, Any>,
    leads: BTreeMap<(String, String), i64>,
    rows: &mut BTreeMap<String, Row>,
) -> Result<(), StoreError> {
    let changed: HashMap<_, _> = leads.iter().filter(|(_, by)| **by != 0).collect();
    let then = " ON CONFLICT (problem, lead) DO UPDATE SET deliveries = problem_leads.deliveries + excluded.deliveries \
        RETURNING problem, lead, deliveries";
    let insert = Insert { table: "problem_leads", columns: &["problem", "lead", "deliveries"], then: then.to_owned() };
    let values: Vec<Vec<Value>> = leads
        .iter()
        .filter(|(_, by)| **by != 0)
        .map(|((problem, lead), by)| vec![problem.as_str().into(), lead.as_str().into(), (*by).into()])
        .collect();
    let mut gone = vec![];
    for row in insert.rows(transaction, Box::new(values.into_iter())).await? {
        let key = (sql::text(&row, "problem")?, sql::text(&row, "lead")?);
        let after = sql::int(&row, "deliveries")?;
        let before = after - changed.get(&key).map_or(0, |by| **by);
        if let Some(of) = rows.get_mut(&key.0) {
            of.leads += i64::from(after > 0) - i64::from(before > 0);
        }
        if after <= 0 {
            gone.push(key);
        }
    }
    for chunk in gone.chunks(CHUNK) {
        let mut delete = Statement::new("DELETE FROM problem_leads WHERE (problem, lead) IN (VALUES ");
        let values = chunk.iter().flat_map(|(problem, lead)| [problem.as_str().into(), lead.as_str().into()]);
        delete.push(&vec!["(?, ?)"; chunk.len()].join(", "), values).push(")", []);
        delete.query().execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Stores an acknowledgement of a problem; the latest one counts.
pub(crate) async fn acknowledge(
    transaction: &mut Transaction<'static, Any>,
    facts: &[&ProblemAcknowledged],
) -> Result<(), StoreError> {
    let mut latest: BTreeMap<String, &ProblemAcknowledged> = BTreeMap::new();
    for fact in facts {
        let known = latest.entry(key(&fact.destination, fact.cause)).or_insert(fact);
        if fact.at > known.at {
            *known = fact;
        }
    }
    let newer = |column: &str| {
        format!(
            "{column} = CASE WHEN excluded.at > acknowledgements.at THEN excluded.{column} \
             ELSE acknowledgements.{column} END"
        )
    };
    let then = format!(" ON CONFLICT (problem) DO UPDATE SET {}, {}", newer("actor"), newer("at"));
    let insert = Insert { table: "acknowledgements", columns: &["problem", "account", "at", "actor"], then };
    let rows = latest
        .into_iter()
        .map(|(key, fact)| vec![key.into(), fact.account.as_str().into(), fact.at.into(), fact.by.as_str().into()]);
    insert.count(transaction, Box::new(rows.collect::<Vec<_>>().into_iter())).await.map(drop)
}

impl Store {
    /// Problems, the one with the latest failure first.
    pub async fn problems(&self, filter: &ProblemFilter, page: &Page) -> Result<Vec<ProblemRow>, StoreError> {
        self.fetch_all(select(filter, page)).await?.iter().map(from_row).collect()
    }

    pub async fn problem(
        &self,
        account: &AccountId,
        destination: &DestinationId,
        cause: Cause,
    ) -> Result<Option<ProblemRow>, StoreError> {
        let mut select = Statement::new(SELECT);
        select.push("p.account = ? AND p.problem = ?", [account.as_str().into(), key(destination, cause).into()]);
        self.fetch_optional(select).await?.as_ref().map(from_row).transpose()
    }
}

pub(crate) fn select(filter: &ProblemFilter, page: &Page) -> Statement {
    let mut select = Statement::new(SELECT);
    let (at, key) = page.after().map_or((i64::MAX, ""), |after| (after.at, after.id.as_str()));
    select.push("(p.last_at, p.problem) < (?, ?)", [at.into(), key.into()]);
    if let Some(account) = &filter.account {
        select.push(" AND p.account = ?", [account.as_str().into()]);
    }
    if let Some(destination) = &filter.destination {
        select.push(" AND (p.destination || '') = ?", [destination.as_str().into()]);
    }
    if !filter.include_closed {
        select.push(" AND p.deliveries > 0", []);
    }
    select.push(" ORDER BY p.last_at DESC, p.problem DESC LIMIT ?", [page.limit().into()]);
    select
}

fn key(destination: &DestinationId, cause: Cause) -> String {
    format!("{destination}/{cause}")
}

fn to_row(key: &str, row: &Row) -> Vec<Value> {
    let problem = &row.problem;
    vec![
        key.into(),
        row.account.as_str().into(),
        row.destination.as_str().into(),
        row.cause.to_string().into(),
        i64::try_from(problem.deliveries).unwrap_or(i64::MAX).into(),
        row.leads.into(),
        problem.first_at.into(),
        problem.last_at.into(),
        sql::or_zero(problem.closed_at),
        problem.example.map(|id| id.to_string()).unwrap_or_default().into(),
    ]
}

fn read(row: &AnyRow) -> Result<Row, StoreError> {
    Ok(Row {
        account: sql::parsed(row, "account", |text| AccountId::parse(text).ok())?,
        destination: sql::parsed(row, "destination", |text| DestinationId::parse(text).ok())?,
        cause: sql::parsed(row, "cause", Cause::parse)?,
        problem: Problem {
            deliveries: u64::try_from(sql::int(row, "deliveries")?).unwrap_or_default(),
            first_at: sql::time(row, "first_at")?,
            last_at: sql::time(row, "last_at")?,
            closed_at: sql::time_or_none(row, "closed_at")?,
            example: sql::parsed(row, "example", |text| {
                if text.is_empty() { Some(None) } else { DeliveryId::parse(text).ok().map(Some) }
            })?,
        },
        leads: sql::int(row, "leads")?,
    })
}

fn from_row(row: &AnyRow) -> Result<ProblemRow, StoreError> {
    let Row { account, destination, cause, problem, leads } = read(row)?;
    Ok(ProblemRow {
        key: sql::text(row, "problem")?,
        account,
        destination,
        cause,
        problem,
        leads: u64::try_from(leads).unwrap_or_default(),
        acknowledged_at: sql::time_or_none(row, "acknowledged_at")?,
        acknowledged_by: sql::text(row, "actor")?,
        last_success_at: sql::time_or_none(row, "last_success_at")?,
    })
}
