//! Stored deactivations.

use domain::{
    AccountId, DeliveryId, DestinationId, ErrorKind, EventId, LeadId,
    registry::{DeactivatedBy, Deactivation, DeactivationCause},
};

use super::fields::FACT;
use crate::{
    primitives::{non_empty, or_empty, parsed, time, uuid, wrong},
    record::RecordError,
    stored,
};

pub(super) fn deactivated_to_stored(
    account: &AccountId,
    destination: &DestinationId,
    why: &Deactivation,
) -> stored::DestinationDeactivated {
    stored::DestinationDeactivated {
        account: account.to_string(),
        id: destination.to_string(),
        at: why.at.as_microsecond(),
        cause: why.cause.as_str().to_owned(),
        first_failed_at: why.first_failed_at.map(|at| at.as_microsecond()),
        delivery: why.delivery.as_ref().map(|by| stored::DeactivatedBy {
            delivery: by.delivery.uuid().as_bytes().to_vec(),
            lead: by.lead.to_string(),
            event_id: by.event_id.to_string(),
            attempts: by.attempts,
            status: by.status_code.into(),
            error_kind: or_empty(by.error_kind.map(ErrorKind::as_str)),
        }),
    }
}

pub(super) fn deactivation(stored: stored::DestinationDeactivated) -> Result<Deactivation, RecordError> {
    let unknown = || wrong(FACT, "cause", format!("{:?} is unknown", stored.cause));
    Ok(Deactivation {
        at: time(FACT, "at", stored.at)?,
        cause: DeactivationCause::parse(&stored.cause).ok_or_else(unknown)?,
        first_failed_at: stored.first_failed_at.map(|at| time(FACT, "first_failed_at", at)).transpose()?,
        delivery: stored.delivery.map(delivery).transpose()?,
    })
}

fn delivery(stored: stored::DeactivatedBy) -> Result<DeactivatedBy, RecordError> {
    let kind = |word: &str| {
        ErrorKind::parse(word).ok_or_else(|| wrong(FACT, "error_kind", format!("{word:?} is not a kind of error")))
    };
    Ok(DeactivatedBy {
        delivery: DeliveryId::from_uuid(uuid(FACT, "delivery", &stored.delivery)?),
        lead: parsed(FACT, "lead", &stored.lead, LeadId::parse)?,
        event_id: parsed(FACT, "event_id", &stored.event_id, EventId::parse)?,
        attempts: stored.attempts,
        status_code: u16::try_from(stored.status).map_err(|e| wrong(FACT, "status", e))?,
        error_kind: non_empty(&stored.error_kind).map(kind).transpose()?,
    })
}
