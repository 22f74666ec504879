//! Leads and their events.

#[cfg(test)]
mod repeats;

use std::collections::{HashMap, HashSet};

use domain::{AccountId, ClientId, InterfaceId, LeadEvent, LeadId};
use jiff::Timestamp;
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    page::Page,
    sql::{self, Statement, Value, bulk::Insert},
    store::Store,
    tables::{
        anonymised::{self, Mark, marked},
        values::{Chosen, WantedHash},
    },
};

#[rustfmt::skip]
const EVENT_COLUMNS: [&str; 9] =
    ["account", "event_id", "lead", "interface", "client", "event_type", "received_at", "sequence", "anonymised"];
const LEAD_COLUMNS: [&str; 7] = ["account", "lead", "interface", "client", "created_at", "updated_at", "events"];
#[rustfmt::skip]
const NEWS_COLUMNS: [&str; 12] = [
    "account", "lead", "interface", "client", "created_at", "updated_at", "deliveries", "failed", "http_status",
    "last_started_at", "last_delivery", "last_attempt",
];

/// A lead with the counts and the last attempt of its deliveries.
const SELECT: &str = "SELECT l.account, l.lead, l.interface, l.client, l.created_at, l.updated_at, l.events, l.deliveries, \
    l.failed, l.http_status, l.anonymised_at, \
    COALESCE((SELECT a.response FROM attempts a WHERE a.delivery = l.last_delivery AND a.attempt = l.last_attempt), '') \
    AS response \
    FROM leads l WHERE l.account = ";

/// A lead as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lead {
    pub account: String,
    pub lead: String,
    pub interface: String,
    pub client: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub events: u32,
    pub deliveries: u32,
    pub failed_deliveries: u32,
    pub http_status_code: u32,
    pub webhook_response: String,
    /// `None` if the lead is not anonymised.
    pub anonymised_at: Option<Timestamp>,
}

/// The filter of a list of leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeadFilter {
    pub account: AccountId,
    pub interface: Option<InterfaceId>,
    pub client: Option<ClientId>,
    pub failed: Option<bool>,
    pub http_status: Option<u16>,
    pub created_from: Option<Timestamp>,
    pub created_before: Option<Timestamp>,
    /// The lead has to have all of them.
    pub values: Vec<WantedHash>,
}

/// How facts about deliveries change their lead. The sum does not depend on the division into batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeadNews {
    /// The number of new deliveries.
    pub deliveries: i64,
    /// The change of the number of failed deliveries.
    pub failed: i64,
    /// The time of the latest fact.
    pub updated_at: Timestamp,
    /// The attempt that started last.
    pub last: Option<LastOfLead>,
}

/// An attempt of a lead; the one that started later is the greater one.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LastOfLead {
    pub started_at: Timestamp,
    pub attempt: String,
    pub delivery: String,
    pub status: u16,
}

/// The result of adding events.
#[derive(Debug)]
pub(crate) struct AddedEvents {
    /// Which of their leads are anonymised.
    pub(crate) marks: Vec<Mark>,
    /// The sequences of the events that were not there before.
    pub(crate) new: HashSet<u64>,
}

/// Adds events and their leads. A lead belongs to the interface of its first event. A blank event is an event without
/// payload. If it has a row already, the row is about the same message or about a copy that was stored later.
pub(crate) async fn add_events(
    transaction: &mut Transaction<'static, Any>,
    events: &[(u64, &LeadEvent)],
    blank: bool,
) -> Result<AddedEvents, StoreError> {
    let then = " ON CONFLICT (account, event_id) DO NOTHING RETURNING sequence".to_owned();
    let insert = Insert { table: "lead_events", columns: &EVENT_COLUMNS, then };
    // In the order of the key, so that rows on one page of its index are written together. The sort keeps the order of
    // copies.
    let mut ordered: Vec<_> = events.iter().collect();
    ordered.sort_by_key(|(_, event)| (&event.account, &event.event_id));
    let rows = ordered.into_iter().map(|(sequence, event)| event_row(*sequence, event, blank));
    let added = insert.rows(transaction, Box::new(rows)).await?;
    let place = |row: &AnyRow| Ok(sql::int(row, "sequence")?.cast_unsigned());
    let mut added = added.iter().map(place).collect::<Result<HashSet<_>, StoreError>>()?;
    let new = added.clone();
    let mut repeats = vec![];
    let mut news: HashMap<_, EventNews<'_>> = HashMap::new();
    for (sequence, event) in events {
        if added.remove(sequence) {
            let of_lead = news.entry((&event.account, &event.lead)).or_insert_with(|| EventNews::of(event));
            of_lead.learn(event);
            of_lead.added += 1;
        } else if blank {
            // A blank event may arrive twice, and counts once.
            repeats.push((event, anonymised::erase_copy(transaction, event).await?));
        } else {
            repeats.push((event, anonymised::add_event_copy(transaction, *sequence, event).await?));
        }
    }
    // A repeat belongs to the lead with which its event was first stored, even if it names another lead. So it creates
    // no lead.
    for (event, lead) in &repeats {
        news.entry((&event.account, lead)).or_insert_with(|| EventNews::of(event)).learn(event);
    }
    // The row of a lead may have been created by a fact about a delivery, which has less information, or by a later
    // event. The earliest event decides.
    let first = |column| {
        let earlier = "leads.created_at = 0 OR excluded.created_at < leads.created_at";
        format!("{column} = CASE WHEN {earlier} THEN excluded.{column} ELSE leads.{column} END")
    };
    let sets = [
        first("interface"),
        first("client"),
        first("created_at"),
        sql::latest("updated_at"),
        "events = leads.events + excluded.events".to_owned(),
    ];
    let marks = marked(transaction, &LEAD_COLUMNS, &sets, news, EventNews::to_row).await?;
    Ok(AddedEvents { marks, new })
}

