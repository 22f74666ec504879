//! The log of a lead, for people: what happened to it. Events and attempts are read from their own tables. Everything
//! else has a row in `lead_log`.

use domain::{
    AccountId, DeliveryRef, LeadId, RequestId,
    delivery::{LastAttempt, NextStep},
};
use jiff::Timestamp;
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    page::Page,
    sql::{self, Statement, Value, bulk::Insert},
    store::Store,
    tables::{attempts, deliveries::attempt},
};

#[rustfmt::skip]
const COLUMNS: [&str; 10] = [
    "fact", "account", "lead", "at", "entry", "detail", "event_id", "delivery", "destination", "request",
];

/// The entries of one lead from all their tables; account and lead are bound three times.
#[rustfmt::skip]
const SELECT: &str = "SELECT fact, account, lead, at, entry, detail, event_id, delivery, destination, \
    attempt, number, started_at, duration, method, url, status, response, error_kind, deactivated, verdict, next_attempt_at \
    FROM (\
        SELECT fact, account, lead, at, entry, detail, event_id, delivery, destination, \
            '' AS attempt, 0 AS number, 0 AS started_at, 0 AS duration, '' AS method, '' AS url, 0 AS status, \
            '' AS response, '' AS error_kind, '' AS deactivated, '' AS verdict, 0 AS next_attempt_at \
        FROM lead_log WHERE account = ? AND lead = ? \
        UNION ALL SELECT account || '/' || event_id, account, lead, received_at, 'received', \
            event_type || ' from interface ' || interface, event_id, '', '', '', 0, 0, 0, '', '', 0, '', '', '', '', 0 \
        FROM lead_events WHERE account = ? AND lead = ? \
        UNION ALL SELECT a.attempt, d.account, d.lead, a.started_at + a.duration, 'webhook', '', \
            d.event_id, d.delivery, d.destination, a.attempt, a.number, a.started_at, a.duration, a.method, a.url, a.status, \
            a.response, a.error_kind, a.deactivated, a.verdict, a.next_attempt_at \
        FROM deliveries d JOIN attempts a ON a.delivery = d.delivery WHERE d.account = ? AND d.lead = ?\
    ) entries WHERE (at, fact) > (?, ?) ORDER BY at, fact LIMIT ?";

/// An entry of a lead's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The message id of its fact.
    pub fact: String,
    pub account: String,
    pub lead: String,
    pub at: Timestamp,
    pub entry: &'static str,
    pub detail: String,
    pub event_id: String,
    pub delivery: String,
    pub destination: String,
    /// The id of the call that requested it; empty if the caller gave none.
    pub request: String,
}

/// The word for an attempt.
const WEBHOOK: &str = "webhook";
/// The words for entries.
pub const ENTRIES: [&str; 8] =
    ["received", WEBHOOK, "resentwebhook", "recovered", "held", "abandoned", "errornotice", "anonymised"];

/// Adds entries; an entry that exists stays as it is.
pub(crate) async fn add(transaction: &mut Transaction<'static, Any>, entries: Vec<LogEntry>) -> Result<(), StoreError> {
    let insert = Insert { table: "lead_log", columns: &COLUMNS, then: " ON CONFLICT (fact) DO NOTHING".to_owned() };
    insert.count(transaction, Box::new(entries.into_iter().map(LogEntry::into_row))).await.map(drop)
}

impl Store {
    /// The entries of one lead, the oldest first.
    pub async fn lead_log(&self, account: &AccountId, lead: &LeadId, page: &Page) -> Result<Vec<LogEntry>, StoreError> {
        let (after, id) = page.after().map_or((i64::MIN, ""), |after| (after.at, after.id.as_str()));
        let lead: [Value; 2] = [account.as_str().into(), lead.as_str().into()];
        let mut select = Statement::new("");
        let leads = [lead.clone(), lead.clone(), lead].into_iter().flatten();
        select.push(SELECT, leads.chain([after.into(), id.into(), page.limit().into()]));
        let rows = self.fetch_all(select).await?;
        rows.iter().map(LogEntry::from_row).collect()
    }
}

impl Store {
    /// Whether the call with this id has already requested a retry of a delivery.
    pub async fn has_request(&self, reference: &DeliveryRef, request: &RequestId) -> Result<bool, StoreError> {
        let mut select = Statement::new("SELECT fact FROM lead_log WHERE account = ");
        let of_lead = [reference.account.as_str().into(), reference.lead.as_str().into()];
        let asked = [reference.delivery.to_string().into(), request.as_str().into()];
        select.push("? AND lead = ? AND delivery = ? AND request = ?", of_lead.into_iter().chain(asked));
        select.push(" LIMIT 1", []);
        Ok(self.fetch_optional(select).await?.is_some())
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
            self.request.into(),
        ]
    }

    fn from_row(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            fact: sql::text(row, "fact")?,
            account: sql::text(row, "account")?,
            lead: sql::text(row, "lead")?,
            at: sql::time(row, "at")?,
            entry: sql::parsed(row, "entry", |word| ENTRIES.into_iter().find(|entry| *entry == word))?,
            detail: match sql::text(row, "entry")?.as_str() {
                WEBHOOK => attempt_detail(&attempt(row, attempts::SHOWN)?, attempts::next_step(row)?),
                _ => sql::text(row, "detail")?,
            },
            event_id: sql::text(row, "event_id")?,
            delivery: sql::text(row, "delivery")?,
            destination: sql::text(row, "destination")?,
            request: String::new(),
        })
    }
}

/// The text of the log entry about an attempt; empty once its lead is anonymised.
fn attempt_detail(made: &LastAttempt, next_step: Option<NextStep>) -> String {
    if made.request.url.is_empty() {
        return String::new();
    }
    let what = match made.outcome.error_kind() {
        Some(kind) => format!("{} ({kind}: {})", made.outcome.status_code(), made.outcome.webhook_response()),
        None => made.outcome.status_code().to_string(),
    };
    let next = match next_step {
        Some(NextStep::Succeeded) => "; delivered".to_owned(),
        Some(NextStep::RetryAt(at)) => format!("; next attempt at {at:.0}"),
        Some(NextStep::Failed(reason)) => format!("; failed: {}", reason.as_str()),
        None => String::new(),
    };
    format!("attempt {} to {}: {what}{next}", made.attempt, made.request.url)
}
