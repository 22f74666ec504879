//! The audit log: who changed what in the configuration.

use domain::{AccountId, registry::EntityKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    page::Page,
    sql::{self, Statement, Value, bulk::Insert},
    store::Store,
};

const COLUMNS: [&str; 8] = ["sequence", "account", "at", "actor", "kind", "entity", "action", "changes"];

/// The old and the new value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    pub field: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub old: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub new: String,
    /// Whether a secret changed with the field; the values never hold it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// A change of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The sequence of its fact in REGISTRY.
    pub sequence: u64,
    pub account: String,
    pub at: Timestamp,
    pub by: String,
    pub kind: String,
    pub id: String,
    pub action: String,
    pub changes: Vec<FieldChange>,
}

/// The filter of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuditFilter {
    /// `None` for changes that belong to no account.
    pub account: Option<AccountId>,
    pub kind: Option<EntityKind>,
    pub id: Option<String>,
    pub from: Option<Timestamp>,
    pub before: Option<Timestamp>,
    pub action: Option<&'static str>,
}

/// Adds entries; an entry that exists stays as it is.
pub(crate) async fn add(
    transaction: &mut Transaction<'static, Any>,
    entries: Vec<AuditEntry>,
) -> Result<(), StoreError> {
    let rows: Vec<_> = entries.into_iter().map(AuditEntry::into_row).collect::<Result<_, _>>()?;
    let then = " ON CONFLICT (sequence) DO NOTHING".to_owned();
    Insert { table: "audit_log", columns: &COLUMNS, then }
        .count(transaction, Box::new(rows.into_iter()))
        .await
        .map(drop)
}

impl Store {
    /// Entries, the newest first. Their sequences are the positions of pages: new entries come before the first one.
    pub async fn audit_log(&self, filter: &AuditFilter, page: &Page) -> Result<Vec<AuditEntry>, StoreError> {
        self.fetch_all(select(filter, page)).await?.iter().map(AuditEntry::from_row).collect()
    }
}

/// The statement of a page.
pub(crate) fn select(filter: &AuditFilter, page: &Page) -> Statement {
    let mut select = Statement::new(format!("SELECT {} FROM audit_log WHERE account = ", COLUMNS.join(", ")));
    select.push("?", [filter.account.as_ref().map_or("", AccountId::as_str).into()]);
    if let Some(kind) = filter.kind {
        select.push(" AND kind = ?", [kind.as_str().into()]);
    }
    if let Some(id) = &filter.id {
        select.push(" AND entity = ?", [id.as_str().into()]);
    }
    if let Some(action) = filter.action {
        select.push(" AND (action || '') = ?", [action.into()]);
    }
    for (condition, time) in [(" AND at >= ?", filter.from), (" AND at < ?", filter.before)] {
        if let Some(time) = time {
            select.push(condition, [time.into()]);
        }
    }
    if let Some(after) = page.after() {
        select.push(" AND sequence < ?", [after.at.into()]);
    }
    select.push(" ORDER BY sequence DESC LIMIT ?", [page.limit().into()]);
    select
}

impl AuditEntry {
    fn into_row(self) -> Result<Vec<Value>, StoreError> {
        // Names and texts can always be written as JSON.
        let changes = serde_json::to_string(&self.changes).map_err(|e| sql::wrong("changes", e))?;
        Ok(vec![
            self.sequence.cast_signed().into(),
            self.account.into(),
            self.at.into(),
            self.by.into(),
            self.kind.into(),
            self.id.into(),
            self.action.into(),
            changes.into(),
        ])
    }

    fn from_row(row: &AnyRow) -> Result<Self, StoreError> {
        let sequence = sql::int(row, "sequence")?;
        Ok(Self {
            sequence: u64::try_from(sequence).map_err(|_| sql::wrong("sequence", sequence))?,
            account: sql::text(row, "account")?,
            at: sql::time(row, "at")?,
            by: sql::text(row, "actor")?,
            kind: sql::text(row, "kind")?,
            id: sql::text(row, "entity")?,
            action: sql::text(row, "action")?,
            changes: sql::parsed(row, "changes", |text| serde_json::from_str(text).ok())?,
        })
    }
}
