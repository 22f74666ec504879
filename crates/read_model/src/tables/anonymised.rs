//! Anonymised leads: blanks the rows about them, and records what the eraser has to erase
//! ([`erasures`](super::erasures)).
//!
//! Projectors of different streams are serialised by the row of the lead: each writes that row before it reads whether
//! the lead is anonymised. So the second of two concurrent projectors sees the rows of the first.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::{AccountId, AnonymisationFact, InterfaceId, LeadEvent, LeadId, LeadSequence};
use jiff::Timestamp;
use journal::{StreamFact as _, StreamName};
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    sql::{
        self, Statement, Value,
        bulk::{self, Insert, Rows},
    },
    store::Store,
};

const LEAD_COLUMNS: [&str; 7] = ["account", "lead", "interface", "client", "created_at", "updated_at", "anonymised_at"];
const MARK_COLUMNS: [&str; 3] = ["account", "lead", "until"];
const COPY_COLUMNS: [&str; 5] = ["stream", "sequence", "account", "lead", "lead_sequence"];

/// The anonymised part of a lead: everything up to a sequence of LEADS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    account: String,
    lead: String,
    until: i64,
}

/// A message that repeats the content of another message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy<'a> {
    pub stream: StreamName,
    pub sequence: u64,
    pub account: &'a AccountId,
    pub lead: &'a LeadId,
    pub lead_sequence: u64,
}

/// Up to which sequence each lead is anonymised, and since when.
pub type Anonymised = BTreeMap<(AccountId, LeadId), (LeadSequence, Timestamp)>;

/// Marks leads as anonymised, and records that the quarantine has to be searched for them. Returns the marks as they
/// are stored then, because an earlier mark may reach further.
pub(crate) async fn mark(
    transaction: &mut Transaction<'static, Any>,
    leads: &Anonymised,
) -> Result<Vec<Mark>, StoreError> {
    let rows = leads.iter().map(|((account, lead), (_, at))| lead_row(account, lead, *at));
    write_leads(transaction, &LEAD_COLUMNS, &[sql::latest("anonymised_at")], Box::new(rows)).await?;
    let marks = || leads.iter().map(|((account, lead), (until, _))| mark_row(account, lead, *until));
    let until = "CASE WHEN excluded.until > anonymised_leads.until THEN excluded.until ELSE anonymised_leads.until END";
    let then = format!(" ON CONFLICT (lead, account) DO UPDATE SET until = {until}");
    Insert { table: "anonymised_leads", columns: &MARK_COLUMNS, then }.count(transaction, Box::new(marks())).await?;
    let then = " ON CONFLICT DO NOTHING".to_owned();
    Insert { table: "searches", columns: &MARK_COLUMNS, then }.count(transaction, Box::new(marks())).await?;
    marks_of(transaction, || leads.keys().map(|(account, lead)| key(account.as_str(), lead.as_str())).collect()).await
}

pub(super) fn int(sequence: LeadSequence) -> Value {
    sequence.0.cast_signed().into()
}

fn key(account: &str, lead: &str) -> [Value; 2] {
    [account.into(), lead.into()]
}

fn mark_row(account: &AccountId, lead: &LeadId, until: LeadSequence) -> Vec<Value> {
    key(account.as_str(), lead.as_str()).into_iter().chain([int(until)]).collect()
}

fn lead_row(account: &AccountId, lead: &LeadId, anonymised_at: Timestamp) -> Vec<Value> {
    let nothing = || 0_i64.into();
    let others = ["".into(), "".into(), nothing(), nothing(), anonymised_at.into()];
    key(account.as_str(), lead.as_str()).into_iter().chain(others).collect()
}

/// Writes the rows of leads in the order of their keys, so that two transactions do not wait for each other's rows.
/// Returns which of the leads are anonymised.
pub(crate) async fn marked<News: Sync>(
    transaction: &mut Transaction<'static, Any>,
    columns: &[&str],
    sets: &[String],
    news: HashMap<(&AccountId, &LeadId), News>,
    row: impl Fn(&News, &AccountId, &LeadId) -> Vec<Value> + Sync,
) -> Result<Vec<Mark>, StoreError> {
    let mut leads: Vec<_> = news.into_iter().collect();
    leads.sort_unstable_by_key(|(key, _)| *key);
    let rows = leads.iter().map(|((account, lead), news)| row(news, account, lead));
    write_leads(transaction, columns, sets, Box::new(rows)).await?;
    marks_of(transaction, || leads.iter().map(|((account, lead), _)| key(account.as_str(), lead.as_str())).collect())
        .await
}

async fn write_leads(
    transaction: &mut Transaction<'static, Any>,
    columns: &[&str],
    sets: &[String],
    rows: Rows<'_>,
) -> Result<(), StoreError> {
    let then = format!(" ON CONFLICT (account, lead) DO UPDATE SET {}", sets.join(", "));
    Insert { table: "leads", columns, then }.count(transaction, rows).await.map(drop)
}

