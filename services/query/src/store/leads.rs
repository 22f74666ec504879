//! Leads and the events about them.

use domain::{AccountId, ClientId, InterfaceId, LeadEvent, LeadId};
use jiff::Timestamp;
use sqlx::{Any, Transaction, any::AnyRow};

use super::{
    Store, StoreError,
    sql::{self, Statement, Value},
};
use crate::page::Page;

#[rustfmt::skip]
const EVENT_COLUMNS: [&str; 8] =
    ["account", "event_id", "lead", "interface", "client", "event_type", "received_at", "sequence"];
const LEAD_COLUMNS: [&str; 6] = ["account", "lead", "interface", "client", "created_at", "updated_at"];
/// Rows in one statement: SQLite binds at most 32,766 values.
const CHUNK: usize = 1_000;

/// A lead with what became of it, counted when it is read.
const SELECT: &str = "SELECT l.account, l.lead, l.interface, l.client, l.created_at, l.updated_at, \
    (SELECT COUNT(*) FROM lead_events e WHERE e.account = l.account AND e.lead = l.lead) AS events, \
    (SELECT COUNT(*) FROM deliveries d WHERE d.account = l.account AND d.lead = l.lead) AS deliveries, \
    (SELECT COUNT(*) FROM deliveries d WHERE d.account = l.account AND d.lead = l.lead AND d.status = 'failed') \
        AS failed, \
    COALESCE((SELECT MAX(d.updated_at) FROM deliveries d WHERE d.account = l.account AND d.lead = l.lead), 0) \
        AS delivered_at, \
    COALESCE((SELECT d.last_status FROM deliveries d WHERE d.account = l.account AND d.lead = l.lead \
        ORDER BY d.last_started_at DESC, d.delivery DESC LIMIT 1), 0) AS status, \
    COALESCE((SELECT d.last_response FROM deliveries d WHERE d.account = l.account AND d.lead = l.lead \
        ORDER BY d.last_started_at DESC, d.delivery DESC LIMIT 1), '') AS response \
    FROM leads l WHERE l.account = ";

/// Failed deliveries are few: found by their status, not lead by lead.
const FAILED: &str = "l.lead IN (SELECT d.lead FROM deliveries d WHERE d.account = ? AND d.status = 'failed')";
const NOT_FAILED: &str = "l.lead NOT IN (SELECT d.lead FROM deliveries d WHERE d.account = ? AND d.status = 'failed')";

/// A lead as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lead {
    pub(crate) account: String,
    pub(crate) lead: String,
    pub(crate) interface: String,
    pub(crate) client: String,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) events: u32,
    pub(crate) deliveries: u32,
    pub(crate) failed_deliveries: u32,
    pub(crate) http_status_code: u32,
    pub(crate) webhook_response: String,
}

/// What leads are listed by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LeadFilter {
    pub(crate) account: AccountId,
    pub(crate) interface: Option<InterfaceId>,
    pub(crate) failed: Option<bool>,
    pub(crate) created_from: Option<Timestamp>,
    pub(crate) created_before: Option<Timestamp>,
}

/// Adds events and their leads. A lead belongs to the interface of its first event.
pub(crate) async fn add_events(
    transaction: &mut Transaction<'static, Any>,
    events: &[(u64, &LeadEvent)],
) -> Result<(), StoreError> {
    for chunk in events.chunks(CHUNK) {
        let rows = chunk.iter().map(|(sequence, event)| event_row(*sequence, event));
        let mut insert = sql::insert("lead_events", &EVENT_COLUMNS, rows);
        insert.push(" ON CONFLICT (account, event_id) DO NOTHING", []);
        insert.query().execute(&mut **transaction).await?;
    }
    for chunk in by_lead(events).chunks(CHUNK) {
        let mut insert = sql::insert("leads", &LEAD_COLUMNS, chunk.iter().cloned());
        let newer = "excluded.updated_at > leads.updated_at";
        insert.push(" ON CONFLICT (account, lead) DO UPDATE SET updated_at = ", []);
        insert.push(&format!("CASE WHEN {newer} THEN excluded.updated_at ELSE leads.updated_at END"), []);
        insert.query().execute(&mut **transaction).await?;
    }
    Ok(())
}

