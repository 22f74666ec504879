//! Addresses that an account's own API key set: each gets one mail that asks its owner, and nothing else until the
//! owner confirms it.
//!
//! A fact about an account, an interface or an API user lists its unconfirmed addresses ([`Account::unconfirmed`] and
//! its siblings). Facts of earlier releases list none, so older addresses are trusted.

use super::{
    account::{Account, ApiUser, Interface},
    facts::Change,
    state::AccountEntry,
};
use crate::ids::{AccountId, ConfirmationId};

/// The consent of an address's owner to mails about one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    pub account: AccountId,
    /// Computed from the address.
    pub id: ConfirmationId,
    /// The address, in lower case.
    pub email: String,
}

impl Confirmation {
    /// The confirmation of this address.
    pub fn new(account: AccountId, email: &str) -> Self {
        let email = email.to_lowercase();
        Self { account, id: ConfirmationId::of(&email), email }
    }
}

impl Account {
    /// Every address that the account lists.
    pub fn emails(&self) -> impl Iterator<Item = &String> {
        self.notification_emails.iter().chain(&self.api_user_emails)
    }
}

impl Change {
    /// The addresses that a fact lists, and the unconfirmed ones among them.
    pub fn emails(&self) -> (Vec<&String>, &[String]) {
        match self {
            Self::AccountCreated(account) | Self::AccountUpdated(account) => {
                (account.emails().collect(), &account.unconfirmed)
            }
            Self::InterfaceCreated(interface) | Self::InterfaceUpdated(interface) => {
                (interface.lead_notification_emails.iter().collect(), &interface.unconfirmed)
            }
            Self::ApiUserCreated(user) | Self::ApiUserUpdated(user) => (vec![&user.email], &user.unconfirmed),
            _ => (vec![], &[]),
        }
    }
}

impl AccountEntry {
    /// Whether an address may get more than the mail that asks its owner.
    pub fn is_confirmed(&self, email: &str) -> bool {
        !self.unconfirmed.contains(&email.to_lowercase())
    }

    /// The confirmed addresses.
    pub fn confirmations(&self) -> impl Iterator<Item = Confirmation> {
        self.confirmed.iter().map(|email| Confirmation::new(self.account.id.clone(), email))
    }

    /// The unconfirmed ones among these addresses, in lower case.
    pub fn unconfirmed<'a>(&self, emails: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        lower_case_once(emails.into_iter().filter(|email| !self.is_confirmed(email)))
    }

    /// The addresses among these that their owners must confirm if an account's own API key sets them: they are
    /// unconfirmed already, or new to the account and never confirmed for it.
    pub fn to_confirm<'a>(&self, emails: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        lower_case_once(emails.into_iter().filter(|email| {
            let email = email.to_lowercase();
            let is_known = self.confirmed.contains(&email) || self.lists(&email);
            self.unconfirmed.contains(&email) || !is_known
        }))
    }

    /// Whether the account, one of its interfaces or one of its API users has this address.
    fn lists(&self, email: &str) -> bool {
        let interfaces = self.interfaces().filter(|interface: &&Interface| !interface.deleted);
        let users = self.api_users().filter(|user: &&ApiUser| !user.deleted).map(|user| &user.email);
        let listed = self.account.emails().chain(interfaces.flat_map(|i| &i.lead_notification_emails)).chain(users);
        listed.into_iter().any(|listed| listed.to_lowercase() == email)
    }

    /// Adds the addresses of a fact.
    pub(super) fn note_emails(&mut self, change: &Change) {
        let (listed, waiting) = change.emails();
        for email in listed {
            let email = email.to_lowercase();
            if waiting.contains(&email) && !self.confirmed.contains(&email) {
                self.unconfirmed.insert(email);
            } else {
                self.unconfirmed.remove(&email);
            }
        }
    }

    pub(super) fn note_confirmation(&mut self, email: &str) {
        self.unconfirmed.remove(email);
        self.confirmed.insert(email.to_owned());
    }
}

fn lower_case_once<'a>(emails: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut once: Vec<String> = vec![];
    for email in emails.map(|email| email.to_lowercase()) {
        if !once.contains(&email) {
            once.push(email);
        }
    }
    once
}
