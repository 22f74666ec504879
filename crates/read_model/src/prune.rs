//! Deletes what is older than history, a few rows at a time.
//!
//! All rows about a lead are found by the lead, so pruning needs no additional index. The keys of rows that are too old
//! are read first, without a lock. They are then deleted in a transaction that holds the checkpoints, so that no
//! projector writes meanwhile and the counts of leads stay exact.

pub mod free_pages;
#[cfg(test)]
mod pruned;

use std::collections::{HashMap, HashSet};

use domain::{AccountId, LeadId, job::JobStatus};
use jiff::{SignedDuration, Timestamp};
use journal::StreamName;
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    sql::{self, Statement, Value},
    store::Store,
    tables::{
        counts::Width,
        deliveries,
        leads::{self, LeadNews},
        problems::{self, StepOf},
    },
};

/// Locks the checkpoints that every projector of facts about leads holds while it writes. Nothing else writes rows
/// about leads.
const LOCK: &str = "UPDATE checkpoints SET sequence = sequence WHERE stream IN ('ANONYMISED', 'DELIVERIES', 'LEADS')";
/// Buckets of five minutes show the course of an incident; a busy destination has 288 of them a day.
const FINE: Width = Width::FiveMinutes;
/// How long buckets of five minutes are kept.
const FINE_COUNTS: SignedDuration = SignedDuration::from_hours(8 * 24);
/// The delivery ended before a time.
const ENDED: &str = "(status || '') IN ('succeeded', 'failed') AND updated_at < ?";

/// The bound of pruning: an account, and the time before which its rows are too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooOld {
    pub account: AccountId,
    pub before: Timestamp,
}

/// The result of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    pub rows: u32,
    /// Whether the next step may find more.
    pub more: bool,
}

impl Pruned {
    /// There may be more rows if a step found its maximum and deleted at least one row.
    fn of(rows: usize, found: usize, max: u32) -> Self {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        Self { rows, more: rows > 0 && found >= max as usize }
    }
}

/// A position among the leads of an account, which are ordered by their creation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeadPlace {
    created_at: i64,
    pub lead: LeadId,
}

impl Store {
    /// Leads after a position that were created before the time, the oldest first. Only these can have rows that are
    /// too old.
    pub async fn leads_before(
        &self,
        old: &TooOld,
        after: Option<&LeadPlace>,
        max: u32,
    ) -> Result<Vec<LeadPlace>, StoreError> {
        let (at, lead) = after.map_or((i64::MIN, ""), |after| (after.created_at, after.lead.as_str()));
        let mut select = Statement::new("SELECT created_at, lead FROM leads");
        select.push(" WHERE account = ? AND created_at < ?", [old.account.as_str().into(), old.before.into()]);
        select.push(" AND (created_at, lead) > (?, ?)", [at.into(), lead.into()]);
        select.push(" ORDER BY created_at, lead LIMIT ?", [max.into()]);
        let place = |row: &AnyRow| {
            let lead = sql::parsed(row, "lead", |text| LeadId::parse(text).ok())?;
            Ok(LeadPlace { created_at: sql::int(row, "created_at")?, lead })
        };
        self.fetch_all(select).await?.iter().map(place).collect()
    }

    /// Deletes at most `max` deliveries of these leads with their attempts. Open deliveries stay.
    pub async fn prune_deliveries(&self, old: &TooOld, of: &[LeadPlace], max: u32) -> Result<Pruned, StoreError> {
        let mut select = Statement::new("SELECT delivery FROM deliveries WHERE lead IN (");
        push_list(&mut select, names(of));
        // Rows are found by the lead alone: the other conditions are written so that no other index serves them.
        select.push(" AND requested_at < ? AND (account || '') = ?", [old.before.into(), old.account.as_str().into()]);
        select.push(&format!(" AND {ENDED} LIMIT ?"), [old.before.into(), max.into()]);
        let found = keys(&self.fetch_all(select).await?, "delivery")?;
        if found.is_empty() {
            return Ok(Pruned::default());
        }
        let count = found.len();
        let mut transaction = self.locked().await?;
        let mut delete = Statement::new("DELETE FROM deliveries WHERE delivery IN (");
        push_list(&mut delete, found);
        // A retry of one of them may have been requested since the select.
        delete.push(&format!(" AND {ENDED} RETURNING {}", deliveries::COLUMNS.join(", ")), [old.before.into()]);
        let deleted = delete.query().fetch_all(&mut *transaction).await?;
        let gone = deleted.iter().map(deliveries::from_row).collect::<Result<Vec<_>, _>>()?;
        problems::apply(&mut transaction, &gone.iter().filter_map(StepOf::gone).collect::<Vec<_>>()).await?;
        delete_in(&mut transaction, "attempts WHERE delivery", keys(&deleted, "delivery")?).await?;
        let news = lost(&deleted)?;
        let news = news.iter().map(|(lead, lost)| ((&old.account, lead), lost.clone())).collect();
        leads::add_news(&mut transaction, news).await?;
        transaction.commit().await?;
        Ok(Pruned::of(deleted.len(), count, max))
    }

