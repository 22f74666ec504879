//! The events that the read model has.

use std::collections::HashMap;

use domain::{AccountId, EventId, LeadId};

use super::{
    Store, StoreError,
    sql::{self, Statement},
};

/// Events in one statement. SQLite looks each numbered placeholder up among all others, so longer ones are slower.
const CHUNK: usize = 100;

impl Store {
    /// The lead of each event, in their order; `None` if there is no such event.
    pub(crate) async fn leads_of_events(
        &self,
        events: &[(AccountId, EventId)],
    ) -> Result<Vec<Option<LeadId>>, StoreError> {
        let mut of_accounts: HashMap<&AccountId, Vec<&EventId>> = HashMap::new();
        for (account, event_id) in events {
            of_accounts.entry(account).or_default().push(event_id);
        }
        let mut known: HashMap<(&AccountId, String), LeadId> = HashMap::new();
        for (account, event_ids) in of_accounts {
            for chunk in event_ids.chunks(CHUNK) {
                for row in self.fetch_all(select(account, chunk)).await? {
                    let lead = sql::parsed(&row, "lead", |text| LeadId::parse(text).ok())?;
                    known.insert((account, sql::text(&row, "event_id")?), lead);
                }
            }
        }
        let lead_of = |(account, event_id): &(AccountId, EventId)| known.get(&(account, event_id.to_string())).cloned();
        Ok(events.iter().map(lead_of).collect())
    }
}

fn select(account: &AccountId, event_ids: &[&EventId]) -> Statement {
    let mut select = Statement::new("SELECT event_id, lead FROM lead_events WHERE account = ");
    select.push("?", [account.as_str().into()]);
    let places = vec!["?"; event_ids.len()].join(", ");
    select.push(&format!(" AND event_id IN ({places})"), event_ids.iter().map(|id| id.as_str().into()));
    select
}
