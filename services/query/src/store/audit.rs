//! The audit log: who changed what in the configuration.

use domain::{AccountId, registry::EntityKind};
use jiff::Timestamp;
use sqlx::{Any, Transaction, any::AnyRow};

use super::{
    Store, StoreError,
    bulk::Insert,
    sql::{self, Statement, Value},
};
use crate::{audit::FieldChange, page::Page};

const COLUMNS: [&str; 8] = ["sequence", "account", "at", "actor", "kind", "entity", "action", "changes"];

/// A change of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditEntry {
    /// The sequence of its fact in REGISTRY.
    pub(crate) sequence: u64,
    pub(crate) account: String,
    pub(crate) at: Timestamp,
    pub(crate) by: String,
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) action: String,
    pub(crate) changes: Vec<FieldChange>,
}

/// The filter of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AuditFilter {
    /// `None` for changes that belong to no account.
    pub(crate) account: Option<AccountId>,
    pub(crate) kind: Option<EntityKind>,
    pub(crate) id: Option<String>,
    pub(crate) from: Option<Timestamp>,
    pub(crate) before: Option<Timestamp>,
    pub(crate) action: Option<&'static str>,
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
    pub(crate) async fn audit_log(&self, filter: &AuditFilter, page: &Page) -> Result<Vec<AuditEntry>, StoreError> {
        self.fetch_all(select(filter, page)).await?.iter().map(AuditEntry::from_row).collect()
    }
}

/// The statement of a page.
pub(super) fn select(filter: &AuditFilter, page: &Page) -> Statement {
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
        // Names and texts are always JSON; anything else was not written here.
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
