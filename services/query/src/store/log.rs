//! The log of a lead: what happened to it, for people.

use domain::{AccountId, LeadId};
use jiff::Timestamp;
use sqlx::{Any, Transaction, any::AnyRow};

use super::{
    Store, StoreError,
    bulk::Insert,
    sql::{self, Statement, Value},
};
use crate::page::Page;

const COLUMNS: [&str; 9] = ["fact", "account", "lead", "at", "entry", "detail", "event_id", "delivery", "destination"];

/// An entry of a lead's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogEntry {
    /// The message id of the fact that it tells of.
    pub(crate) fact: String,
    pub(crate) account: String,
    pub(crate) lead: String,
    pub(crate) at: Timestamp,
    pub(crate) entry: &'static str,
    pub(crate) detail: String,
    pub(crate) event_id: String,
    pub(crate) delivery: String,
    pub(crate) destination: String,
}

/// The words for entries.
pub(crate) const ENTRIES: [&str; 8] =
    ["received", "webhook", "resentwebhook", "recovered", "held", "abandoned", "errornotice", "anonymised"];

/// Adds entries; one that is there already stays as it is.
pub(crate) async fn add(transaction: &mut Transaction<'static, Any>, entries: Vec<LogEntry>) -> Result<(), StoreError> {
    let insert = Insert { table: "lead_log", columns: &COLUMNS, then: " ON CONFLICT (fact) DO NOTHING".to_owned() };
    insert.rows(transaction, entries.into_iter().map(LogEntry::into_row).collect()).await.map(drop)
}

impl Store {
    /// The entries of one lead, the oldest first.
    pub(crate) async fn lead_log(
        &self,
        account: &AccountId,
        lead: &LeadId,
        page: &Page,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let mut select = Statement::new(format!("SELECT {} FROM lead_log", COLUMNS.join(", ")));
        select.push(" WHERE account = ? AND lead = ?", [account.as_str().into(), lead.as_str().into()]);
        if let Some(after) = &page.after {
            select.push(" AND (at, fact) > (?, ?)", [after.at.into(), after.id.as_str().into()]);
        }
        select.push(" ORDER BY at, fact LIMIT ?", [page.limit().into()]);
        let rows = select.query().fetch_all(&self.pool).await?;
        rows.iter().map(LogEntry::from_row).collect()
    }
}

impl LogEntry {
    fn into_row(self) -> Vec<Value> {
        vec![
            self.fact.into(),
            self.account.into(),
            self.lead.into(),
            self.at.into(),
            self.entry.into(),
            self.detail.into(),
            self.event_id.into(),
            self.delivery.into(),
            self.destination.into(),
        ]
    }

    fn from_row(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            fact: sql::text(row, "fact")?,
            account: sql::text(row, "account")?,
            lead: sql::text(row, "lead")?,
            at: sql::time(row, "at")?,
            entry: sql::parsed(row, "entry", |word| ENTRIES.into_iter().find(|entry| *entry == word))?,
            detail: sql::text(row, "detail")?,
            event_id: sql::text(row, "event_id")?,
            delivery: sql::text(row, "delivery")?,
            destination: sql::text(row, "destination")?,
        })
    }
}
