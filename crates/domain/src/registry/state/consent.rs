//! The confirmed and unconfirmed addresses of an account.

use crate::registry::{
    entities::{
        account::{ApiUser, Interface},
        confirmation::Confirmation,
    },
    facts::Change,
    state::account_entry::AccountEntry,
};

impl AccountEntry {
    /// Whether an address may get mails besides the one that asks its owner for consent.
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

    /// The addresses among these that have to be confirmed if an API key of the account sets them. These are the
    /// unconfirmed ones, and those that are new to the account and were never confirmed for it.
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
    pub(in crate::registry) fn note_emails(&mut self, change: &Change) {
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

    pub(in crate::registry) fn note_confirmation(&mut self, email: &str) {
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
