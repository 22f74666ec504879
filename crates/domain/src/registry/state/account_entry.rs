//! An account with its entities.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    ids::{ApiUserId, ClientId, DestinationId, InterfaceId, OptOutId, TokenId},
    notice::kind::NoticeKind,
    registry::{
        entities::{
            account::{Account, ApiUser, Client, Interface, Role},
            destination::{Destination, Token},
            opt_out::OptOut,
        },
        state::by_scope::ByScope,
    },
};

#[derive(Debug, Clone)]
pub struct AccountEntry {
    pub account: Account,
    pub(in crate::registry) clients: BTreeMap<ClientId, Client>,
    pub(in crate::registry) api_users: BTreeMap<ApiUserId, ApiUser>,
    pub(in crate::registry) interfaces: BTreeMap<InterfaceId, Interface>,
    pub(in crate::registry) destinations: BTreeMap<DestinationId, Arc<Destination>>,
    pub(in crate::registry) by_scope: ByScope,
    pub(in crate::registry) tokens: BTreeMap<TokenId, Arc<Token>>,
    pub(in crate::registry) opt_outs: BTreeMap<OptOutId, OptOut>,
    /// Unconfirmed addresses, in lower case.
    pub(in crate::registry) unconfirmed: BTreeSet<String>,
    /// Confirmed addresses, in lower case.
    pub(in crate::registry) confirmed: BTreeSet<String>,
}

impl AccountEntry {
    /// Its clients, including deleted ones, in the order of their ids.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values()
    }

    /// Its API users, including deleted ones, in the order of their ids.
    pub fn api_users(&self) -> impl Iterator<Item = &ApiUser> {
        self.api_users.values()
    }

    /// The recipients of notices about deactivations, each once: the account's addresses for them, and those of API
    /// users who are not viewers. If there are neither, the recipients of notices about failures.
    pub fn deactivation_recipients(&self) -> Vec<String> {
        let users = self.api_users().filter(|user| !user.deleted && user.role >= Role::Operator);
        let recipients = each_once(self.account.api_user_emails.iter().chain(users.map(|user| &user.email)));
        if recipients.is_empty() { self.account.notification_emails.clone() } else { recipients }
    }

    /// The recipients of notices about a recovery, each once: the recipients of the notices about repeated failures and
    /// about the deactivation.
    pub fn recovery_recipients(&self, was_alerted: bool, was_deactivated: bool) -> Vec<String> {
        let alerted = if was_alerted { self.account.notification_emails.clone() } else { vec![] };
        let others = if was_deactivated { self.deactivation_recipients() } else { vec![] };
        each_once(alerted.iter().chain(&others))
    }

    /// Its opt-outs, in the order of their ids.
    pub fn opt_outs(&self) -> impl Iterator<Item = &OptOut> {
        self.opt_outs.values()
    }

    /// Whether an address has not opted out of mails of this kind.
    pub fn wants(&self, email: &str, kind: NoticeKind) -> bool {
        !self.opt_outs.contains_key(&OptOut::new(self.account.id.clone(), email, kind).id)
    }

    /// The addresses among these that may get mails of this kind, each once: those that need no confirmation and have
    /// not opted out.
    pub fn willing(&self, emails: &[String], kind: NoticeKind) -> Vec<String> {
        each_once(emails.iter().filter(|email| self.is_confirmed(email) && self.wants(email, kind)))
    }

    /// Its interfaces, including deleted ones, in the order of their ids.
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        self.interfaces.values()
    }

    /// An interface, deleted or not.
    pub fn interface(&self, id: &InterfaceId) -> Option<&Interface> {
        self.interfaces.get(id)
    }

    /// Its destinations, including deleted ones, in the order of their ids.
    pub fn destinations(&self) -> impl Iterator<Item = &Arc<Destination>> {
        self.destinations.values()
    }

    /// Its destinations that are not deleted and whose scope covers events of this client and interface, the highest
    /// level first.
    pub fn destinations_covering(
        &self,
        client: Option<&ClientId>,
        interface: &InterfaceId,
    ) -> impl Iterator<Item = &Arc<Destination>> {
        self.by_scope.covering(client, interface)
    }

    /// Its tokens, including deleted ones, in the order of their ids.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens.values()
    }

    /// A token, deleted or not.
    pub fn token(&self, id: &TokenId) -> Option<&Arc<Token>> {
        self.tokens.get(id)
    }
}

/// Each address once. Mail servers ignore case.
fn each_once<'a>(emails: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut once: Vec<String> = vec![];
    for email in emails {
        if !once.iter().any(|known| known.eq_ignore_ascii_case(email)) {
            once.push(email.clone());
        }
    }
    once
}
