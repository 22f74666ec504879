//! The searchable values of leads: keyed hashes of values inside payloads.
//!
//! A search first finds the leads that have the values, and then reads their rows: few leads share an address. If more
//! than [`MAX_NAMED`] leads have a value, each row of the list is compared with the value instead.

use std::collections::{BTreeMap, HashSet};

use domain::{AccountId, ClientId, LeadId};
use sqlx::{Any, Transaction, any::AnyRow};

use crate::{
    error::StoreError,
    sql::{self, Condition, Statement, Value, bulk::Insert},
    store::Store,
};

const COLUMNS: [&str; 6] = ["account", "field", "hash", "lead", "client", "sequence"];
/// At most this many leads are named in a statement. If more leads have a value, comparing a few thousand rows fills a
/// page of a list.
const MAX_NAMED: usize = 1_000;

/// The hash of a searchable value in the payload of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldHash {
    pub field: String,
    pub hash: String,
}

/// A value that leads must have: any of these hashes matches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WantedHash {
    pub field: String,
    pub hashes: Vec<String>,
}

/// The values that an event adds, and the event's sequence in LEADS.
#[derive(Debug)]
pub(crate) struct NewValues<'a> {
    pub(crate) account: &'a AccountId,
    pub(crate) lead: &'a LeadId,
    pub(crate) client: Option<&'a ClientId>,
    pub(crate) sequence: u64,
    pub(crate) hashes: &'a [FieldHash],
}

/// Adds values. The caller writes the rows of their leads before, in the same transaction, so that a concurrent
/// anonymisation sees the values.
pub(crate) async fn add(transaction: &mut Transaction<'static, Any>, new: &[NewValues<'_>]) -> Result<(), StoreError> {
    // One row for each value, in the order of the key. A statement may not touch a row twice.
    let mut rows = BTreeMap::new();
    for event in new {
        let client = event.client.map_or("", ClientId::as_str);
        for hashed in event.hashes {
            let key =
                (event.account.as_str(), hashed.field.as_str(), hashed.hash.as_str(), event.lead.as_str(), client);
            let latest = rows.entry(key).or_insert(event.sequence);
            *latest = event.sequence.max(*latest);
        }
    }
    let latest =
        "CASE WHEN excluded.sequence > lead_values.sequence THEN excluded.sequence ELSE lead_values.sequence END";
    let then = format!(" ON CONFLICT (account, field, hash, lead, client) DO UPDATE SET sequence = {latest}");
    let row = |((account, field, hash, lead, client), sequence): ((&str, &str, &str, &str, &str), u64)| {
        let texts = [account, field, hash, lead, client].map(Value::from);
        texts.into_iter().chain([sequence.cast_signed().into()]).collect()
    };
    let rows = Box::new(rows.into_iter().map(row));
    Insert { table: "lead_values", columns: &COLUMNS, then }.count(transaction, rows).await.map(drop)
}

/// The leads that a list is limited to.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    /// `None` if the leads are too many to name, or the list is not limited.
    pub(crate) leads: Option<Vec<String>>,
    /// The values that each row is compared with.
    pub(crate) compared: Vec<WantedHash>,
    pub(crate) client: Option<ClientId>,
}

impl Chosen {
    /// Whether no lead has the values.
    pub(crate) fn is_nobody(&self) -> bool {
        self.leads.as_ref().is_some_and(Vec::is_empty)
    }

    /// The condition that a lead is a named one.
    pub(crate) fn named(&self, column: &str) -> Option<Condition> {
        let leads = self.leads.as_ref()?;
        let places = vec!["?"; leads.len()].join(", ");
        Some((format!("{column} IN ({places})"), leads.iter().map(|lead| lead.as_str().into()).collect()))
    }

    /// The conditions that compare each row of a table. They are scalar subqueries, which neither database turns into a
    /// join.
    pub(crate) fn comparisons<'a>(&'a self, table: &'a str) -> impl Iterator<Item = Condition> + 'a {
        self.compared.iter().map(move |wanted| {
            let key = format!("v.account = {table}.account AND v.lead = {table}.lead");
            let (condition, values) = self.of_field(wanted);
            (format!("(SELECT 1 FROM lead_values v WHERE {key} AND {condition} LIMIT 1) IS NOT NULL"), values)
        })
    }

    fn of_field(&self, wanted: &WantedHash) -> Condition {
        let places = vec!["?"; wanted.hashes.len()].join(", ");
        let mut values: Vec<Value> = vec![wanted.field.as_str().into()];
        values.extend(wanted.hashes.iter().map(|hash| hash.as_str().into()));
        values.extend(self.client.iter().map(|client| client.as_str().into()));
        let client = if self.client.is_some() { " AND v.client = ?" } else { "" };
        (format!("v.field = ? AND v.hash IN ({places}){client}"), values)
    }
}