async fn marks_of(
    transaction: &mut Transaction<'static, Any>,
    leads: impl FnOnce() -> HashSet<[Value; 2]>,
) -> Result<Vec<Mark>, StoreError> {
    // Without any anonymised lead, this query is the only cost.
    let any =
        Statement::new("SELECT 1 FROM anonymised_leads LIMIT 1").query().fetch_optional(&mut **transaction).await?;
    if any.is_none() {
        return Ok(vec![]);
    }
    let leads = leads();
    let select = "SELECT account, lead, until FROM anonymised_leads WHERE lead IN ";
    let rows = bulk::select_in(transaction, select, leads.iter().map(|[_, lead]| lead.clone()).collect()).await?;
    let marks = rows.iter().map(Mark::from_row).collect::<Result<Vec<_>, _>>()?;
    Ok(marks.into_iter().filter(|mark| leads.contains(&key(&mark.account, &mark.lead))).collect())
}

/// Records that LEADS holds another copy of an event. Anonymising the event then also erases the copy. If the event is
/// already anonymised, the copy is erased soon. Returns the lead with which the event was first stored.
pub(crate) async fn add_event_copy(
    transaction: &mut Transaction<'static, Any>,
    sequence: u64,
    event: &LeadEvent,
) -> Result<LeadId, StoreError> {
    let first = first_stored(transaction, event).await?;
    let lead_sequence = sql::int(&first, "sequence")?.cast_unsigned();
    let lead = sql::parsed(&first, "lead", |text| LeadId::parse(text).ok())?;
    let copy = Copy { stream: LeadEvent::STREAM, sequence, account: &event.account, lead: &lead, lead_sequence };
    add_copies(transaction, vec![copy]).await?;
    Ok(lead)
}

/// The row of an event that is stored already.
async fn first_stored(transaction: &mut Transaction<'static, Any>, event: &LeadEvent) -> Result<AnyRow, StoreError> {
    let mut select = Statement::new("SELECT lead, sequence FROM lead_events");
    select.push(" WHERE account = ? AND event_id = ?", [event.account.as_str().into(), event.event_id.as_str().into()]);
    Ok(select.query().fetch_one(&mut **transaction).await?)
}

/// Records that an event is anonymised. After a rebuild its row may be that of a copy, because the event itself was
/// erased before; the copy is then to be erased. Returns the lead of the row.
pub(crate) async fn erase_copy(
    transaction: &mut Transaction<'static, Any>,
    event: &LeadEvent,
) -> Result<LeadId, StoreError> {
    let first = first_stored(transaction, event).await?;
    let lead = sql::parsed(&first, "lead", |text| LeadId::parse(text).ok())?;
    let mut update = Statement::new("UPDATE lead_events SET anonymised = 1");
    let key = [event.account.as_str().into(), event.event_id.as_str().into()];
    update.push(" WHERE account = ? AND event_id = ? AND anonymised = 0 RETURNING sequence", key);
    let Some(row) = update.query().fetch_optional(&mut **transaction).await? else { return Ok(lead) };
    let sequence = sql::int(&row, "sequence")?;
    let mut insert = Statement::new("INSERT INTO erasures (stream, sequence)");
    insert.push(" VALUES (?, ?) ON CONFLICT DO NOTHING", [LeadEvent::STREAM.as_str().into(), sequence.into()]);
    insert.query().execute(&mut **transaction).await?;
    let mut delete = Statement::new("DELETE FROM lead_values");
    let of_event = [lead.as_str().into(), event.account.as_str().into(), sequence.into()];
    delete.push(" WHERE lead = ? AND account = ? AND sequence = ?", of_event);
    delete.query().execute(&mut **transaction).await?;
    Ok(lead)
}

/// Records messages that are copies of others.
pub(crate) async fn add_copies(
    transaction: &mut Transaction<'static, Any>,
    copies: Vec<Copy<'_>>,
) -> Result<(), StoreError> {
    let rows = copies.iter().map(|copy| {
        vec![
            copy.stream.as_str().into(),
            copy.sequence.cast_signed().into(),
            copy.account.as_str().into(),
            copy.lead.as_str().into(),
            copy.lead_sequence.cast_signed().into(),
        ]
    });
    let then = " ON CONFLICT (stream, sequence) DO NOTHING".to_owned();
    Insert { table: "copies", columns: &COPY_COLUMNS, then }.count(transaction, Box::new(rows)).await.map(drop)
}

