//! The registry, folded from its facts.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use crate::{
    delivery::state::Switch,
    ids::{AccountId, ApiUserId, ClientId, DestinationId, InterfaceId, OptOutId, TokenId},
    registry::{
        entities::{
            account::{Account, ApiUser, Client, Interface},
            api_key::KeyRing,
            destination::{Destination, Token},
            kind::EntityKind,
            opt_out::OptOut,
        },
        facts::{Change, RegistryFact},
        state::{account_entry::AccountEntry, by_scope::ByScope, ordering::Ordering},
    },
};

/// The whole configuration. Deleted entities stay in it, marked as deleted.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    accounts: HashMap<AccountId, Arc<AccountEntry>>,
    destinations: HashMap<DestinationId, Arc<Destination>>,
    created: HashMap<DestinationId, Timestamp>,
    pub(in crate::registry) keys: KeyRing,
    versions: HashMap<(Option<AccountId>, EntityKind, String), u64>,
    ordering: Ordering,
    sequence: u64,
}

impl Registry {
    /// Adds the fact at `sequence` of REGISTRY. A known fact changes nothing. A fact about an account that does not
    /// exist is skipped. Such a fact was decided before the account was deleted and stored afterwards, and its entity
    /// must not appear in a new account with the same id.
    pub fn apply(&mut self, sequence: u64, fact: &RegistryFact) {
        if sequence <= self.sequence {
            return;
        }
        self.sequence = sequence;
        let (account, kind, id) = fact.change.entity();
        if kind != EntityKind::Event {
            self.versions.insert((account.cloned(), kind, id.to_owned()), sequence);
        }
        if kind != EntityKind::Account && account.is_some_and(|account| self.account(account).is_none()) {
            return;
        }
        self.put(fact);
        if let (Some(account), false) = (account, fact.change.emails().0.is_empty()) {
            self.change(account, |entry| entry.note_emails(&fact.change));
        }
    }

    /// Skips the fact at `sequence` of REGISTRY, which is unreadable.
    pub fn pass_over(&mut self, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
    }

    fn put(&mut self, fact: &RegistryFact) {
        match &fact.change {
            Change::AccountCreated(account) | Change::AccountUpdated(account) => self.put_account(account),
            Change::AccountDeleted(id) => {
                self.delete_account(id);
                self.keys.revoke_all_of(id, fact.at);
            }
            Change::ClientCreated(client) | Change::ClientUpdated(client) => self.change(&client.account, |entry| {
                entry.clients.insert(client.id.clone(), client.clone());
            }),
            Change::ClientDeleted(account, id) => self.change(account, |entry| {
                if let Some(client) = entry.clients.get_mut(id) {
                    client.deleted = true;
                }
            }),
            Change::ApiUserCreated(user) | Change::ApiUserUpdated(user) => self.change(&user.account, |entry| {
                entry.api_users.insert(user.id.clone(), user.clone());
            }),
            Change::ApiUserDeleted(account, id) => self.change(account, |entry| {
                if let Some(user) = entry.api_users.get_mut(id) {
                    user.deleted = true;
                }
            }),
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
                self.created.entry(destination.id.clone()).or_insert(fact.at);
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
            Change::DestinationDeleted(account, id) => self.delete_destination(account, id),
            Change::TokenCreated(token) | Change::TokenUpdated(token) => self.change(&token.account, |entry| {
                entry.tokens.insert(token.id.clone(), Arc::new(token.clone()));
            }),
            Change::TokenDeleted(account, id) => self.change(account, |entry| {
                if let Some(token) = entry.tokens.get_mut(id) {
                    Arc::make_mut(token).deleted = true;
                }
            }),
            Change::OptOutCreated(opt_out) => self.change(&opt_out.account, |entry| {
                entry.opt_outs.insert(opt_out.id.clone(), opt_out.clone());
            }),
            Change::OptOutDeleted(account, id) => self.change(account, |entry| {
                entry.opt_outs.remove(id);
            }),
            Change::EmailConfirmed(confirmation) => self.change(&confirmation.account, |entry| {
                entry.note_confirmation(&confirmation.email);
            }),
            Change::KeyCreated(key) => self.keys.put(key.clone()),
            Change::KeyRevoked(_, id) => self.keys.revoke(id, fact.at),
            Change::PayloadViewed(..) => {}
        }
    }

    fn put_account(&mut self, account: &Account) {
        let fresh = || {
            Arc::new(AccountEntry {
                account: account.clone(),
                clients: BTreeMap::new(),
                api_users: BTreeMap::new(),
                interfaces: BTreeMap::new(),
                destinations: BTreeMap::new(),
                by_scope: ByScope::default(),
                tokens: BTreeMap::new(),
                opt_outs: BTreeMap::new(),
                unconfirmed: BTreeSet::new(),
                confirmed: BTreeSet::new(),
            })
        };
        let entry = self.accounts.entry(account.id.clone()).or_insert_with(fresh);
        Arc::make_mut(entry).account = account.clone();
    }