    /// Deletes at most `max` events of these leads. Events whose deliveries are stored stay.
    pub async fn prune_events(&self, old: &TooOld, of: &[LeadPlace], max: u32) -> Result<Pruned, StoreError> {
        let mut select = Statement::new("SELECT event_id FROM lead_events");
        select.push(" WHERE account = ? AND lead IN (", [old.account.as_str().into()]);
        push_list(&mut select, names(of));
        select.push(" AND received_at < ? LIMIT ?", [old.before.into(), max.into()]);
        let mut found = keys(&self.fetch_all(select).await?, "event_id")?;
        let count = found.len();
        let mut delivered = Statement::new("SELECT event_id FROM deliveries");
        delivered.push(" WHERE (account || '') = ? AND event_id IN (", [old.account.as_str().into()]);
        self.drop_those_in(&mut found, delivered, "event_id").await?;
        if found.is_empty() {
            return Ok(Pruned::default());
        }
        let mut transaction = self.locked().await?;
        let mut delete = Statement::new("DELETE FROM lead_events");
        delete.push(" WHERE account = ? AND event_id IN (", [old.account.as_str().into()]);
        push_list(&mut delete, found);
        delete.push(" RETURNING lead, sequence", []);
        let deleted = delete.query().fetch_all(&mut *transaction).await?;
        delete_values(&mut transaction, old, of, &deleted).await?;
        let leads = deleted.iter().map(|row| sql::parsed(row, "lead", |text| LeadId::parse(text).ok()));
        let leads = leads.collect::<Result<Vec<_>, _>>()?;
        leads::lose_events(&mut transaction, &old.account, &leads).await?;
        transaction.commit().await?;
        Ok(Pruned::of(leads.len(), count, max))
    }

    /// Deletes at most `max` log entries of these leads. Entries about a stored delivery stay.
    pub async fn prune_log(&self, old: &TooOld, of: &[LeadPlace], max: u32) -> Result<Pruned, StoreError> {
        let mut select = Statement::new("SELECT fact, delivery FROM lead_log");
        select.push(" WHERE account = ? AND lead IN (", [old.account.as_str().into()]);
        push_list(&mut select, names(of));
        select.push(" AND at < ? LIMIT ?", [old.before.into(), max.into()]);
        let rows = self.fetch_all(select).await?;
        let mut gone = keys(&rows, "delivery")?;
        let stored = Statement::new("SELECT delivery FROM deliveries WHERE delivery IN (");
        self.drop_those_in(&mut gone, stored, "delivery").await?;
        let gone: HashSet<_> = gone.into_iter().collect();
        let mut facts = vec![];
        for row in &rows {
            if gone.contains(&key(row, "delivery")?) {
                facts.push(key(row, "fact")?);
            }
        }
        if facts.is_empty() {
            return Ok(Pruned::default());
        }
        let pruned = Pruned::of(facts.len(), rows.len(), max);
        let mut delete = Statement::new("DELETE FROM lead_log WHERE fact IN (");
        push_list(&mut delete, facts);
        self.execute(delete).await?;
        Ok(pruned)
    }

    /// Deletes the leads among these that have no events and no deliveries left, with their other rows.
    pub async fn prune_leads(&self, old: &TooOld, of: &[LeadPlace]) -> Result<Pruned, StoreError> {
        const NOTHING_LEFT: &str = "events <= 0 AND deliveries <= 0 AND updated_at < ? AND anonymised_at < ?";
        let chosen = |before: &str, leads: Vec<Value>| {
            let mut statement = Statement::new(before);
            statement.push(" WHERE account = ? AND lead IN (", [old.account.as_str().into()]);
            push_list(&mut statement, leads);
            statement
        };
        let mut select = chosen("SELECT lead FROM leads", names(of).collect());
        select.push(&format!(" AND {NOTHING_LEFT}"), [old.before.into(), old.before.into()]);
        let found = keys(&self.fetch_all(select).await?, "lead")?;
        if found.is_empty() {
            return Ok(Pruned::default());
        }
        let mut transaction = self.locked().await?;
        let mut delete = chosen("DELETE FROM leads", found);
        delete.push(&format!(" AND {NOTHING_LEFT} RETURNING lead"), [old.before.into(), old.before.into()]);
        let deleted = keys(&delete.query().fetch_all(&mut *transaction).await?, "lead")?;
        if !deleted.is_empty() {
            for table in ["anonymised_leads", "copies", "lead_log", "lead_values"] {
                let delete = chosen(&format!("DELETE FROM {table}"), deleted.clone());
                delete.query().execute(&mut *transaction).await?;
            }
        }
        transaction.commit().await?;
        Ok(Pruned::of(deleted.len(), of.len(), u32::MAX))
    }

