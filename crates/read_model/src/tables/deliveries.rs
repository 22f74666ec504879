//! Deliveries, one row each: reads and writes them. [`pages`] lists them.

pub mod pages;
mod retries;

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{
    AccountId, AttemptId, AttemptOutcome, ClientId, Delivery, DeliveryId, DeliveryRef, DeliveryStatus, DestinationId,
    ErrorKind, EventId, EventType, InterfaceId, JobId, LeadId, LeadSequence,
    delivery::{FailureReason, InJob, LastAttempt, Position, RequestLine},
    registry::DeactivationCause,
};
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    sql::{
        self, Statement, Value,
        bulk::{self, Insert},
    },
    store::Store,
};

#[rustfmt::skip]
pub(crate) const COLUMNS: [&str; 36] = [
    "delivery", "account", "interface", "client", "destination", "event_id", "event_type", "lead", "lead_sequence",
    "status", "attempts", "round", "requested_at", "next_attempt_at", "failure", "updated_at",
    "at_succeeded", "at_attempts", "at_round", "at_hold", "at_phase", "at_time", "at_tie",
    "last_id", "last_attempt", "last_started_at", "last_duration", "last_method", "last_url", "last_status",
    "last_response", "last_error_kind", "last_deactivated", "at_resend", "last_resend", "job",
];
/// Columns that do not change once the request of a delivery is known: its ids, and the time that orders lists. An
/// update leaves them out, because writing a column also writes its index.
#[rustfmt::skip]
const LASTING: [&str; 10] = [
    "delivery", "account", "interface", "client", "destination", "event_id", "event_type", "lead", "lead_sequence",
    "requested_at",
];
#[rustfmt::skip]
const LAST: [&str; 10] = [
    "last_id", "last_attempt", "last_started_at", "last_duration", "last_method", "last_url", "last_status",
    "last_response", "last_error_kind", "last_deactivated",
];
/// The maximum number of ids in one statement; SQLite binds at most 32,766 values.
const CHUNK: usize = 500;
/// Waiting deliveries are counted up to this number. To count them, the database reads an index for some milliseconds.
const MAX_COUNTED: i64 = 100_000;

/// The beginning of the id of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The first and the last id with this beginning. Both are whole ids, so that every collation orders them alike.
    first: String,
    last: String,
}

impl Beginning {
    /// The minimum number of characters: several ids may share a shorter beginning.
    const MIN: usize = 6;
    const SHAPE: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    /// `None` if the text is too short, is a whole id, or begins no id.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let fits = |(letter, shape): (char, char)| match shape {
            '-' => letter == '-',
            _ => letter.is_ascii_hexdigit(),
        };
        let is_part =
            (Self::MIN..Self::SHAPE.len()).contains(&text.len()) && text.chars().zip(Self::SHAPE.chars()).all(fits);
        let padded = |with: &str| format!("{text}{}", Self::SHAPE[text.len()..].replace('x', with));
        is_part.then(|| Self { first: padded("0"), last: padded("f") })
    }
}

/// The known states of these deliveries, read inside the transaction that will write them.
pub(crate) async fn load(
    transaction: &mut Transaction<'static, Any>,
    ids: &[DeliveryId],
) -> Result<HashMap<DeliveryId, Delivery>, StoreError> {
    let select = format!("SELECT {} FROM deliveries WHERE delivery IN ", COLUMNS.join(", "));
    let rows = bulk::select_in(transaction, &select, ids.iter().map(|id| id.to_string().into()).collect()).await?;
    let found = rows.iter().map(|row| from_row(row).map(|delivery| (delivery.reference.delivery, delivery)));
    found.collect()
}

/// Writes states, given what [`load`] found before.
pub(crate) async fn save(
    transaction: &mut Transaction<'static, Any>,
    before: &HashMap<DeliveryId, Delivery>,
    after: &HashMap<DeliveryId, Delivery>,
) -> Result<(), StoreError> {
    let known = |delivery: &Delivery| before.get(&delivery.reference.delivery);
    let mut after: Vec<_> = after.values().collect();
    // In the order of the key, so that rows on one page of its index are written together.
    after.sort_unstable_by_key(|delivery| delivery.reference.delivery);
    let (changed, new): (Vec<_>, Vec<_>) = after.into_iter().partition(|delivery| known(delivery).is_some());
    let is_settled = |delivery: &&Delivery| known(delivery).is_some_and(|k| k.requested_at == delivery.requested_at);
    let (settled, others): (Vec<_>, Vec<_>) = changed.into_iter().partition(is_settled);
    write(transaction, &new, String::new()).await?;
    write(transaction, &others, sql::replace("delivery", &["delivery"], &COLUMNS)).await?;
    write(transaction, &settled, sql::replace("delivery", &LASTING, &COLUMNS)).await
}

async fn write(
    transaction: &mut Transaction<'static, Any>,
    deliveries: &[&Delivery],
    then: String,
) -> Result<(), StoreError> {
    let insert = Insert { table: "deliveries", columns: &COLUMNS, then };
    insert.count(transaction, Box::new(deliveries.iter().map(|delivery| to_row(delivery)))).await.map(drop)
}