/// One row for each lead: a statement may not touch a row twice.
fn by_lead(events: &[(u64, &LeadEvent)]) -> Vec<Vec<Value>> {
    let mut leads: Vec<(&LeadEvent, Timestamp)> = vec![];
    let mut places = std::collections::HashMap::new();
    for (_, event) in events {
        let place = *places.entry((&event.account, &event.lead)).or_insert_with(|| {
            leads.push((event, event.received_at));
            leads.len() - 1
        });
        leads[place].1 = leads[place].1.max(event.received_at);
    }
    let row = |(first, updated_at): (&LeadEvent, Timestamp)| {
        vec![
            first.account.as_str().into(),
            first.lead.as_str().into(),
            first.interface.as_str().into(),
            first.client.as_ref().map_or("", ClientId::as_str).into(),
            first.received_at.into(),
            updated_at.into(),
        ]
    };
    leads.into_iter().map(row).collect()
}

fn event_row(sequence: u64, event: &LeadEvent) -> Vec<Value> {
    vec![
        event.account.as_str().into(),
        event.event_id.as_str().into(),
        event.lead.as_str().into(),
        event.interface.as_str().into(),
        event.client.as_ref().map_or("", ClientId::as_str).into(),
        event.event_type.as_str().into(),
        event.received_at.into(),
        sequence.cast_signed().into(),
    ]
}

impl Store {
    /// One lead.
    pub(crate) async fn lead(&self, account: &AccountId, lead: &LeadId) -> Result<Option<Lead>, StoreError> {
        let mut select = Statement::new(SELECT);
        select.push("? AND l.lead = ?", [account.as_str().into(), lead.as_str().into()]);
        select.query().fetch_optional(&self.pool).await?.as_ref().map(from_row).transpose()
    }

    /// Leads, the newest first.
    pub(crate) async fn leads(&self, filter: &LeadFilter, page: &Page) -> Result<Vec<Lead>, StoreError> {
        let mut select = Statement::new(SELECT);
        select.push("?", [filter.account.as_str().into()]);
        if let Some(interface) = &filter.interface {
            select.push(" AND l.interface = ?", [interface.as_str().into()]);
        }
        match filter.failed {
            Some(true) => select.push(&format!(" AND {FAILED}"), [filter.account.as_str().into()]),
            Some(false) => select.push(&format!(" AND {NOT_FAILED}"), [filter.account.as_str().into()]),
            None => &mut select,
        };
        let times = [(" AND l.created_at >= ?", filter.created_from), (" AND l.created_at < ?", filter.created_before)];
        for (condition, time) in times {
            if let Some(time) = time {
                select.push(condition, [time.into()]);
            }
        }
        if let Some(after) = &page.after {
            select.push(" AND (l.created_at, l.lead) < (?, ?)", [after.at.into(), after.id.as_str().into()]);
        }
        select.push(" ORDER BY l.created_at DESC, l.lead DESC LIMIT ?", [page.limit().into()]);
        select.query().fetch_all(&self.pool).await?.iter().map(from_row).collect()
    }
}

fn from_row(row: &AnyRow) -> Result<Lead, StoreError> {
    Ok(Lead {
        account: sql::text(row, "account")?,
        lead: sql::text(row, "lead")?,
        interface: sql::text(row, "interface")?,
        client: sql::text(row, "client")?,
        created_at: sql::time(row, "created_at")?,
        updated_at: sql::time(row, "updated_at")?.max(sql::time(row, "delivered_at")?),
        events: sql::count(row, "events")?,
        deliveries: sql::count(row, "deliveries")?,
        failed_deliveries: sql::count(row, "failed")?,
        http_status_code: sql::count(row, "status")?,
        webhook_response: sql::text(row, "response")?,
    })
}
