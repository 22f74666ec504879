//! The entries of the audit log: each change of the configuration, field by field.
//!
//! A fact holds the whole new state of an entity, or none. Its changes are found by comparing the registry before and
//! after the fact, in the fields that the API shows ([`Describe`]). Of a secret, an entry shows only that it changed.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Registry, RegistryFact, registry::Change};

use crate::tables::audit::{AuditEntry, FieldChange};

/// The maximum length of a value, in characters; longer values, such as templates, are cut.
const MAX_VALUE: usize = 2_000;

/// Applies a fact to the registry and returns its log entry. `None` if the fact changed nothing: a fact of an account
/// that was deleted after the decision and before the append is skipped.
pub(crate) fn entry(
    registry: &mut Registry,
    sequence: u64,
    fact: &RegistryFact,
    describe: Describe,
) -> Option<AuditEntry> {
    if let Change::PayloadViewed(_, _, lead) = &fact.change {
        registry.apply(sequence, fact);
        // The entry names the lead of the event.
        let lead = FieldChange { field: "lead_id".into(), old: String::new(), new: lead.to_string(), secret: false };
        return Some(to_entry(sequence, fact, vec![lead]));
    }
    let before = describe(registry, &fact.change);
    registry.apply(sequence, fact);
    let after = describe(registry, &fact.change);
    if before.is_none() && after.is_none() {
        return None;
    }
    let mut changes = changes(before.unwrap_or_default(), after.unwrap_or_default());
    if let Change::DestinationEnabled(_, _, Some(_)) = fact.change {
        // This is a decision of the caller, not a setting.
        changes.push(FieldChange { field: "skip_held".into(), old: String::new(), new: "true".into(), secret: false });
    }
    Some(to_entry(sequence, fact, changes))
}

fn to_entry(sequence: u64, fact: &RegistryFact, changes: Vec<FieldChange>) -> AuditEntry {
    let (account, kind, id) = fact.change.entity();
    AuditEntry {
        sequence,
        account: account.map(ToString::to_string).unwrap_or_default(),
        at: fact.at,
        by: fact.by.clone(),
        kind: kind.as_str().to_owned(),
        id: id.to_owned(),
        action: fact.change.action().to_owned(),
        changes,
    }
}

/// The state of the entity that a change concerns, as the API shows it; `None` if the entity does not exist.
pub(crate) type Describe = fn(&Registry, &Change) -> Option<State>;

/// A comparable state of an entity.
#[derive(Default)]
pub struct State {
    /// The fields that the API shows.
    pub fields: BTreeMap<String, String>,
    /// The sealed bytes of secrets, by field. They are compared and never stored.
    pub secrets: BTreeMap<&'static str, Vec<u8>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("fields", &self.fields).finish_non_exhaustive()
    }
}

fn changes(mut before: State, mut after: State) -> Vec<FieldChange> {
    let secrets: BTreeSet<_> = before.secrets.keys().chain(after.secrets.keys()).copied().collect();
    let changed = secrets.into_iter().filter(|field| before.secrets.get(field) != after.secrets.get(field));
    let changed: Vec<_> = changed.collect();
    let names: Vec<_> = before.fields.keys().chain(after.fields.keys()).cloned().collect();
    let mut changes: Vec<_> = names
        .into_iter()
        .filter_map(|field| {
            let (old, new) = (before.fields.remove(&field), after.fields.remove(&field));
            (old != new).then(|| FieldChange {
                field,
                old: old.map(cut).unwrap_or_default(),
                new: new.map(cut).unwrap_or_default(),
                secret: false,
            })
        })
        .collect();
    for field in changed {
        match changes.iter_mut().find(|change| change.field == field) {
            Some(change) => change.secret = true,
            None => {
                changes.push(FieldChange { field: field.into(), old: String::new(), new: String::new(), secret: true })
            }
        }
    }
    changes.sort_by(|a, b| a.field.cmp(&b.field));
    changes
}

fn cut(value: String) -> String {
    match value.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        AccountId, ClientId,
        registry::{Account, Client, EntityKind, Routing},
    };
    use jiff::Timestamp;

    use super::*;

    fn account() -> Account {
        Account {
            id: AccountId::parse("acme").unwrap(),
            name: String::new(),
            brand: None,
            notification_emails: vec![],
            api_user_emails: vec![],
            routing: Routing::Override,
            keep_history: None,
            portal: domain::registry::Portal::default(),
            unconfirmed: vec![],
            deleted: false,
        }
    }

    fn client(name: &str) -> Client {
        let (account, id) = (account().id, ClientId::parse("north").unwrap());
        Client { account, id, name: name.into(), deleted: false }
    }

    /// Shows the names of clients.
    fn describe(registry: &Registry, change: &Change) -> Option<State> {
        let (account, kind, id) = change.entity();
        registry.account(account?)?;
        let mut state = State::default();
        if kind == EntityKind::Client {
            let name = &registry.client(account?, &ClientId::parse(id).ok()?)?.name;
            state.fields.extend((!name.is_empty()).then(|| ("name".to_owned(), name.clone())));
        }
        Some(state)
    }

    /// The log entries of these changes.
    fn log(changes: Vec<Change>) -> Vec<Option<AuditEntry>> {
        let mut registry = Registry::default();
        let fact = |change| RegistryFact { at: Timestamp::UNIX_EPOCH, by: "ada".into(), change };
        (1..).zip(changes).map(|(sequence, change)| entry(&mut registry, sequence, &fact(change), describe)).collect()
    }

    fn named(old: &str, new: &str) -> Vec<FieldChange> {
        vec![FieldChange { field: "name".into(), old: old.into(), new: new.into(), secret: false }]
    }

    #[test]
    fn an_entry_compares_with_the_state_before() {
        let changes = vec![
            Change::AccountCreated(account()),
            Change::ClientCreated(client("North")),
            Change::ClientUpdated(client("The north")),
            Change::ClientUpdated(client("The north")),
            Change::ClientDeleted(account().id, client("").id),
            Change::ClientCreated(client("")),
        ];
        let entries: Vec<_> = log(changes).into_iter().map(|entry| entry.unwrap().changes).skip(1).collect();
        assert_eq!(entries, [named("", "North"), named("North", "The north"), vec![], named("The north", ""), vec![]]);
    }

    #[test]
    fn a_fact_without_effect_has_no_entry() {
        let late = Change::ClientCreated(client("late"));
        let changes = vec![Change::AccountCreated(account()), Change::AccountDeleted(account().id), late];
        let entries: Vec<_> = log(changes).into_iter().map(|entry| entry.map(|e| e.action)).collect();
        assert_eq!(entries, [Some("created".into()), Some("deleted".into()), None]);
    }

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(cut("ä".repeat(MAX_VALUE)), "ä".repeat(MAX_VALUE));
        assert_eq!(cut("ä".repeat(MAX_VALUE + 1)), "ä".repeat(MAX_VALUE) + "…");
    }
}