impl Store {
    /// The leads of an account that have all these values. If a client is given, only values from its events count.
    pub async fn chosen(
        &self,
        account: &AccountId,
        client: Option<&ClientId>,
        wanted: &[WantedHash],
    ) -> Result<Chosen, StoreError> {
        let mut chosen = Chosen { client: client.cloned(), ..Chosen::default() };
        for wanted in wanted {
            let found = self.fetch_all(select(account, &chosen, wanted)).await?;
            if found.len() > MAX_NAMED {
                chosen.compared.push(wanted.clone());
                continue;
            }
            let found = found.iter().map(|row: &AnyRow| sql::text(row, "lead")).collect::<Result<HashSet<_>, _>>()?;
            match &mut chosen.leads {
                Some(leads) => leads.retain(|lead| found.contains(lead)),
                none => *none = Some(found.into_iter().collect()),
            }
            if chosen.is_nobody() {
                break;
            }
        }
        Ok(chosen)
    }
}

/// The leads that have a value, at most one more than [`MAX_NAMED`].
pub(crate) fn select(account: &AccountId, chosen: &Chosen, wanted: &WantedHash) -> Statement {
    let mut select = Statement::new("SELECT DISTINCT v.lead FROM lead_values v WHERE v.account = ");
    select.push("? AND ", [account.as_str().into()]);
    let (condition, values) = chosen.of_field(wanted);
    select.push(&condition, values);
    select.push(" LIMIT ?", [i64::try_from(MAX_NAMED + 1).unwrap_or(i64::MAX).into()]);
    select
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::both::stores;

    fn acme() -> AccountId {
        AccountId::parse("acme").unwrap()
    }

    fn lead(id: impl std::fmt::Display) -> LeadId {
        LeadId::parse(&id.to_string()).unwrap()
    }

    fn wanted(field: &str, hash: &str) -> WantedHash {
        WantedHash { field: field.into(), hashes: vec![hash.into()] }
    }

    /// Adds one value of a lead, given its field, its hash and the sequence of its event.
    async fn add_one(store: &Store, account: &AccountId, of: &LeadId, client: Option<&str>, value: (&str, &str, u64)) {
        let client = client.map(|id| ClientId::parse(id).unwrap());
        let hashes = [FieldHash { field: value.0.into(), hash: value.1.into() }];
        let new = NewValues { account, lead: of, client: client.as_ref(), sequence: value.2, hashes: &hashes };
        let mut transaction = store.begin().await.unwrap();
        add(&mut transaction, &[new]).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn found(store: &Store, client: Option<&str>, values: &[WantedHash]) -> Vec<String> {
        let client = client.map(|id| ClientId::parse(id).unwrap());
        let mut leads = store.chosen(&acme(), client.as_ref(), values).await.unwrap().leads.unwrap();
        leads.sort();
        leads
    }

    #[tokio::test]
    async fn leads_are_found_by_all_values_within_account_and_client() {
        let (sqlite, postgres, _folder) = stores().await;
        for store in [sqlite, postgres] {
            let other = AccountId::parse("other").unwrap();
            for (account, of, client, value) in [
                (acme(), "ada", None, ("email", "h1", 1)),
                (acme(), "ada", None, ("phone", "h2", 2)),
                (acme(), "bob", Some("north"), ("email", "h1", 3)),
                (acme(), "bob", Some("south"), ("phone", "h3", 4)),
                (other.clone(), "eve", None, ("email", "h1", 5)),
            ] {
                add_one(&store, &account, &lead(of), client, value).await;
            }
            let (email, phone) = (wanted("email", "h1"), wanted("phone", "h2"));
            assert_eq!(found(&store, None, std::slice::from_ref(&email)).await, ["ada", "bob"]);
            assert_eq!(found(&store, None, &[email.clone(), phone]).await, ["ada"]);
            assert_eq!(found(&store, Some("north"), std::slice::from_ref(&email)).await, ["bob"]);
            assert!(found(&store, Some("south"), &[email]).await.is_empty());
            assert!(found(&store, None, &[wanted("phone", "h1")]).await.is_empty());
            let either = WantedHash { field: "phone".into(), hashes: vec!["h2".into(), "h3".into()] };
            assert_eq!(found(&store, None, &[either]).await, ["ada", "bob"]);
        }
    }

    #[tokio::test]
    async fn a_value_of_very_many_leads_is_compared_row_by_row() {
        let (sqlite, postgres, _folder) = stores().await;
        for store in [sqlite, postgres] {
            let (account, all) = (acme(), (0..=MAX_NAMED).map(lead).collect::<Vec<_>>());
            let hashes = [FieldHash { field: "city".into(), hash: "h".into() }];
            let new = |(sequence, lead)| NewValues { account: &account, lead, client: None, sequence, hashes: &hashes };
            let new: Vec<_> = (1..).zip(&all).map(new).collect();
            let mut transaction = store.begin().await.unwrap();
            add(&mut transaction, &new).await.unwrap();
            add(&mut transaction, &new).await.unwrap();
            transaction.commit().await.unwrap();
            let chosen = store.chosen(&acme(), None, &[wanted("city", "h")]).await.unwrap();
            assert!(chosen.leads.is_none() && chosen.compared.len() == 1);
            add_one(&store, &acme(), &lead(7), None, ("email", "e", 9_000)).await;
            let both = store.chosen(&acme(), None, &[wanted("city", "h"), wanted("email", "e")]).await.unwrap();
            assert_eq!((both.leads.unwrap(), both.compared.len()), (vec!["7".to_owned()], 1));
        }
    }
}
