//! Lead events without payloads.

use domain::{AccountId, ClientId, DeliveryId, DestinationId, EventId, EventType, InterfaceId, LeadId, LeadSequence};
use jiff::Timestamp;
use sqlx::any::AnyRow;

use crate::{
    error::StoreError,
    sql::{self, Statement},
    store::Store,
};

const SELECT: &str = "SELECT account, event_id, lead, interface, client, event_type, received_at, sequence, anonymised FROM lead_events \
    WHERE account = ";

/// A lead event without its payload. It is kept when LEADS no longer has the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventOutline {
    pub account: AccountId,
    pub event_id: EventId,
    pub lead: LeadId,
    pub interface: InterfaceId,
    pub client: Option<ClientId>,
    pub event_type: EventType,
    pub received_at: Timestamp,
    pub sequence: LeadSequence,
    /// Whether it is erased, or about to be.
    pub anonymised: bool,
}

impl Store {
    pub async fn event(&self, account: &AccountId, id: &EventId) -> Result<Option<EventOutline>, StoreError> {
        let mut select = Statement::new(SELECT);
        select.push("? AND event_id = ?", [account.as_str().into(), id.as_str().into()]);
        self.fetch_optional(select).await?.as_ref().map(from_row).transpose()
    }

    /// The events of a lead, the newest first.
    pub async fn events_of(
        &self,
        account: &AccountId,
        lead: &LeadId,
        max: usize,
    ) -> Result<Vec<EventOutline>, StoreError> {
        let mut select = Statement::new(SELECT);
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        select.push("? AND lead = ?", [account.as_str().into(), lead.as_str().into()]);
        select.push(" ORDER BY received_at DESC, sequence DESC LIMIT ?", [max.into()]);
        self.fetch_all(select).await?.iter().map(from_row).collect()
    }

    /// The delivery that has to end before an event is sent to an ordered destination: the first unfinished one of an
    /// earlier event of the lead.
    pub async fn earlier_in_order(
        &self,
        destination: &DestinationId,
        event: &EventOutline,
    ) -> Result<Option<DeliveryId>, StoreError> {
        let mut select = Statement::new("SELECT delivery FROM deliveries WHERE lead = ");
        select.push("? AND destination = ?", [event.lead.as_str().into(), destination.as_str().into()]);
        select.push(" AND status IN ('pending', 'processing', 'retrying', 'held')", []);
        select.push(" AND lead_sequence < ?", [event.sequence.0.cast_signed().into()]);
        select.push(" ORDER BY lead_sequence LIMIT 1", []);
        let row = self.fetch_optional(select).await?;
        row.map(|row| sql::parsed(&row, "delivery", |text| DeliveryId::parse(text).ok())).transpose()
    }
}

fn from_row(row: &AnyRow) -> Result<EventOutline, StoreError> {
    Ok(EventOutline {
        account: sql::parsed(row, "account", |text| AccountId::parse(text).ok())?,
        event_id: sql::parsed(row, "event_id", |text| EventId::parse(text).ok())?,
        lead: sql::parsed(row, "lead", |text| LeadId::parse(text).ok())?,
        interface: sql::parsed(row, "interface", |text| InterfaceId::parse(text).ok())?,
        client: match sql::text(row, "client")?.as_str() {
            "" => None,
            text => Some(ClientId::parse(text).map_err(|_| sql::wrong("client", text))?),
        },
        event_type: sql::parsed(row, "event_type", |text| EventType::parse(text).ok())?,
        received_at: sql::time(row, "received_at")?,
        sequence: LeadSequence(sql::int(row, "sequence")?.cast_unsigned()),
        anonymised: sql::int(row, "anonymised")? != 0,
    })
}