/// Adds changes to leads. Returns which of the leads are anonymised.
pub(crate) async fn add_news(
    transaction: &mut Transaction<'static, Any>,
    news: HashMap<(&AccountId, &LeadId), LeadNews>,
) -> Result<Vec<Mark>, StoreError> {
    let newer = "(excluded.last_started_at, excluded.last_attempt) > (leads.last_started_at, leads.last_attempt)";
    let newest = |column| format!("{column} = CASE WHEN {newer} THEN excluded.{column} ELSE leads.{column} END");
    let sets = [
        sql::latest("updated_at"),
        "deliveries = leads.deliveries + excluded.deliveries".to_owned(),
        "failed = leads.failed + excluded.failed".to_owned(),
        newest("http_status"),
        newest("last_started_at"),
        newest("last_delivery"),
        newest("last_attempt"),
    ];
    marked(transaction, &NEWS_COLUMNS, &sets, news, LeadNews::to_row).await
}

/// Subtracts deleted events from the counts of their leads.
pub(crate) async fn lose_events(
    transaction: &mut Transaction<'static, Any>,
    account: &AccountId,
    leads: &[LeadId],
) -> Result<(), StoreError> {
    let mut lost: HashMap<_, i64> = HashMap::new();
    for lead in leads {
        *lost.entry((account, lead)).or_default() -= 1;
    }
    let row = |lost: &i64, account: &AccountId, lead: &LeadId| {
        let zero = || Value::from(0_i64);
        let (account, lead) = (account.as_str().into(), lead.as_str().into());
        vec![account, lead, "".into(), "".into(), zero(), zero(), (*lost).into()]
    };
    let sets = ["events = leads.events + excluded.events".to_owned()];
    marked(transaction, &LEAD_COLUMNS, &sets, lost, row).await.map(drop)
}

/// The effect of events on a lead: one row for all of them, because a statement may not touch a row twice.
struct EventNews<'a> {
    first: &'a LeadEvent,
    updated_at: Timestamp,
    /// The number of new events.
    added: i64,
}

impl<'a> EventNews<'a> {
    const fn of(event: &'a LeadEvent) -> Self {
        Self { first: event, updated_at: event.received_at, added: 0 }
    }

    fn learn(&mut self, event: &'a LeadEvent) {
        if event.received_at < self.first.received_at {
            self.first = event;
        }
        self.updated_at = self.updated_at.max(event.received_at);
    }

    fn to_row(&self, account: &AccountId, lead: &LeadId) -> Vec<Value> {
        vec![
            account.as_str().into(),
            lead.as_str().into(),
            self.first.interface.as_str().into(),
            self.first.client.as_ref().map_or("", ClientId::as_str).into(),
            self.first.received_at.into(),
            self.updated_at.into(),
            self.added.into(),
        ]
    }
}

impl LeadNews {
    fn to_row(&self, account: &AccountId, lead: &LeadId) -> Vec<Value> {
        let last = self.last.clone().unwrap_or_default();
        vec![
            account.as_str().into(),
            lead.as_str().into(),
            "".into(),
            "".into(),
            0_i64.into(),
            self.updated_at.into(),
            self.deliveries.into(),
            self.failed.into(),
            u32::from(last.status).into(),
            last.started_at.into(),
            last.delivery.into(),
            last.attempt.into(),
        ]
    }
}

