//! People who log in at an identity provider, and what their groups permit.

use std::{str::FromStr, sync::Arc};

use uuid::Uuid;

use super::scope::{Scope, Scopes};
use crate::ids::{AccountId, ClientId, KeyId};

/// The namespace of the ids of people.
const NAMESPACE: Uuid = Uuid::from_u128(0x7d0a_5f0c_5f0e_4d0b_9a41_1c4f_2c6e_9b37);
/// The maximum length of a group's name, in bytes. It is short, because the cookie of a session holds such names.
const MAX_GROUP: usize = 100;

/// A person whom the identity provider of the installation knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The identity provider.
    pub issuer: String,
    /// Their id at the provider, which it never gives to another person.
    pub subject: String,
    /// Their mail address or name; empty if the provider gives neither.
    pub name: String,
    /// The groups of the person that decide what they may do. Other groups are left out.
    pub groups: Vec<String>,
}

impl Person {
    /// The id of the person's substitute for an API key. No API key has this id.
    pub(super) fn id(&self) -> Option<KeyId> {
        let named = format!("{}\n{}", self.issuer, self.subject);
        KeyId::parse(&format!("person-{}", Uuid::new_v5(&NAMESPACE, named.as_bytes()).simple())).ok()
    }
}

/// The holder of a session, or the creator of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The caller with this API key.
    Key(KeyId),
    Person(Arc<Person>),
}

/// What the groups of a person permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// `None` if the rights are platform-wide.
    pub account: Option<AccountId>,
    /// `None` if the rights are for every client.
    pub client: Option<ClientId>,
    pub scopes: Scopes,
}

/// What one group permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRule {
    pub group: String,
    pub rights: Rights,
}

/// The text is not a rule for a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not GROUP=SCOPE+SCOPE, GROUP=SCOPE@ACCOUNT or GROUP=SCOPE@ACCOUNT/CLIENT, with the scopes publish, read, operate, \
     admin and payload, and a group of at most {MAX_GROUP} bytes"
)]
pub struct NoGroupRule(String);

impl FromStr for GroupRule {
    type Err = NoGroupRule;

    fn from_str(text: &str) -> Result<Self, NoGroupRule> {
        let read = || {
            // The name of a group may contain `=`.
            let (group, permits) = text.rsplit_once('=')?;
            let (scopes, place) = permits.split_once('@').map_or((permits, None), |(scopes, at)| (scopes, Some(at)));
            let (account, client) = match place.map(|place| place.split_once('/').unwrap_or((place, ""))) {
                None => (None, None),
                Some((account, "")) if !permits.ends_with('/') => (Some(AccountId::parse(account).ok()?), None),
                Some((account, client)) => (Some(AccountId::parse(account).ok()?), Some(ClientId::parse(client).ok()?)),
            };
            let scopes = scopes.split('+').map(|word| Scope::parse(word).filter(|scope| *scope != Scope::Form));
            let scopes: Scopes = scopes.collect::<Option<_>>()?;
            let is_name = !group.is_empty() && group.len() <= MAX_GROUP && !group.chars().any(char::is_control);
            is_name.then(|| Self { group: group.to_owned(), rights: Rights { account, client, scopes } })
        };
        read().ok_or_else(|| NoGroupRule(text.to_owned()))
    }
}

/// The rights of these groups, and the groups that give them. The first rule that names one of the groups decides the
/// account and the client; further rules for the same account and client may add scopes. `None` if no rule names any of
/// the groups.
pub fn rights_of(rules: &[GroupRule], groups: &[String]) -> Option<(Rights, Vec<String>)> {
    let mut named = rules.iter().filter(|rule| groups.contains(&rule.group));
    let first = named.next()?;
    let (mut rights, mut deciding) = (first.rights.clone(), vec![first.group.clone()]);
    for rule in named.filter(|rule| (&rule.rights.account, &rule.rights.client) == (&rights.account, &rights.client)) {
        let scopes: Scopes = rights.scopes.named().chain(rule.rights.scopes.named()).collect();
        // Only groups that add a scope decide, so there are at most as many as scopes.
        if scopes != rights.scopes {
            rights.scopes = scopes;
            if !deciding.contains(&rule.group) {
                deciding.push(rule.group.clone());
            }
        }
    }
    Some((rights, deciding))
}