    /// Deletes at most `max` refusals of the oldest ended jobs, or these jobs if they have no refusals left.
    pub async fn prune_jobs(&self, old: &TooOld, max: u32) -> Result<Pruned, StoreError> {
        let open = JobStatus::ALL.into_iter().filter(|status| status.is_open());
        let open: Vec<_> = open.map(|status| format!("'{}'", status.as_str())).collect();
        let mut select = Statement::new("SELECT job FROM jobs");
        select.push(" WHERE account = ? AND started_at < ?", [old.account.as_str().into(), old.before.into()]);
        select.push(&format!(" AND (status || '') NOT IN ({})", open.join(", ")), []);
        select.push(" ORDER BY started_at, job LIMIT ?", [max.into()]);
        let jobs = keys(&self.fetch_all(select).await?, "job")?;
        if jobs.is_empty() {
            return Ok(Pruned::default());
        }
        let mut select = Statement::new("SELECT job, delivery FROM job_refusals WHERE job IN (");
        push_list(&mut select, jobs.iter().cloned());
        select.push(" LIMIT ?", [max.into()]);
        let refusals = self.fetch_all(select).await?;
        if refusals.is_empty() {
            let pruned = Pruned::of(jobs.len(), jobs.len(), max);
            for table in ["job_outcomes", "jobs"] {
                let mut delete = Statement::new(format!("DELETE FROM {table} WHERE job IN ("));
                push_list(&mut delete, jobs.iter().cloned());
                self.execute(delete).await?;
            }
            return Ok(pruned);
        }
        let mut values = Vec::with_capacity(refusals.len() * 2);
        for row in &refusals {
            values.extend([key(row, "job")?, key(row, "delivery")?]);
        }
        let mut delete = Statement::new("DELETE FROM job_refusals WHERE (job, delivery) IN (VALUES ");
        delete.push(&vec!["(?, ?)"; refusals.len()].join(", "), values).push(")", []);
        self.execute(delete).await?;
        Ok(Pruned { more: true, ..Pruned::of(refusals.len(), refusals.len(), max) })
    }

    /// Deletes at most `max` rows about copies that a stream no longer holds, given the sequence of the stream's first
    /// message.
    pub async fn prune_copies(&self, stream: StreamName, first: u64, max: u32) -> Result<Pruned, StoreError> {
        let mut select = Statement::new("SELECT sequence FROM copies");
        let values: [Value; 3] = [stream.as_str().into(), first.cast_signed().into(), max.into()];
        select.push(" WHERE stream = ? AND sequence < ? ORDER BY sequence LIMIT ?", values);
        let found = self.fetch_all(select).await?;
        let Some(last) = found.last() else { return Ok(Pruned::default()) };
        let mut delete = Statement::new("DELETE FROM copies");
        let values: [Value; 2] = [stream.as_str().into(), sql::int(last, "sequence")?.into()];
        delete.push(" WHERE stream = ? AND sequence <= ?", values);
        self.execute(delete).await?;
        Ok(Pruned::of(found.len(), found.len(), max))
    }

