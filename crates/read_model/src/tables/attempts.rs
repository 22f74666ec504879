//! Attempts: those of one delivery, and the latest at one destination.

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    AccountId, DeliveryId, DeliveryRef, DestinationId, ErrorKind,
    delivery::{DeliveryAttempted, EncodedExchange, Exchange, FailureReason, LastAttempt, NextStep, SpanRef},
    registry::DeactivationCause,
};
use journal::StreamName;
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    page::{Page, Place},
    sql::{
        self, Statement, Value,
        bulk::{self, Insert},
    },
    store::Store,
    tables::{
        anonymised::{self, Copy},
        deliveries::{attempt, micros},
    },
};

#[rustfmt::skip]
const COLUMNS: [&str; 18] = [
    "attempt", "delivery", "number", "round", "started_at", "duration", "method", "url", "status", "response",
    "error_kind", "destination", "deactivated", "sequence", "verdict", "next_attempt_at", "trace",
    EXCHANGE,
];
/// The request and the answer. It is the largest column, and lists leave it out.
const EXCHANGE: &str = "exchange";
/// Only this many attempts of a delivery, the latest ones, are shown with their exchanges: each has up to 20 KiB.
const MAX_EXCHANGES: usize = 50;
/// The columns from which [`attempt`] reads an attempt.
#[rustfmt::skip]
pub(crate) const SHOWN: [&str; 10] = [
    "attempt", "number", "started_at", "duration", "method", "url", "status", "response", "error_kind", "deactivated",
];
/// The values of the column `verdict` that are not a [`FailureReason`].
const SUCCEEDED: &str = "succeeded";
const RETRY: &str = "retry";
/// The stored sequence of an attempt that was erased from DELIVERIES, or is about to be.
const ERASED: i64 = -1;

/// An attempt as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptRow {
    pub attempt: LastAttempt,
    pub round: u32,
    /// `None` if it is not known, or was not read.
    pub exchange: Option<Box<Exchange>>,
    /// `None` if the attempt belonged to no trace, or is older than this column.
    pub trace: Option<SpanRef>,
}

/// An attempt at a destination, with its delivery and event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationEvent {
    pub attempt: AttemptRow,
    pub delivery: String,
    pub event_id: String,
    pub event_type: String,
    pub lead: String,
}

/// Adds attempts with their sequences in DELIVERIES. An existing attempt only gets its missing values, and a second
/// message about it is recorded as a copy.
pub(crate) async fn add(
    transaction: &mut Transaction<'static, Any>,
    attempts: &[(u64, &DeliveryAttempted)],
) -> Result<(), StoreError> {
    // A statement may not touch a row twice.
    let mut seen = HashSet::new();
    let mut first: Vec<_> = attempts.iter().filter(|(_, attempt)| seen.insert(attempt.attempt_id)).collect();
    // In the order of the key, so that rows on one page of its index are written together.
    first.sort_unstable_by_key(|(_, attempt)| (attempt.reference.delivery, attempt.attempt_id));
    let rows = first.into_iter().map(|(sequence, attempt)| to_row(attempt, sequence.cast_signed()));
    let then = " ON CONFLICT (delivery, attempt) DO UPDATE SET sequence = excluded.sequence, verdict = excluded.verdict, \
        next_attempt_at = excluded.next_attempt_at WHERE attempts.sequence = 0 \
        OR (attempts.verdict = '' AND attempts.sequence = excluded.sequence)";
    let insert = Insert { table: "attempts", columns: &COLUMNS, then: then.to_owned() };
    if insert.count(transaction, Box::new(rows)).await? == attempts.len() as u64 {
        return Ok(());
    }
    let select = "SELECT attempt, sequence FROM attempts WHERE delivery IN ";
    let deliveries: HashSet<_> = attempts.iter().map(|(_, attempt)| attempt.reference.delivery).collect();
    let deliveries = deliveries.into_iter().map(|delivery| delivery.to_string().into()).collect();
    let rows = bulk::select_in(transaction, select, deliveries).await?;
    let stored = |row: &AnyRow| Ok((sql::text(row, "attempt")?, sql::int(row, "sequence")?.cast_unsigned()));
    let stored = rows.iter().map(stored).collect::<Result<HashMap<_, _>, StoreError>>()?;
    let repeats = attempts.iter().filter(|(sequence, made)| stored.get(&made.attempt_id.to_string()) != Some(sequence));
    let copies = repeats.map(|(sequence, attempt)| {
        let reference = &attempt.reference;
        Copy {
            stream: StreamName::Deliveries,
            sequence: *sequence,
            account: &reference.account,
            lead: &reference.lead,
            lead_sequence: reference.lead_sequence.0,
        }
    });
    anonymised::add_copies(transaction, copies.collect()).await
}

/// Replaces attempts by their blank versions.
pub(crate) async fn add_blank(
    transaction: &mut Transaction<'static, Any>,
    attempts: &[&DeliveryAttempted],
) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    let mut first: Vec<_> = attempts.iter().filter(|attempt| seen.insert(attempt.attempt_id)).collect();
    first.sort_unstable_by_key(|attempt| (attempt.reference.delivery, attempt.attempt_id));
    let rows = first.into_iter().map(|attempt| to_row(attempt, ERASED));
    let then = " ON CONFLICT (delivery, attempt) DO UPDATE SET url = '', response = '', exchange = '', verdict = excluded.verdict, \
        next_attempt_at = excluded.next_attempt_at"
        .to_owned();
    Insert { table: "attempts", columns: &COLUMNS, then }.count(transaction, Box::new(rows)).await.map(drop)
}

