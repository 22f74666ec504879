//! Deliveries and their attempts.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{
    AccountId, AttemptId, AttemptOutcome, ClientId, Delivery, DeliveryId, DeliveryRef, DeliveryStatus, DestinationId,
    ErrorKind, EventId, EventType, InterfaceId, LeadId, LeadSequence,
    delivery::{DeliveryAttempted, FailureReason, LastAttempt, Position, RequestLine},
};
use jiff::Timestamp;
use sqlx::{Any, Transaction, any::AnyRow};

use super::{
    Store, StoreError,
    sql::{self, Statement, Value},
};
use crate::page::Page;

#[rustfmt::skip]
const COLUMNS: [&str; 32] = [
    "delivery", "account", "interface", "client", "destination", "event_id", "event_type", "lead", "lead_sequence",
    "status", "attempts", "round", "requested_at", "next_attempt_at", "failure", "updated_at",
    "at_succeeded", "at_attempts", "at_round", "at_hold", "at_phase", "at_time", "at_tie",
    "last_id", "last_attempt", "last_started_at", "last_duration", "last_method", "last_url", "last_status",
    "last_response", "last_error_kind",
];
#[rustfmt::skip]
const ATTEMPT_COLUMNS: [&str; 11] = [
    "attempt", "delivery", "number", "round", "started_at", "duration", "method", "url", "status", "response",
    "error_kind",
];
/// Rows in one statement: SQLite binds at most 32,766 values.
const CHUNK: usize = 500;

/// What deliveries are listed by; every condition that is set has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct DeliveryFilter {
    pub(crate) account: Option<AccountId>,
    pub(crate) interface: Option<InterfaceId>,
    pub(crate) destination: Option<DestinationId>,
    pub(crate) lead: Option<LeadId>,
    pub(crate) event_id: Option<EventId>,
    pub(crate) event_type: Option<EventType>,
    pub(crate) status: Option<DeliveryStatus>,
    pub(crate) requested_from: Option<Timestamp>,
    pub(crate) requested_before: Option<Timestamp>,
}

/// An attempt as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AttemptRow {
    pub(crate) attempt: LastAttempt,
    pub(crate) round: u32,
}

/// The states of these deliveries, as far as they are known; read inside the transaction that will write them.
pub(crate) async fn load(
    transaction: &mut Transaction<'static, Any>,
    ids: &[DeliveryId],
) -> Result<HashMap<DeliveryId, Delivery>, StoreError> {
    let mut found = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let mut select = Statement::new(format!("SELECT {} FROM deliveries WHERE delivery IN (", COLUMNS.join(", ")));
        let places = vec!["?"; chunk.len()].join(", ");
        select.push(&places, chunk.iter().map(|id| id.to_string().into())).push(")", []);
        for row in select.query().fetch_all(&mut **transaction).await? {
            let delivery = from_row(&row)?;
            found.insert(delivery.reference.delivery, delivery);
        }
    }
    Ok(found)
}

/// Writes states over what is there.
pub(crate) async fn save<'a>(
    transaction: &mut Transaction<'static, Any>,
    deliveries: impl IntoIterator<Item = &'a Delivery>,
) -> Result<(), StoreError> {
    let rows: Vec<_> = deliveries.into_iter().map(to_row).collect();
    for chunk in rows.chunks(CHUNK) {
        let mut insert = sql::insert("deliveries", &COLUMNS, chunk.iter().cloned());
        insert.push(&sql::replace(&["delivery"], &COLUMNS), []);
        insert.query().execute(&mut **transaction).await?;
    }
    Ok(())
}

/// Adds attempts; one that is there already stays as it is.
pub(crate) async fn add_attempts(
    transaction: &mut Transaction<'static, Any>,
    attempts: &[&DeliveryAttempted],
) -> Result<(), StoreError> {
    for chunk in attempts.chunks(CHUNK) {
        let mut insert = sql::insert("attempts", &ATTEMPT_COLUMNS, chunk.iter().map(|attempt| attempt_row(attempt)));
        insert.push(" ON CONFLICT (attempt) DO NOTHING", []);
        insert.query().execute(&mut **transaction).await?;
    }
    Ok(())
}