fn event_row(sequence: u64, event: &LeadEvent, blank: bool) -> Vec<Value> {
    vec![
        event.account.as_str().into(),
        event.event_id.as_str().into(),
        event.lead.as_str().into(),
        event.interface.as_str().into(),
        event.client.as_ref().map_or("", ClientId::as_str).into(),
        event.event_type.as_str().into(),
        event.received_at.into(),
        sequence.cast_signed().into(),
        i64::from(blank).into(),
    ]
}

impl Store {
    pub async fn lead(&self, account: &AccountId, lead: &LeadId) -> Result<Option<Lead>, StoreError> {
        let mut select = Statement::new(SELECT);
        select.push("? AND l.lead = ? AND l.created_at > 0", [account.as_str().into(), lead.as_str().into()]);
        self.fetch_optional(select).await?.as_ref().map(from_row).transpose()
    }

    /// Leads, the newest first. Leads of tests and of operational events are listed only if the filter names their
    /// interface.
    pub async fn leads(&self, filter: &LeadFilter, page: &Page) -> Result<Vec<Lead>, StoreError> {
        let chosen = self.chosen(&filter.account, filter.client.as_ref(), &filter.values).await?;
        if chosen.is_nobody() {
            return Ok(vec![]);
        }
        self.fetch_all(select(filter, page, &chosen)).await?.iter().map(from_row).collect()
    }
}

/// Each list is read in the order of one index; the other conditions are written so that no other index serves them.
/// The rows of chosen leads are found by the key and sorted.
pub(crate) fn select(filter: &LeadFilter, page: &Page, chosen: &Chosen) -> Statement {
    let mut select = Statement::new(SELECT);
    select.push("?", [filter.account.as_str().into()]);
    let is_sorted = chosen.leads.is_some();
    let created_at = if is_sorted { "(l.created_at + 0)" } else { "l.created_at" };
    for (condition, values) in chosen.named("l.lead").into_iter().chain(chosen.comparisons("l")) {
        select.push(" AND ", []).push(&condition, values);
    }
    let by_failure = !is_sorted && filter.failed == Some(true);
    let by_status = !is_sorted && !by_failure && filter.http_status.is_some_and(|status| status > 299);
    match filter.failed {
        Some(true) if by_failure => select.push(" AND l.failed > 0", []),
        Some(true) => select.push(" AND (l.failed + 0) > 0", []),
        Some(false) => select.push(" AND l.failed = 0", []),
        None => &mut select,
    };
    match filter.http_status {
        Some(status) if by_status => {
            select.push(" AND l.http_status = ? AND l.http_status > 299", [u32::from(status).into()]);
        }
        Some(status) => {
            select.push(" AND (l.http_status + 0) = ?", [u32::from(status).into()]);
        }
        None => {}
    }
    match &filter.interface {
        Some(interface) if by_failure || by_status || is_sorted => {
            select.push(" AND (l.interface || '') = ?", [interface.as_str().into()])
        }
        Some(interface) => select.push(" AND l.interface = ?", [interface.as_str().into()]),
        None => select.push(
            " AND (l.interface || '') <> ? AND (l.interface || '') <> ?",
            [InterfaceId::TESTS.into(), InterfaceId::OPERATIONS.into()],
        ),
    };
    if let Some(client) = &filter.client {
        select.push(" AND l.client = ?", [client.as_str().into()]);
    }
    select.push(&format!(" AND {created_at} > 0"), []);
    if let Some(from) = filter.created_from {
        select.push(&format!(" AND {created_at} >= ?"), [from.into()]);
    }
    // One bound, as for deliveries: with two bounds, the database would begin to read at the wrong one.
    let after = page.after().map(|after| (after.at, after.id.as_str()));
    let before = filter.created_before.map(|before| (before.as_microsecond(), ""));
    if let Some((at, id)) = after.into_iter().chain(before).min() {
        select.push(&format!(" AND ({created_at}, l.lead) < (?, ?)"), [at.into(), id.into()]);
    }
    select.push(&format!(" ORDER BY {created_at} DESC, l.lead DESC LIMIT ?"), [page.limit().into()]);
    select
}

fn from_row(row: &AnyRow) -> Result<Lead, StoreError> {
    Ok(Lead {
        account: sql::text(row, "account")?,
        lead: sql::text(row, "lead")?,
        interface: sql::text(row, "interface")?,
        client: sql::text(row, "client")?,
        created_at: sql::time(row, "created_at")?,
        updated_at: sql::time(row, "updated_at")?,
        events: sql::count(row, "events")?,
        deliveries: sql::count(row, "deliveries")?,
        failed_deliveries: sql::count(row, "failed")?,
        http_status_code: sql::count(row, "http_status")?,
        webhook_response: sql::text(row, "response")?,
        anonymised_at: sql::time_or_none(row, "anonymised_at")?,
    })
}