impl Store {
    /// The attempts of a delivery, the oldest first.
    pub async fn attempts(&self, of: &DeliveryRef) -> Result<Vec<AttemptRow>, StoreError> {
        let mut select = Statement::new(format!("SELECT {} FROM attempts", COLUMNS.join(", ")));
        select.push(" WHERE delivery = ? ORDER BY started_at, attempt", [of.delivery.to_string().into()]);
        let rows = self.fetch_all(select).await?;
        let without = rows.len().saturating_sub(MAX_EXCHANGES);
        let read = |(index, row)| {
            let exchange = if index < without { None } else { exchange(row, of)? };
            Ok(AttemptRow { exchange, ..from_row(row)? })
        };
        rows.iter().enumerate().map(read).collect()
    }

    /// The span of the latest attempt of a delivery; `None` if it is not known.
    pub async fn latest_span(&self, of: DeliveryId) -> Result<Option<SpanRef>, StoreError> {
        let mut select = Statement::new("SELECT trace FROM attempts".to_owned());
        let latest = " WHERE delivery = ? ORDER BY started_at DESC, attempt DESC LIMIT 1";
        select.push(latest, [of.to_string().into()]);
        let rows = self.fetch_all(select).await?;
        Ok(rows.first().map(trace).transpose()?.flatten())
    }

    /// A page of the attempts at a destination, the newest first.
    pub async fn destination_events(
        &self,
        account: &AccountId,
        destination: &DestinationId,
        page: &Page,
    ) -> Result<Vec<DestinationEvent>, StoreError> {
        let shown = COLUMNS.iter().filter(|column| **column != EXCHANGE);
        let attempts: Vec<_> = shown.map(|column| format!("a.{column}")).collect();
        let mut select = Statement::new(format!(
            "SELECT {}, d.event_id, d.event_type, d.lead FROM (SELECT * FROM attempts",
            attempts.join(", ")
        ));
        select.push(" WHERE destination = ?", [destination.as_str().into()]);
        if let Some(Place { at, id }) = page.after() {
            let older = " AND (started_at < ? OR (started_at = ? AND attempt < ?))";
            select.push(older, [(*at).into(), (*at).into(), id.as_str().into()]);
        }
        select.push(" ORDER BY started_at DESC, attempt DESC LIMIT ?) a", [page.limit().into()]);
        select.push(" JOIN deliveries d ON d.delivery = a.delivery WHERE d.account = ?", [account.as_str().into()]);
        select.push(" ORDER BY a.started_at DESC, a.attempt DESC", []);
        let rows = self.fetch_all(select).await?;
        let read = |row: &AnyRow| {
            Ok(DestinationEvent {
                attempt: from_row(row)?,
                delivery: sql::text(row, "delivery")?,
                event_id: sql::text(row, "event_id")?,
                event_type: sql::text(row, "event_type")?,
                lead: sql::text(row, "lead")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

fn from_row(row: &AnyRow) -> Result<AttemptRow, StoreError> {
    Ok(AttemptRow {
        attempt: attempt(row, SHOWN)?,
        round: sql::count(row, "round")?,
        exchange: None,
        trace: trace(row)?,
    })
}

fn trace(row: &AnyRow) -> Result<Option<SpanRef>, StoreError> {
    sql::parsed(row, "trace", |text| if text.is_empty() { Some(None) } else { SpanRef::parse(text).map(Some) })
}

fn exchange(row: &AnyRow, of: &DeliveryRef) -> Result<Option<Box<Exchange>>, StoreError> {
    sql::parsed(row, EXCHANGE, |text| {
        if text.is_empty() {
            return Some(None);
        }
        let encoded = EncodedExchange(STANDARD.decode(text).ok()?.into());
        events::decode_exchange(encoded, of).ok().map(|exchange| Some(Box::new(exchange)))
    })
}

fn to_row(fact: &DeliveryAttempted, sequence: i64) -> Vec<Value> {
    vec![
        fact.attempt_id.to_string().into(),
        fact.reference.delivery.to_string().into(),
        fact.attempt.into(),
        fact.round.into(),
        fact.started_at.into(),
        micros(fact.duration).into(),
        fact.request.method.as_str().into(),
        fact.request.url.as_str().into(),
        u32::from(fact.outcome.status_code()).into(),
        fact.outcome.webhook_response().into(),
        fact.outcome.error_kind().map_or("", ErrorKind::as_str).into(),
        fact.reference.destination.as_str().into(),
        fact.deactivated.map_or("", DeactivationCause::as_str).into(),
        sequence.into(),
        match fact.next_step {
            NextStep::Succeeded => SUCCEEDED,
            NextStep::RetryAt(_) => RETRY,
            NextStep::Failed(reason) => reason.as_str(),
        }
        .into(),
        sql::or_zero(match fact.next_step {
            NextStep::RetryAt(at) => Some(at),
            NextStep::Succeeded | NextStep::Failed(_) => None,
        }),
        fact.trace.map(|span| span.to_string()).unwrap_or_default().into(),
        fact.exchange.as_ref().map(|exchange| STANDARD.encode(&exchange.0)).unwrap_or_default().into(),
    ]
}

/// The next step after an attempt; `None` if it is not known.
pub(crate) fn next_step(row: &AnyRow) -> Result<Option<NextStep>, StoreError> {
    let next = sql::time(row, "next_attempt_at")?;
    sql::parsed(row, "verdict", |word| match word {
        "" => Some(None),
        SUCCEEDED => Some(Some(NextStep::Succeeded)),
        RETRY => Some(Some(NextStep::RetryAt(next))),
        reason => FailureReason::parse(reason).map(|reason| Some(NextStep::Failed(reason))),
    })
}