/// Blanks the rows about these leads, and records which messages are to be erased and which deliveries are to end. Each
/// projector calls it again with the marks of its batch, so rows of later facts are blanked, too.
pub(crate) async fn forget(transaction: &mut Transaction<'static, Any>, marks: &[Mark]) -> Result<(), StoreError> {
    const DELIVERIES: &str =
        "SELECT d.delivery FROM deliveries d WHERE d.lead = ? AND d.account = ? AND d.lead_sequence <= ?";
    let statements = [
        "INSERT INTO erasures (stream, sequence) SELECT 'LEADS', sequence FROM lead_events \
            WHERE lead = ? AND account = ? AND sequence <= ? AND anonymised = 0 ON CONFLICT DO NOTHING",
        "UPDATE lead_events SET anonymised = 1 WHERE lead = ? AND account = ? AND sequence <= ? AND anonymised = 0",
        "DELETE FROM lead_values WHERE lead = ? AND account = ? AND sequence <= ?",
        "INSERT INTO erasures (stream, sequence) SELECT stream, sequence FROM copies \
            WHERE lead = ? AND account = ? AND lead_sequence <= ? ON CONFLICT DO NOTHING",
        "DELETE FROM copies WHERE lead = ? AND account = ? AND lead_sequence <= ?",
        &format!(
            "INSERT INTO erasures (stream, sequence) SELECT 'DELIVERIES', sequence FROM attempts \
            WHERE delivery IN ({DELIVERIES}) AND sequence > 0 ON CONFLICT DO NOTHING"
        ),
        &format!(
            "UPDATE attempts SET url = '', response = '', exchange = '', sequence = -1 \
            WHERE delivery IN ({DELIVERIES}) AND sequence <> -1"
        ),
        "UPDATE deliveries SET last_url = '', last_response = '' WHERE lead = ? AND account = ? AND lead_sequence <= ? \
            AND (last_url <> '' OR last_response <> '')",
        &format!(
            "INSERT INTO endings (delivery) {DELIVERIES} AND d.status NOT IN ('succeeded', 'failed') \
            ON CONFLICT DO NOTHING"
        ),
    ];
    for mark in marks {
        for text in statements {
            let mut statement = Statement::new("");
            statement.push(text, [mark.lead.as_str().into(), mark.account.as_str().into(), mark.until.into()]);
            statement.query().execute(&mut **transaction).await?;
        }
    }
    Ok(())
}

impl Store {
    /// The anonymised part of a lead: everything up to this sequence of LEADS.
    pub async fn anonymised_until(&self, account: &AccountId, lead: &LeadId) -> Result<LeadSequence, StoreError> {
        let mut select = Statement::new("SELECT account, lead, until FROM anonymised_leads");
        select.push(" WHERE account = ? AND lead = ?", [account.as_str().into(), lead.as_str().into()]);
        let row = self.fetch_optional(select).await?;
        let until = row.as_ref().map(Mark::from_row).transpose()?.map_or(0, |mark| mark.until);
        Ok(LeadSequence(until.cast_unsigned()))
    }

    /// The last event of a lead, among those that the read model has and those that its deliveries name.
    pub async fn last_event(&self, account: &AccountId, lead: &LeadId) -> Result<LeadSequence, StoreError> {
        let key = || [account.as_str().into(), lead.as_str().into()];
        let mut select = Statement::new("SELECT COALESCE(MAX(l.sequence), 0) AS last FROM (");
        select.push("SELECT sequence FROM lead_events WHERE account = ? AND lead = ?", key());
        select.push(" UNION ALL SELECT lead_sequence FROM deliveries WHERE account = ? AND lead = ?) l", key());
        let row = self.fetch_one(select).await?;
        Ok(LeadSequence(sql::int(&row, "last")?.cast_unsigned()))
    }

    /// The leads of an interface that are not anonymised and have events received before a time, and the last of these
    /// events. At most `max` events are read, the oldest first.
    pub async fn overdue(
        &self,
        account: &AccountId,
        interface: &InterfaceId,
        before: Timestamp,
        max: u32,
    ) -> Result<Vec<(LeadId, LeadSequence)>, StoreError> {
        let mut select =
            Statement::new("SELECT e.lead, MAX(e.sequence) AS last FROM (SELECT lead, sequence FROM lead_events");
        let values: [Value; 4] = [account.as_str().into(), interface.as_str().into(), before.into(), max.into()];
        let oldest =
            " WHERE account = ? AND interface = ? AND received_at < ? AND anonymised = 0 ORDER BY received_at LIMIT ?";
        select.push(oldest, values).push(") e GROUP BY e.lead", []);
        let read = |row: &AnyRow| {
            let lead = sql::parsed(row, "lead", |text| LeadId::parse(text).ok())?;
            Ok((lead, LeadSequence(sql::int(row, "last")?.cast_unsigned())))
        };
        self.fetch_all(select).await?.iter().map(read).collect()
    }
}

impl Mark {
    fn from_row(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self { account: sql::text(row, "account")?, lead: sql::text(row, "lead")?, until: sql::int(row, "until")? })
    }
}

/// The marks of leads in the order of the leads' keys.
pub fn marks<'a>(facts: impl Iterator<Item = &'a AnonymisationFact>) -> Anonymised {
    let mut marks = Anonymised::new();
    for fact in facts {
        if let AnonymisationFact::LeadAnonymised(f) = fact {
            let mark = marks.entry((f.account.clone(), f.lead.clone())).or_insert((f.until, f.at));
            *mark = (mark.0.max(f.until), mark.1.max(f.at));
        }
    }
    marks
}
