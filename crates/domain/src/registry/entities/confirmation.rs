//! Confirmation of addresses that an API key of the account set. Such an address gets one mail that asks its owner for
//! consent, and no other mail until the owner confirms the address.
//!
//! A fact about an account, an interface or an API user lists its unconfirmed addresses (for instance
//! [`Account::unconfirmed`]). Facts of earlier releases have no such list, so older addresses are trusted.

use crate::{
    ids::{AccountId, ConfirmationId},
    registry::entities::account::Account,
};

/// The consent of the owner of an address to mails about one account.
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
