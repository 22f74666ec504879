//! The registry that the facts add up to.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    facts::{Change, EntityKind, RegistryFact},
    model::{Account, Destination, Interface, Token},
};
use crate::ids::{AccountId, DestinationId, InterfaceId, TokenId};

/// All that is configured. What was deleted stays known as deleted.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    accounts: HashMap<AccountId, Arc<AccountEntry>>,
    destinations: HashMap<DestinationId, Arc<Destination>>,
    versions: HashMap<(AccountId, EntityKind, String), u64>,
    sequence: u64,
}

/// An account and what belongs to it.
#[derive(Debug, Clone)]
pub struct AccountEntry {
    /// The account itself.
    pub account: Account,
    interfaces: BTreeMap<InterfaceId, Interface>,
    destinations: BTreeMap<DestinationId, Arc<Destination>>,
    tokens: BTreeMap<TokenId, Arc<Token>>,
}

impl AccountEntry {
    /// Its interfaces, deleted ones too, in the order of their ids.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    /// One of its interfaces, deleted or not.
    pub fn interface(&self, id: &InterfaceId) -> Option<&Interface> {
        self.interfaces.get(id)
    }

    /// Its destinations, deleted ones too, in the order of their ids.
    pub fn destinations(&self) -> impl Iterator<Item = &Arc<Destination>> {
        self.destinations.values()
    }

    /// Its tokens, deleted ones too, in the order of their ids.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens.values()
    }

    /// One of its tokens, deleted or not.
    pub fn token(&self, id: &TokenId) -> Option<&Arc<Token>> {
        self.tokens.get(id)
    }
}

impl Registry {
    /// Adds the fact that REGISTRY holds at `sequence`. One that is known already changes nothing; one about something
    /// of an account that does not exist is passed over, because no decision can have led to it.
    pub fn apply(&mut self, sequence: u64, fact: &RegistryFact) {
        if sequence <= self.sequence {
            return;
        }
        self.sequence = sequence;
        let (account, kind, id) = fact.change.entity();
        self.versions.insert((account.clone(), kind, id.to_owned()), sequence);
        match &fact.change {
            Change::AccountCreated(account) | Change::AccountUpdated(account) => self.put_account(account),
            Change::AccountDeleted(id) => self.delete_account(id),
            Change::InterfaceCreated(interface) | Change::InterfaceUpdated(interface) => {
                self.change(&interface.account, |entry| {
                    entry.interfaces.insert(interface.id.clone(), interface.clone());
                });
            }
            Change::InterfaceDeleted(account, id) => self.change(account, |entry| {
                if let Some(interface) = entry.interfaces.get_mut(id) {
                    interface.deleted = true;
                }
            }),
            Change::DestinationCreated(destination) | Change::DestinationUpdated(destination) => {
                self.put_settings(destination.clone());
            }
            Change::DestinationEnabled(_, id, skip) => self.change_destination(id, |d| {
                d.enabled = true;
                d.deactivated = None;
                d.skip_held_before = skip.or(d.skip_held_before);
            }),
            Change::DestinationDeactivated(_, id, why) => {
                self.change_destination(id, |d| d.deactivated = Some(why.clone()));
            }
            Change::DestinationDisabled(_, id) => self.change_destination(id, |d| d.enabled = false),
            Change::DestinationDeleted(_, id) => self.change_destination(id, |d| d.deleted = true),
            Change::TokenCreated(token) | Change::TokenUpdated(token) => self.change(&token.account, |entry| {
                entry.tokens.insert(token.id.clone(), Arc::new(token.clone()));
            }),
            Change::TokenDeleted(account, id) => self.change(account, |entry| {
                if let Some(token) = entry.tokens.get_mut(id) {
                    Arc::make_mut(token).deleted = true;
                }
            }),
        }
    }

    /// Notes that REGISTRY holds something at `sequence` that cannot be read.
    pub fn pass_over(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
    }

    fn put_account(&mut self, account: &Account) {
        let fresh = || {
            Arc::new(AccountEntry {
                account: account.clone(),
                interfaces: BTreeMap::new(),
                destinations: BTreeMap::new(),
                tokens: BTreeMap::new(),
            })
        };
        let entry = self.accounts.entry(account.id.clone()).or_insert_with(fresh);
        Arc::make_mut(entry).account = account.clone();
    }

    /// All that belongs to an account goes with it, so that an account made anew under the same id begins with nothing.
    fn delete_account(&mut self, id: &AccountId) {
        let Some(entry) = self.accounts.get(id).cloned() else { return };
        for destination in entry.destinations.keys() {
            self.change_destination(destination, |d| d.deleted = true);
        }
        self.change(id, |entry| {
            entry.account.deleted = true;
            entry.interfaces.values_mut().for_each(|interface| interface.deleted = true);
            entry.tokens.values_mut().for_each(|token| Arc::make_mut(token).deleted = true);
        });
    }

    /// An update carries settings; what rules and people decided besides stays.
    fn put_settings(&mut self, mut destination: Destination) {
        if let Some(before) = self.destinations.get(&destination.id) {
            destination.deactivated = before.deactivated.clone();
            destination.skip_held_before = before.skip_held_before;
        }
        self.put_destination(destination);
    }

    fn put_destination(&mut self, destination: Destination) {
        let destination = Arc::new(destination);
        self.change(&destination.account, |entry| {
            entry.destinations.insert(destination.id.clone(), Arc::clone(&destination));
        });
        self.destinations.insert(destination.id.clone(), destination);
    }

    fn change_destination(&mut self, id: &DestinationId, change: impl FnOnce(&mut Destination)) {
        if let Some(destination) = self.destinations.get(id) {
            let mut destination = Destination::clone(destination);
            change(&mut destination);
            self.put_destination(destination);
        }
    }

    fn change(&mut self, account: &AccountId, change: impl FnOnce(&mut AccountEntry)) {
        if let Some(entry) = self.accounts.get_mut(account) {
            change(Arc::make_mut(entry));
        }
    }

    /// The sequence in REGISTRY of the last fact that was added; 0: none.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The sequence of the last fact about one thing, which the next fact about it has to name; 0: none.
    pub fn version(&self, account: &AccountId, kind: EntityKind, id: &str) -> u64 {
        self.versions.get(&(account.clone(), kind, id.to_owned())).copied().unwrap_or(0)
    }

    /// The accounts that exist, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<AccountEntry>> {
        self.accounts.values().filter(|entry| !entry.account.deleted)
    }

    /// An account that exists.
    pub fn account(&self, id: &AccountId) -> Option<&Arc<AccountEntry>> {
        self.accounts.get(id).filter(|entry| !entry.account.deleted)
    }

    /// An interface that exists, of an account that exists.
    pub fn interface(&self, account: &AccountId, id: &InterfaceId) -> Option<&Interface> {
        self.account(account)?.interface(id).filter(|interface| !interface.deleted)
    }

    /// A destination that exists, of an account that exists.
    pub fn destination(&self, id: &DestinationId) -> Option<&Arc<Destination>> {
        let destination = self.destinations.get(id).filter(|destination| !destination.deleted)?;
        self.account(&destination.account).map(|_| destination)
    }

    /// A destination whether or not it still exists: for showing what it was called.
    pub fn destination_ever(&self, id: &DestinationId) -> Option<&Arc<Destination>> {
        self.destinations.get(id)
    }

    /// A token that exists, of an account that exists.
    pub fn token(&self, account: &AccountId, id: &TokenId) -> Option<&Arc<Token>> {
        self.account(account)?.token(id).filter(|token| !token.deleted)
    }
}