impl Store {
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let mut select = Statement::new(format!("SELECT {} FROM deliveries WHERE delivery = ", COLUMNS.join(", ")));
        select.push("?", [id.to_string().into()]);
        self.fetch_optional(select).await?.as_ref().map(from_row).transpose()
    }

    /// At most two deliveries whose ids have this beginning, of an account if one is given.
    pub async fn deliveries_beginning(
        &self,
        account: Option<&AccountId>,
        beginning: &Beginning,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let mut select = Statement::new("SELECT delivery FROM deliveries WHERE delivery BETWEEN ");
        select.push("? AND ?", [beginning.first.as_str().into(), beginning.last.as_str().into()]);
        if let Some(account) = account {
            select.push(" AND (account || '') = ?", [account.as_str().into()]);
        }
        select.push(" ORDER BY delivery LIMIT 2", []);
        let id = |row: &AnyRow| sql::parsed(row, "delivery", |text| DeliveryId::parse(text).ok());
        self.fetch_all(select).await?.iter().map(id).collect()
    }

    /// How many deliveries wait for a destination that is switched off, counted up to [`MAX_COUNTED`].
    pub async fn held_at(&self, destination: &DestinationId) -> Result<u64, StoreError> {
        let mut select = Statement::new("SELECT COUNT(*) AS held FROM (SELECT delivery FROM deliveries WHERE ");
        let waits = "destination = ? AND status <> 'succeeded' AND status IN ('pending', 'retrying', 'held')";
        select.push(waits, [destination.as_str().into()]).push(" LIMIT ?) counted", [MAX_COUNTED.into()]);
        let row = self.fetch_one(select).await?;
        Ok(sql::int(&row, "held")?.cast_unsigned())
    }

    /// The deliveries among these that exist, in no particular order.
    pub async fn deliveries_of(&self, ids: &[DeliveryId]) -> Result<Vec<Delivery>, StoreError> {
        let mut found = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(CHUNK) {
            for row in self.fetch_all(select_of(chunk)).await? {
                found.push(from_row(&row)?);
            }
        }
        Ok(found)
    }
}

fn select_of(ids: &[DeliveryId]) -> Statement {
    let mut select = Statement::new(format!("SELECT {} FROM deliveries WHERE delivery IN (", COLUMNS.join(", ")));
    let places = vec!["?"; ids.len()].join(", ");
    select.push(&places, ids.iter().map(|id| id.to_string().into())).push(")", []);
    select
}

fn to_row(delivery: &Delivery) -> Vec<Value> {
    let (reference, position) = (&delivery.reference, &delivery.position);
    let mut row = Vec::with_capacity(COLUMNS.len());
    row.extend([
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
    ]);
    match &delivery.last {
        Some(last) => row.extend(last_columns(last)),
        None => row.extend(no_last_columns()),
    }
    let job = delivery.job.map(|InJob { round, job }| format!("{round}/{job}")).unwrap_or_default();
    row.extend([position.resend.into(), delivery.last_resend.into(), job.into()]);
    row
}

#[rustfmt::skip]
fn no_last_columns() -> [Value; LAST.len()] {
    let (none, zero) = (|| Value::from(""), || Value::from(0_i64));
    [none(), zero(), zero(), zero(), none(), none(), zero(), none(), none(), none()]
}

fn last_columns(last: &LastAttempt) -> [Value; LAST.len()] {
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
        last.deactivated.map_or("", DeactivationCause::as_str).into(),
    ]
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

pub(crate) fn from_row(row: &AnyRow) -> Result<Delivery, StoreError> {
    let last = match sql::count(row, "last_attempt")? {
        0 => None,
        _ => Some(attempt(row, LAST)?),
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
        last_resend: sql::count(row, "last_resend")?,
        job: sql::parsed(row, "job", in_job)?,
        updated_at: sql::time(row, "updated_at")?,
        position: Position {
            resend: sql::count(row, "at_resend")?,
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

/// The round that a job requested; the inner value is `None` if no job did.
fn in_job(text: &str) -> Option<Option<InJob>> {
    if text.is_empty() {
        return Some(None);
    }
    let (round, job) = text.split_once('/')?;
    Some(Some(InJob { round: round.parse().ok()?, job: JobId::parse(job).ok()? }))
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
        requested_at: sql::time_or_none(row, "requested_at")?,
    })
}

/// Reads an attempt from these columns: id, number, start, duration, method, URL, status, response, kind of error, and
/// the cause for which it deactivated its destination.
pub(crate) fn attempt(row: &AnyRow, columns: [&'static str; 10]) -> Result<LastAttempt, StoreError> {
    let [id, number, started_at, duration, method, url, status, response, error_kind, deactivated] = columns;
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
        deactivated: sql::parsed(row, deactivated, |word| {
            if word.is_empty() { Some(None) } else { DeactivationCause::parse(word).map(Some) }
        })?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_id_is_a_range_of_ids() {
        let range = |text: &str| Beginning::of(text).map(|of| (of.first, of.last));
        let (first, last) = range("5C1DE6fc-0").unwrap();
        assert_eq!(first, "5c1de6fc-0000-0000-0000-000000000000");
        assert_eq!(last, "5c1de6fc-0fff-ffff-ffff-ffffffffffff");
        for text in ["", "5c1de", "5c1de6fc0", "5c1de6fg", "5c1de6fc-0e4b-5d4c-9f5e-7b0f5b1f2a3c"] {
            assert_eq!(range(text), None, "{text}");
        }
    }
}
