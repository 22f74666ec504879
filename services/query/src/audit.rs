//! The entries of the audit log: what a change of the configuration changed, field by field.
//!
//! A fact holds a whole state or none, so the difference shows only against the registry before the fact. Both sides
//! are what the API shows, without secrets; the entry only says that a secret changed.

use std::collections::{BTreeMap, BTreeSet};

use api::{fields::fields, keys::key_to_api, registry as show};
use domain::{
    AccountId, ApiUserId, ClientId, DestinationId, InterfaceId, KeyId, OptOutId, Registry, RegistryFact, TokenId,
    registry::{Change, Destination, EntityKind},
};
use serde::{Deserialize, Serialize};

use crate::store::audit::AuditEntry;

/// The largest length of a value, in characters; longer values, such as templates, are cut.
const MAX_VALUE: usize = 2_000;

/// The old and the new value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FieldChange {
    pub(crate) field: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) old: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) new: String,
    /// Whether a secret changed with the field; the values never hold it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) secret: bool,
}

/// Applies a fact to the registry and returns its log entry. `None` if the fact changed nothing: a fact of an account
/// that was deleted after the decision and before the append is skipped.
pub(crate) fn entry(registry: &mut Registry, sequence: u64, fact: &RegistryFact) -> Option<AuditEntry> {
    if let Change::PayloadViewed(_, _, lead) = &fact.change {
        registry.apply(sequence, fact);
        // This says whom the event is about.
        let lead = FieldChange { field: "lead_id".into(), old: String::new(), new: lead.to_string(), secret: false };
        return Some(told(sequence, fact, vec![lead]));
    }
    let before = state(registry, &fact.change);
    registry.apply(sequence, fact);
    let after = state(registry, &fact.change);
    if before.is_none() && after.is_none() {
        return None;
    }
    let mut changes = changes(before.unwrap_or_default(), after.unwrap_or_default());
    if let Change::DestinationEnabled(_, _, Some(_)) = fact.change {
        // This is a decision of the caller, not a setting.
        changes.push(FieldChange { field: "skip_held".into(), old: String::new(), new: "true".into(), secret: false });
    }
    Some(told(sequence, fact, changes))
}

