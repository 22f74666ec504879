//! The work that follows from anonymisations: messages to erase, deliveries to end, and leads to search for in the
//! quarantine.

use domain::{AccountId, DeliveryFact, DeliveryId, LeadEvent, LeadId, LeadSequence};
use journal::StreamFact as _;
use sqlx::any::AnyRow;

use crate::{
    error::StoreError,
    sql::{self, Statement},
    store::Store,
    tables::anonymised::int,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// An event of LEADS.
    Event(LeadSequence),
    /// A fact of DELIVERIES.
    Attempt(u64),
}

impl Store {
    /// At most `max` messages that are to be erased.
    pub async fn erasures(&self, max: u32) -> Result<Vec<Erasure>, StoreError> {
        let mut select = Statement::new("SELECT stream, sequence FROM erasures");
        select.push(" LIMIT ?", [max.into()]);
        let read = |row: &AnyRow| {
            let sequence = sql::int(row, "sequence")?.cast_unsigned();
            sql::parsed(row, "stream", |stream| match stream {
                stream if stream == LeadEvent::STREAM.as_str() => Some(Erasure::Event(LeadSequence(sequence))),
                stream if stream == DeliveryFact::STREAM.as_str() => Some(Erasure::Attempt(sequence)),
                _ => None,
            })
        };
        self.fetch_all(select).await?.iter().map(read).collect()
    }

    /// Deletes the row of a message that was erased.
    pub async fn erased(&self, erasure: Erasure) -> Result<(), StoreError> {
        let (stream, sequence) = match erasure {
            Erasure::Event(sequence) => (LeadEvent::STREAM, sequence.0),
            Erasure::Attempt(sequence) => (DeliveryFact::STREAM, sequence),
        };
        let mut delete = Statement::new("DELETE FROM erasures");
        delete.push(" WHERE stream = ? AND sequence = ?", [stream.as_str().into(), sequence.cast_signed().into()]);
        self.execute(delete).await?;
        Ok(())
    }

    /// At most `max` deliveries that are to end because their leads were anonymised.
    pub async fn endings(&self, max: u32) -> Result<Vec<DeliveryId>, StoreError> {
        let mut select = Statement::new("SELECT delivery FROM endings");
        select.push(" LIMIT ?", [max.into()]);
        let read = |row: &AnyRow| sql::parsed(row, "delivery", |text| DeliveryId::parse(text).ok());
        self.fetch_all(select).await?.iter().map(read).collect()
    }

    /// Deletes the row of a delivery that has ended or whose final fact is stored.
    pub async fn ended(&self, delivery: DeliveryId) -> Result<(), StoreError> {
        let mut delete = Statement::new("DELETE FROM endings");
        delete.push(" WHERE delivery = ?", [delivery.to_string().into()]);
        self.execute(delete).await?;
        Ok(())
    }

    /// Anonymised leads for which the quarantine has to be searched, and up to which sequence they are anonymised.
    pub async fn searches(&self, max: u32) -> Result<Vec<(AccountId, LeadId, LeadSequence)>, StoreError> {
        let mut select = Statement::new("SELECT account, lead, until FROM searches");
        select.push(" LIMIT ?", [max.into()]);
        let read = |row: &AnyRow| {
            let account = sql::parsed(row, "account", |text| AccountId::parse(text).ok())?;
            let lead = sql::parsed(row, "lead", |text| LeadId::parse(text).ok())?;
            Ok((account, lead, LeadSequence(sql::int(row, "until")?.cast_unsigned())))
        };
        self.fetch_all(select).await?.iter().map(read).collect()
    }

    /// Deletes the rows of leads for which the quarantine was searched.
    pub async fn searched(&self, leads: &[(AccountId, LeadId, LeadSequence)]) -> Result<(), StoreError> {
        for (account, lead, until) in leads {
            let mut delete = Statement::new("DELETE FROM searches");
            let key = [account.as_str().into(), lead.as_str().into(), int(*until)];
            delete.push(" WHERE account = ? AND lead = ? AND until = ?", key);
            self.execute(delete).await?;
        }
        Ok(())
    }

    /// Removes old versions of blanked rows from the files of SQLite. Returns `false` if a reader was active: some may
    /// then be left.
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        if !self.is_sqlite() {
            return Ok(true);
        }
        // The write-ahead log of SQLite holds older versions of pages. After it is truncated, only the current pages
        // are left.
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool).await?;
        Ok(sql::int(&row, "busy")? == 0)
    }

    /// Makes PostgreSQL turn old versions of rows into free space of their tables. Their bytes stay there until new
    /// rows overwrite them.
    pub async fn vacuum(&self) -> Result<(), StoreError> {
        if !self.is_sqlite() {
            for table in ["VACUUM attempts", "VACUUM deliveries", "VACUUM lead_values"] {
                sqlx::raw_sql(table).execute(&self.pool).await?;
            }
        }
        Ok(())
    }
}