    /// Deletes at most `max` buckets that are too old; buckets of five minutes are too old after [`FINE_COUNTS`]. If
    /// there are none, deletes closed problems and their acknowledgements.
    pub async fn prune_counts(&self, old: &TooOld, max: u32) -> Result<Pruned, StoreError> {
        let account: Value = old.account.as_str().into();
        let fine = Timestamp::now().checked_sub(FINE_COUNTS).unwrap_or(old.before).max(old.before);
        let mut select = Statement::new("SELECT destination, width, start FROM delivery_counts WHERE account = ");
        select.push("? AND ((width = ? AND start < ?)", [account.clone(), FINE.seconds().into(), fine.into()]);
        select.push(" OR start < ?) LIMIT ?", [old.before.into(), max.into()]);
        let buckets = self.fetch_all(select).await?;
        if !buckets.is_empty() {
            let mut values = vec![];
            for row in &buckets {
                values.extend([
                    key(row, "destination")?,
                    sql::int(row, "width")?.into(),
                    sql::int(row, "start")?.into(),
                ]);
            }
            let mut delete =
                Statement::new("DELETE FROM delivery_counts WHERE (destination, width, start) IN (VALUES ");
            delete.push(&vec!["(?, ?, ?)"; buckets.len()].join(", "), values).push(")", []);
            self.execute(delete).await?;
            return Ok(Pruned::of(buckets.len(), buckets.len(), max));
        }
        let mut delete = Statement::new("DELETE FROM problems WHERE account = ");
        delete.push("? AND deliveries = 0 AND closed_at < ?", [account.clone(), old.before.into()]);
        self.execute(delete).await?;
        let mut delete = Statement::new("DELETE FROM acknowledgements WHERE account = ");
        delete.push("? AND at < ? AND problem NOT IN (SELECT problem FROM problems)", [account, old.before.into()]);
        self.execute(delete).await?;
        Ok(Pruned::default())
    }

    /// A transaction in which no projector writes rows about leads.
    async fn locked(&self) -> Result<Transaction<'static, Any>, StoreError> {
        let mut transaction = self.begin().await?;
        Statement::new(LOCK).query().execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Removes the keys that the statement finds. The text of the statement ends with `IN (`.
    async fn drop_those_in(
        &self,
        keys_of: &mut Vec<Value>,
        mut select: Statement,
        column: &'static str,
    ) -> Result<(), StoreError> {
        if keys_of.is_empty() {
            return Ok(());
        }
        push_list(&mut select, keys_of.iter().cloned());
        let found: HashSet<_> = keys(&self.fetch_all(select).await?, column)?.into_iter().collect();
        keys_of.retain(|key| !found.contains(key));
        Ok(())
    }
}

fn names(of: &[LeadPlace]) -> impl Iterator<Item = Value> {
    of.iter().map(|place| place.lead.as_str().into())
}

/// Adds the placeholders of the values and the end of their list.
fn push_list(statement: &mut Statement, values: impl IntoIterator<Item = Value>) {
    let values: Vec<_> = values.into_iter().collect();
    statement.push(&vec!["?"; values.len()].join(", "), values).push(")", []);
}

/// Deletes the values of these leads whose latest event was deleted.
async fn delete_values(
    transaction: &mut Transaction<'static, Any>,
    old: &TooOld,
    of: &[LeadPlace],
    deleted: &[AnyRow],
) -> Result<(), StoreError> {
    let sequences = deleted.iter().map(|row| sql::int(row, "sequence").map(Value::from));
    let sequences = sequences.collect::<Result<Vec<_>, _>>()?;
    if sequences.is_empty() {
        return Ok(());
    }
    let mut delete = Statement::new("DELETE FROM lead_values WHERE lead IN (");
    push_list(&mut delete, names(of));
    delete.push(" AND account = ? AND sequence IN (", [old.account.as_str().into()]);
    push_list(&mut delete, sequences);
    delete.query().execute(&mut **transaction).await?;
    Ok(())
}

async fn delete_in(
    transaction: &mut Transaction<'static, Any>,
    what: &str,
    keys: Vec<Value>,
) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let mut delete = Statement::new(format!("DELETE FROM {what} IN ("));
    push_list(&mut delete, keys);
    delete.query().execute(&mut **transaction).await?;
    Ok(())
}

fn keys(rows: &[AnyRow], column: &'static str) -> Result<Vec<Value>, StoreError> {
    rows.iter().map(|row| key(row, column)).collect()
}

fn key(row: &AnyRow, column: &'static str) -> Result<Value, StoreError> {
    Ok(sql::text(row, column)?.into())
}

/// How the deletion of these deliveries changes the counts of their leads.
fn lost(deleted: &[AnyRow]) -> Result<HashMap<LeadId, LeadNews>, StoreError> {
    let mut lost: HashMap<LeadId, LeadNews> = HashMap::new();
    for row in deleted {
        let of_lead = lost.entry(sql::parsed(row, "lead", |text| LeadId::parse(text).ok())?).or_default();
        of_lead.deliveries -= 1;
        of_lead.failed -= i64::from(sql::text(row, "status")? == "failed");
    }
    Ok(lost)
}