impl Store {
    /// One delivery.
    pub(crate) async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let mut select = Statement::new(format!("SELECT {} FROM deliveries WHERE delivery = ", COLUMNS.join(", ")));
        select.push("?", [id.to_string().into()]);
        select.query().fetch_optional(&self.pool).await?.as_ref().map(from_row).transpose()
    }

    /// The attempts of a delivery, in the order in which they were made.
    pub(crate) async fn attempts(&self, id: DeliveryId) -> Result<Vec<AttemptRow>, StoreError> {
        let mut select = Statement::new(format!("SELECT {} FROM attempts", ATTEMPT_COLUMNS.join(", ")));
        select.push(" WHERE delivery = ? ORDER BY started_at, attempt", [id.to_string().into()]);
        let rows = select.query().fetch_all(&self.pool).await?;
        let read = |row: &AnyRow| {
            let columns =
                ["attempt", "number", "started_at", "duration", "method", "url", "status", "response", "error_kind"];
            Ok(AttemptRow { attempt: attempt(row, columns)?, round: sql::count(row, "round")? })
        };
        rows.iter().map(read).collect()
    }

    /// Deliveries, the newest first.
    pub(crate) async fn deliveries(&self, filter: &DeliveryFilter, page: &Page) -> Result<Vec<Delivery>, StoreError> {
        let mut select = Statement::new(format!("SELECT {} FROM deliveries WHERE 1 = 1", COLUMNS.join(", ")));
        let texts = [
            (" AND account = ?", filter.account.as_ref().map(AccountId::as_str)),
            (" AND interface = ?", filter.interface.as_ref().map(InterfaceId::as_str)),
            (" AND destination = ?", filter.destination.as_ref().map(DestinationId::as_str)),
            (" AND lead = ?", filter.lead.as_ref().map(LeadId::as_str)),
            (" AND event_id = ?", filter.event_id.as_ref().map(EventId::as_str)),
            (" AND event_type = ?", filter.event_type.as_ref().map(EventType::as_str)),
            (" AND status = ?", filter.status.map(DeliveryStatus::as_str)),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                select.push(condition, [text.into()]);
            }
        }
        let times =
            [(" AND requested_at >= ?", filter.requested_from), (" AND requested_at < ?", filter.requested_before)];
        for (condition, time) in times {
            if let Some(time) = time {
                select.push(condition, [time.into()]);
            }
        }
        if let Some(after) = &page.after {
            select.push(" AND (requested_at, delivery) < (?, ?)", [after.at.into(), after.id.as_str().into()]);
        }
        select.push(" ORDER BY requested_at DESC, delivery DESC LIMIT ?", [page.limit().into()]);
        select.query().fetch_all(&self.pool).await?.iter().map(from_row).collect()
    }
}

fn to_row(delivery: &Delivery) -> Vec<Value> {
    let (reference, position) = (&delivery.reference, &delivery.position);
    let mut row: Vec<Value> = vec![
        reference.delivery.to_string().into(),
        reference.account.as_str().into(),
        reference.interface.as_str().into(),
        reference.client.as_ref().map_or("", ClientId::as_str).into(),
        reference.destination.as_str().into(),
        reference.event_id.as_str().into(),
        reference.event_type.as_str().into(),
        reference.lead.as_str().into(),
        reference.lead_sequence.0.cast_signed().into(),
        delivery.status.as_str().into(),
        delivery.attempts.into(),
        delivery.round.into(),
        sql::or_zero(delivery.requested_at),
        sql::or_zero(delivery.next_attempt_at),
        delivery.failure.map_or("", FailureReason::as_str).into(),
        delivery.updated_at.into(),
        i64::from(position.succeeded).into(),
        position.attempts.into(),
        position.round.into(),
        position.hold.into(),
        u32::from(position.phase).into(),
        position.at.into(),
        format!("{:032x}", position.tie).into(),
    ];
    match &delivery.last {
        Some(last) => row.extend(last_columns(last)),
        None => row.extend([
            "".into(),
            0_i64.into(),
            0_i64.into(),
            0_i64.into(),
            "".into(),
            "".into(),
            0_i64.into(),
            "".into(),
            "".into(),
        ]),
    }
    row
}