fn told(sequence: u64, fact: &RegistryFact, changes: Vec<FieldChange>) -> AuditEntry {
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

/// A comparable state of an entity.
#[derive(Debug, Default)]
struct State {
    /// The fields that the API shows.
    fields: BTreeMap<String, String>,
    /// The sealed bytes of secrets, by the field that stands for them; they are compared and never kept.
    secrets: BTreeMap<&'static str, Vec<u8>>,
}

/// The state of the entity that a change concerns; `None` if it does not exist.
fn state(registry: &Registry, change: &Change) -> Option<State> {
    let (account, kind, id) = change.entity();
    let open = |fields| State { fields, secrets: BTreeMap::new() };
    let mut state = match account {
        Some(account) if kind != EntityKind::Key => state_of(registry, account, kind, id)?,
        _ => open(fields("Key", &key_to_api(registry.key(&KeyId::parse(id).ok()?)?))),
    };
    // The name of the resource is not a setting.
    state.fields.remove("account_id");
    state.fields.remove(&format!("{}_id", kind.as_str()));
    Some(state)
}

fn state_of(registry: &Registry, account: &AccountId, kind: EntityKind, id: &str) -> Option<State> {
    let entry = registry.account(account)?;
    let open = |fields| State { fields, secrets: BTreeMap::new() };
    Some(match kind {
        EntityKind::Key | EntityKind::Event => return None,
        EntityKind::Account => open(fields("Account", &show::account_to_api(&entry.account))),
        EntityKind::Client => {
            let client = registry.client(account, &ClientId::parse(id).ok()?)?;
            open(fields("Client", &show::client_to_api(client)))
        }
        EntityKind::Interface => {
            let interface = registry.interface(account, &InterfaceId::parse(id).ok()?)?;
            open(fields("Interface", &show::interface_to_api(interface)))
        }
        EntityKind::ApiUser => {
            let user = registry.api_user(account, &ApiUserId::parse(id).ok()?)?;
            open(fields("ApiUser", &show::api_user_to_api(user)))
        }
        EntityKind::OptOut => {
            let opt_out = registry.opt_out(account, &OptOutId::parse(id).ok()?)?;
            open(fields("OptOut", &show::opt_out_to_api(opt_out)))
        }
        EntityKind::Confirmation => {
            let mut confirmations = entry.confirmations();
            let confirmed = confirmations.find(|confirmation| confirmation.id.as_str() == id)?;
            open(fields("ConfirmEmailResponse", &api::ConfirmEmailResponse { email: confirmed.email }))
        }
        EntityKind::Destination => {
            let destination = registry.destination(&DestinationId::parse(id).ok()?)?;
            State {
                fields: fields("Destination", &show::destination_to_api(destination)),
                secrets: secrets_of(destination),
            }
        }
        EntityKind::Token => {
            let token = registry.token(account, &TokenId::parse(id).ok()?)?;
            let newest = token.secrets.first().map(|secret| secret.sealed.0.clone());
            State {
                fields: fields("Token", &show::token_to_api(token)),
                secrets: newest.map(|newest| ("secret", newest)).into_iter().collect(),
            }
        }
    })
}

fn secrets_of(destination: &Destination) -> BTreeMap<&'static str, Vec<u8>> {
    let (request, transport) = (&destination.request, &destination.transport);
    let secrets = [
        ("auth", request.credentials.as_ref().map(|credentials| &credentials.sealed)),
        ("client_certificate", transport.client_certificate.as_ref().map(|certificate| &certificate.key)),
        ("proxy", transport.proxy.as_ref().and_then(|proxy| proxy.password.as_ref())),
    ];
    secrets.into_iter().filter_map(|(field, sealed)| Some((field, sealed?.0.clone()))).collect()
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
        AccountId,
        registry::{Account, Client, Routing},
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
            unconfirmed: vec![],
            deleted: false,
        }
    }

    fn client(name: &str) -> Client {
        let (account, id) = (account().id, ClientId::parse("north").unwrap());
        Client { account, id, name: name.into(), deleted: false }
    }

    /// The log entries of these changes.
    fn log(changes: Vec<Change>) -> Vec<Option<AuditEntry>> {
        let mut registry = Registry::default();
        let fact = |change| RegistryFact { at: Timestamp::UNIX_EPOCH, by: "ada".into(), change };
        (1..).zip(changes).map(|(sequence, change)| entry(&mut registry, sequence, &fact(change))).collect()
    }

    fn named(old: &str, new: &str) -> Vec<FieldChange> {
        vec![FieldChange { field: "name".into(), old: old.into(), new: new.into(), secret: false }]
    }

    #[test]
    fn a_change_is_told_against_what_was_there_before() {
        let changes = vec![
            Change::AccountCreated(account()),
            Change::ClientCreated(client("North")),
            Change::ClientUpdated(client("The north")),
            Change::ClientUpdated(client("The north")),
            Change::ClientDeleted(account().id, client("").id),
            Change::ClientCreated(client("")),
        ];
        let told: Vec<_> = log(changes).into_iter().map(|entry| entry.unwrap().changes).skip(1).collect();
        assert_eq!(told, [named("", "North"), named("North", "The north"), vec![], named("The north", ""), vec![]]);
    }

    #[test]
    fn what_came_to_nothing_is_not_told() {
        let late = Change::ClientCreated(client("late"));
        let changes = vec![Change::AccountCreated(account()), Change::AccountDeleted(account().id), late];
        let told: Vec<_> = log(changes).into_iter().map(|entry| entry.map(|e| e.action)).collect();
        assert_eq!(told, [Some("created".into()), Some("deleted".into()), None]);
    }

    #[test]
    fn a_long_value_is_cut() {
        assert_eq!(cut("ä".repeat(MAX_VALUE)), "ä".repeat(MAX_VALUE));
        assert_eq!(cut("ä".repeat(MAX_VALUE + 1)), "ä".repeat(MAX_VALUE) + "…");
    }
}
