//! Look-ups of events by their ids, and the list of all ids.

use std::collections::HashMap;

use domain::{AccountId, EventId, LeadId, LeadSequence, lead::KnownEvent};
use sqlx::any::AnyRow;

use crate::{
    error::StoreError,
    sql::{self, Statement},
    store::Store,
};

/// Events in one statement. SQLite searches all placeholders for each numbered one, so longer statements are slower.
const CHUNK: usize = 100;

impl Store {
    /// Lead and sequence of each event, in their order; `None` if there is no such event.
    pub async fn known_events(&self, events: &[(AccountId, EventId)]) -> Result<Vec<Option<KnownEvent>>, StoreError> {
        let mut of_accounts: HashMap<&AccountId, Vec<&EventId>> = HashMap::new();
        for (account, event_id) in events {
            of_accounts.entry(account).or_default().push(event_id);
        }
        let mut known: HashMap<(&AccountId, String), KnownEvent> = HashMap::new();
        for (account, event_ids) in of_accounts {
            for chunk in event_ids.chunks(CHUNK) {
                for row in self.fetch_all(select(account, chunk)).await? {
                    let lead = sql::parsed(&row, "lead", |text| LeadId::parse(text).ok())?;
                    let sequence = LeadSequence(sql::int(&row, "sequence")?.cast_unsigned());
                    let event = KnownEvent { lead, sequence: Some(sequence) };
                    known.insert((account, sql::text(&row, "event_id")?), event);
                }
            }
        }
        let known_of =
            |(account, event_id): &(AccountId, EventId)| known.get(&(account, event_id.to_string())).cloned();
        Ok(events.iter().map(known_of).collect())
    }

    /// At most `max` events after a key, or the first ones, in the order of their keys.
    pub async fn events_after(
        &self,
        after: Option<&(AccountId, EventId)>,
        max: u32,
    ) -> Result<Vec<(AccountId, EventId)>, StoreError> {
        let key = |row: &AnyRow| {
            let account = sql::parsed(row, "account", |text| AccountId::parse(text).ok())?;
            Ok((account, sql::parsed(row, "event_id", |text| EventId::parse(text).ok())?))
        };
        self.fetch_all(select_after(after, max)).await?.iter().map(key).collect()
    }
}

/// The keys are read from the index of the primary key alone.
pub(crate) fn select_after(after: Option<&(AccountId, EventId)>, max: u32) -> Statement {
    let (account, event_id) = after.map_or(("", ""), |(account, event_id)| (account.as_str(), event_id.as_str()));
    let mut select = Statement::new("SELECT account, event_id FROM lead_events");
    select.push(" WHERE (account, event_id) > (?, ?)", [account.into(), event_id.into()]);
    select.push(" ORDER BY account, event_id LIMIT ?", [max.into()]);
    select
}

fn select(account: &AccountId, event_ids: &[&EventId]) -> Statement {
    let mut select = Statement::new("SELECT event_id, lead, sequence FROM lead_events WHERE account = ");
    select.push("?", [account.as_str().into()]);
    let places = vec!["?"; event_ids.len()].join(", ");
    select.push(&format!(" AND event_id IN ({places})"), event_ids.iter().map(|id| id.as_str().into()));
    select
}