    /// Deletes an account with its entities, so that a new account with the same id starts empty.
    fn delete_account(&mut self, id: &AccountId) {
        let Some(entry) = self.accounts.get(id).cloned() else { return };
        for destination in entry.destinations.keys() {
            self.delete_destination(id, destination);
        }
        self.change(id, |entry| {
            entry.account.deleted = true;
            entry.clients.values_mut().for_each(|client| client.deleted = true);
            entry.api_users.values_mut().for_each(|user| user.deleted = true);
            entry.interfaces.values_mut().for_each(|interface| interface.deleted = true);
            entry.tokens.values_mut().for_each(|token| Arc::make_mut(token).deleted = true);
            entry.opt_outs.clear();
            entry.unconfirmed.clear();
            entry.confirmed.clear();
        });
    }

    fn delete_destination(&mut self, account: &AccountId, id: &DestinationId) {
        self.ordering.note(account, id, self.sequence, false);
        self.change_destination(id, |d| d.deleted = true);
    }

    /// Replaces the settings of a destination. A deactivation, and the decision to skip held deliveries, stay.
    fn put_settings(&mut self, mut destination: Destination) {
        self.ordering.note(&destination.account, &destination.id, self.sequence, destination.ordered);
        if let Some(before) = self.destinations.get(&destination.id) {
            destination.deactivated = before.deactivated.clone();
            destination.skip_held_before = before.skip_held_before;
        }
        self.put_destination(destination);
    }

    fn put_destination(&mut self, destination: Destination) {
        let destination = Arc::new(destination);
        self.change(&destination.account, |entry| {
            let before = entry.destinations.insert(destination.id.clone(), Arc::clone(&destination));
            entry.by_scope.replace(before.as_deref(), &destination);
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

    /// The sequence in REGISTRY of the last fact; 0 if there is none.
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The sequence of the last fact about an entity, which the next append about it must expect; 0 if there is none.
    pub fn version(&self, account: Option<&AccountId>, kind: EntityKind, id: &str) -> u64 {
        self.versions.get(&(account.cloned(), kind, id.to_owned())).copied().unwrap_or(0)
    }

    /// The accounts that exist, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<AccountEntry>> {
        self.accounts.values().filter(|entry| !entry.account.deleted)
    }

    /// Every account, including deleted ones, in no order. Retention and pruning need the deleted ones, because data
    /// about people outlives the account.
    pub fn accounts_ever(&self) -> impl Iterator<Item = &Arc<AccountEntry>> {
        self.accounts.values()
    }

    /// An account, deleted or not.
    pub fn account_ever(&self, id: &AccountId) -> Option<&Arc<AccountEntry>> {
        self.accounts.get(id)
    }

    /// An account that exists.
    pub fn account(&self, id: &AccountId) -> Option<&Arc<AccountEntry>> {
        self.accounts.get(id).filter(|entry| !entry.account.deleted)
    }

    /// A client that exists, of an account that exists.
    pub fn client(&self, account: &AccountId, id: &ClientId) -> Option<&Client> {
        self.account(account)?.clients.get(id).filter(|client| !client.deleted)
    }

    /// An API user that exists, of an account that exists.
    pub fn api_user(&self, account: &AccountId, id: &ApiUserId) -> Option<&ApiUser> {
        self.account(account)?.api_users.get(id).filter(|user| !user.deleted)
    }

    /// An interface that exists, of an account that exists.
    pub fn interface(&self, account: &AccountId, id: &InterfaceId) -> Option<&Interface> {
        self.account(account)?.interface(id).filter(|interface| !interface.deleted)
    }

    /// An opt-out of an account that exists.
    pub fn opt_out(&self, account: &AccountId, id: &OptOutId) -> Option<&OptOut> {
        self.account(account)?.opt_outs.get(id)
    }

    /// A destination that exists, of an account that exists.
    pub fn destination(&self, id: &DestinationId) -> Option<&Arc<Destination>> {
        let destination = self.destinations.get(id).filter(|destination| !destination.deleted)?;
        self.account(&destination.account).map(|_| destination)
    }

    /// Whether a destination accepts deliveries. A destination that does not exist counts as on, because nothing waits
    /// for it.
    pub fn switch(&self, id: &DestinationId) -> Switch {
        self.destination(id).map_or(Switch::On, |destination| destination.switch())
    }

    /// A destination, deleted or not. Lists show the name of a deleted one.
    pub fn destination_ever(&self, id: &DestinationId) -> Option<&Arc<Destination>> {
        self.destinations.get(id)
    }

    /// Whether a destination was ordered at `sequence` of REGISTRY.
    pub fn kept_order(&self, account: &AccountId, id: &DestinationId, sequence: u64) -> bool {
        self.ordering.at(account, id, sequence)
    }

    /// Whether any destination of an account was ordered at `sequence` of REGISTRY.
    pub fn kept_order_in(&self, account: &AccountId, sequence: u64) -> bool {
        self.ordering.anywhere_in(account, sequence)
    }

    /// Whether any destination was ever ordered.
    pub fn ever_kept_order(&self) -> bool {
        self.ordering.was_ever()
    }

    /// When a destination was created, deleted or not.
    pub fn destination_created_at(&self, id: &DestinationId) -> Option<Timestamp> {
        self.created.get(id).copied()
    }

    /// A token that exists, of an account that exists.
    pub fn token(&self, account: &AccountId, id: &TokenId) -> Option<&Arc<Token>> {
        self.account(account)?.token(id).filter(|token| !token.deleted)
    }
}