fn last_columns(last: &LastAttempt) -> [Value; 9] {
    [
        last.attempt_id.to_string().into(),
        last.attempt.into(),
        last.started_at.into(),
        micros(last.duration).into(),
        last.request.method.as_str().into(),
        last.request.url.as_str().into(),
        u32::from(last.outcome.status_code()).into(),
        last.outcome.webhook_response().into(),
        last.outcome.error_kind().map_or("", ErrorKind::as_str).into(),
    ]
}

fn attempt_row(fact: &DeliveryAttempted) -> Vec<Value> {
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
    ]
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn from_row(row: &AnyRow) -> Result<Delivery, StoreError> {
    let last = match sql::count(row, "last_attempt")? {
        0 => None,
        _ => Some(attempt(
            row,
            [
                "last_id",
                "last_attempt",
                "last_started_at",
                "last_duration",
                "last_method",
                "last_url",
                "last_status",
                "last_response",
                "last_error_kind",
            ],
        )?),
    };
    let failure =
        sql::parsed(
            row,
            "failure",
            |word| {
                if word.is_empty() { Some(None) } else { FailureReason::parse(word).map(Some) }
            },
        )?;
    Ok(Delivery {
        reference: Arc::new(reference(row)?),
        status: sql::parsed(row, "status", DeliveryStatus::parse)?,
        attempts: sql::count(row, "attempts")?,
        round: sql::count(row, "round")?,
        requested_at: sql::time_or_none(row, "requested_at")?,
        next_attempt_at: sql::time_or_none(row, "next_attempt_at")?,
        failure,
        last,
        updated_at: sql::time(row, "updated_at")?,
        position: Position {
            succeeded: sql::int(row, "at_succeeded")? != 0,
            attempts: sql::count(row, "at_attempts")?,
            round: sql::count(row, "at_round")?,
            hold: sql::count(row, "at_hold")?,
            phase: u8::try_from(sql::int(row, "at_phase")?).unwrap_or(u8::MAX),
            at: sql::time(row, "at_time")?,
            tie: sql::parsed(row, "at_tie", |hex| u128::from_str_radix(hex, 16).ok())?,
        },
    })
}

fn reference(row: &AnyRow) -> Result<DeliveryRef, StoreError> {
    Ok(DeliveryRef {
        delivery: sql::parsed(row, "delivery", |text| DeliveryId::parse(text).ok())?,
        account: sql::parsed(row, "account", |text| AccountId::parse(text).ok())?,
        interface: sql::parsed(row, "interface", |text| InterfaceId::parse(text).ok())?,
        client: match sql::text(row, "client")?.as_str() {
            "" => None,
            text => Some(ClientId::parse(text).map_err(|_| sql::wrong("client", text))?),
        },
        destination: sql::parsed(row, "destination", |text| DestinationId::parse(text).ok())?,
        event_id: sql::parsed(row, "event_id", |text| EventId::parse(text).ok())?,
        event_type: sql::parsed(row, "event_type", |text| EventType::parse(text).ok())?,
        lead: sql::parsed(row, "lead", |text| LeadId::parse(text).ok())?,
        lead_sequence: LeadSequence(sql::int(row, "lead_sequence")?.cast_unsigned()),
    })
}

/// Reads an attempt from these columns: id, number, start, duration, method, URL, status, response, kind of error.
fn attempt(row: &AnyRow, columns: [&'static str; 9]) -> Result<LastAttempt, StoreError> {
    let [id, number, started_at, duration, method, url, status, response, error_kind] = columns;
    let text = sql::text(row, response)?;
    let outcome = match sql::text(row, error_kind)?.as_str() {
        "" => AttemptOutcome::Response {
            status: u16::try_from(sql::int(row, status)?).map_err(|_| sql::wrong(status, "no status"))?,
            excerpt: text,
            retry_after: None,
        },
        word => AttemptOutcome::NoResponse {
            kind: ErrorKind::parse(word).ok_or_else(|| sql::wrong(error_kind, word))?,
            message: text,
        },
    };
    Ok(LastAttempt {
        attempt_id: sql::parsed(row, id, |text| AttemptId::parse(text).ok())?,
        attempt: sql::count(row, number)?,
        started_at: sql::time(row, started_at)?,
        duration: Duration::from_micros(sql::int(row, duration)?.cast_unsigned()),
        request: RequestLine { method: sql::text(row, method)?, url: sql::text(row, url)? },
        outcome,
    })
}
