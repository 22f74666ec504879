//! Decides commands on the registry. Every change of the configuration comes from such a decision.

use jiff::Timestamp;

use crate::{
    ids::{AccountId, ApiUserId, ClientId, DestinationId, InterfaceId, KeyId, OptOutId, TokenId},
    registry::{
        checks::{
            fields::{check_account, check_api_user, check_destination, check_interface, check_name, check_opt_out},
            urls::UrlRules,
        },
        entities::{
            account::{Account, ApiUser, Client, Interface},
            api_key::ApiKey,
            confirmation::Confirmation,
            destination::{Algorithm, Destination, Scope, Token},
            kind::EntityKind,
            opt_out::OptOut,
        },
        facts::Change,
        refusal::Refusal,
        request::shape::Deactivation,
        state::fold::Registry,
    },
};

/// The requested change. Creations and updates carry the whole new state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    CreateAccount(Account),
    UpdateAccount(Account),
    DeleteAccount(AccountId),
    CreateClient(Client),
    UpdateClient(Client),
    DeleteClient(AccountId, ClientId),
    CreateInterface(Interface),
    UpdateInterface(Interface),
    DeleteInterface(AccountId, InterfaceId),
    CreateApiUser(ApiUser),
    UpdateApiUser(ApiUser),
    DeleteApiUser(AccountId, ApiUserId),
    CreateDestination(Destination),
    UpdateDestination(Destination),
    /// Enable a destination; held deliveries that were requested before the given time are not sent.
    EnableDestination(AccountId, DestinationId, Option<Timestamp>),
    /// Switch off a destination by a rule.
    DeactivateDestination(AccountId, DestinationId, Deactivation),
    /// Switch off a destination by hand.
    DisableDestination(AccountId, DestinationId),
    DeleteDestination(AccountId, DestinationId),
    CreateToken(Token),
    /// Change the name or the secrets of a token.
    UpdateToken(Token),
    DeleteToken(AccountId, TokenId),
    /// Stop mails of a kind to an address.
    CreateOptOut(OptOut),
    /// Resume mails of a kind to an address.
    DeleteOptOut(AccountId, OptOutId),
    /// Confirm an address for its owner.
    ConfirmEmail(Confirmation),
    CreateKey(ApiKey),
    RevokeKey(KeyId),
}

/// A change that may be appended as a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub change: Change,
    /// The last sequence of the subject that the decision depends on; the append must expect it.
    pub expected_version: u64,
}

impl Registry {
    /// Decides whether a command may be carried out.
    ///
    /// # Errors
    /// If a field is invalid, if the entity exists already, does not exist or is still used, or if there are too many
    /// of its kind.
    pub fn decide(&self, command: Command, rules: UrlRules) -> Result<Decision, Refusal> {
        let change = match command {
            Command::CreateAccount(account) => self.decide_create_account(account)?,
            Command::UpdateAccount(account) => self.decide_update_account(account)?,
            Command::DeleteAccount(id) => self.decide_delete_account(id)?,
            Command::CreateClient(client) => self.decide_create_client(client)?,
            Command::UpdateClient(client) => self.decide_update_client(client)?,
            Command::DeleteClient(account, id) => self.decide_delete_client(account, id)?,
            Command::CreateInterface(interface) => self.decide_create_interface(interface)?,
            Command::UpdateInterface(interface) => self.decide_update_interface(interface)?,
            Command::DeleteInterface(account, id) => self.decide_delete_interface(account, id)?,
            Command::CreateApiUser(user) => self.decide_create_api_user(user)?,
            Command::UpdateApiUser(user) => self.decide_update_api_user(user)?,
            Command::DeleteApiUser(account, id) => self.decide_delete_api_user(account, id)?,
            Command::CreateDestination(destination) => self.decide_create_destination(destination, rules)?,
            Command::UpdateDestination(destination) => self.decide_update_destination(destination, rules)?,
            Command::EnableDestination(account, id, skip) => self.decide_enable_destination(account, id, skip)?,
            Command::DeactivateDestination(account, id, why) => self.decide_deactivate_destination(account, id, why)?,
            Command::DisableDestination(account, id) => self.decide_disable_destination(account, id)?,
            Command::DeleteDestination(account, id) => self.decide_delete_destination(account, id)?,
            Command::CreateToken(token) => self.decide_create_token(token)?,
            Command::UpdateToken(token) => self.decide_update_token(token)?,
            Command::DeleteToken(account, id) => self.decide_delete_token(account, id)?,
            Command::CreateOptOut(opt_out) => self.decide_create_opt_out(opt_out)?,
            Command::DeleteOptOut(account, id) => self.decide_delete_opt_out(account, id)?,
            Command::ConfirmEmail(confirmation) => self.decide_confirm_email(confirmation)?,
            Command::CreateKey(key) => self.decide_create_key(key)?,
            Command::RevokeKey(id) => self.decide_revoke_key(&id)?,
        };
        let (account, kind, id) = change.entity();
        let expected_version = self.version(account, kind, id);
        Ok(Decision { change, expected_version })
    }

    fn decide_create_account(&self, account: Account) -> Result<Change, Refusal> {
        self.must_be_new(self.account(&account.id).is_some(), EntityKind::Account, account.id.as_str())?;
        check_account(&account)?;
        Ok(Change::AccountCreated(account))
    }

    fn decide_update_account(&self, account: Account) -> Result<Change, Refusal> {
        self.must_have_account(&account.id)?;
        check_account(&account)?;
        Ok(Change::AccountUpdated(account))
    }

    fn decide_delete_account(&self, id: AccountId) -> Result<Change, Refusal> {
        self.must_have_account(&id)?;
        Ok(Change::AccountDeleted(id))
    }

    fn decide_create_token(&self, token: Token) -> Result<Change, Refusal> {
        self.must_have_account(&token.account)?;
        let taken = self.token(&token.account, &token.id).is_some();
        self.must_be_new(taken, EntityKind::Token, token.id.as_str())?;
        check_name(&token.name)?;
        Ok(Change::TokenCreated(token))
    }

    fn decide_update_token(&self, token: Token) -> Result<Change, Refusal> {
        self.must_have_token(&token.account, &token.id)?;
        check_name(&token.name)?;
        Ok(Change::TokenUpdated(token))
    }

    fn decide_create_opt_out(&self, opt_out: OptOut) -> Result<Change, Refusal> {
        self.must_have_account(&opt_out.account)?;
        let taken = self.opt_out(&opt_out.account, &opt_out.id).is_some();
        self.must_be_new(taken, EntityKind::OptOut, opt_out.id.as_str())?;
        check_opt_out(&opt_out)?;
        Ok(Change::OptOutCreated(opt_out))
    }

    fn decide_delete_opt_out(&self, account: AccountId, id: OptOutId) -> Result<Change, Refusal> {
        self.must_have_account(&account)?;
        must_exist(self.opt_out(&account, &id).is_some(), EntityKind::OptOut, id.as_str())?;
        Ok(Change::OptOutDeleted(account, id))
    }

    fn decide_create_client(&self, client: Client) -> Result<Change, Refusal> {
        self.must_have_account(&client.account)?;
        let taken = self.client(&client.account, &client.id).is_some();
        self.must_be_new(taken, EntityKind::Client, client.id.as_str())?;
        check_name(&client.name)?;
        Ok(Change::ClientCreated(client))
    }

    fn decide_update_client(&self, client: Client) -> Result<Change, Refusal> {
        self.must_have_client(&client.account, &client.id)?;
        check_name(&client.name)?;
        Ok(Change::ClientUpdated(client))
    }

    fn decide_delete_client(&self, account: AccountId, id: ClientId) -> Result<Change, Refusal> {
        self.must_have_client(&account, &id)?;
        Ok(Change::ClientDeleted(account, id))
    }

    fn decide_create_interface(&self, interface: Interface) -> Result<Change, Refusal> {
        self.must_have_account(&interface.account)?;
        let taken = self.interface(&interface.account, &interface.id).is_some();
        self.must_be_new(taken, EntityKind::Interface, interface.id.as_str())?;
        check_interface(&interface)?;
        Ok(Change::InterfaceCreated(interface))
    }

    fn decide_update_interface(&self, interface: Interface) -> Result<Change, Refusal> {
        self.must_have_interface(&interface.account, &interface.id)?;
        check_interface(&interface)?;
        Ok(Change::InterfaceUpdated(interface))
    }

    fn decide_delete_interface(&self, account: AccountId, id: InterfaceId) -> Result<Change, Refusal> {
        self.must_have_interface(&account, &id)?;
        Ok(Change::InterfaceDeleted(account, id))
    }

    fn decide_update_api_user(&self, user: ApiUser) -> Result<Change, Refusal> {
        self.must_have_api_user(&user.account, &user.id)?;
        check_api_user(&user)?;
        Ok(Change::ApiUserUpdated(user))
    }

    fn decide_delete_api_user(&self, account: AccountId, id: ApiUserId) -> Result<Change, Refusal> {
        self.must_have_api_user(&account, &id)?;
        Ok(Change::ApiUserDeleted(account, id))
    }

    fn decide_enable_destination(
        &self,
        account: AccountId,
        id: DestinationId,
        skip: Option<Timestamp>,
    ) -> Result<Change, Refusal> {
        self.must_have_destination(&account, &id)?;
        Ok(Change::DestinationEnabled(account, id, skip))
    }

    fn decide_deactivate_destination(
        &self,
        account: AccountId,
        id: DestinationId,
        why: Deactivation,
    ) -> Result<Change, Refusal> {
        self.must_have_destination(&account, &id)?;
        Ok(Change::DestinationDeactivated(account, id, why))
    }

    fn decide_disable_destination(&self, account: AccountId, id: DestinationId) -> Result<Change, Refusal> {
        self.must_have_destination(&account, &id)?;
        Ok(Change::DestinationDisabled(account, id))
    }

    fn decide_delete_destination(&self, account: AccountId, id: DestinationId) -> Result<Change, Refusal> {
        self.must_have_destination(&account, &id)?;
        Ok(Change::DestinationDeleted(account, id))
    }

    fn decide_confirm_email(&self, confirmation: Confirmation) -> Result<Change, Refusal> {
        self.must_have_account(&confirmation.account)?;
        let (kind, email) = (EntityKind::Confirmation, confirmation.email.as_str());
        let entry = self.account(&confirmation.account);
        let was_confirmed = entry.is_some_and(|entry| entry.confirmed.contains(email));
        self.must_be_new(was_confirmed, kind, email)?;
        must_exist(entry.is_some_and(|entry| !entry.is_confirmed(email)), kind, email)?;
        Ok(Change::EmailConfirmed(confirmation))
    }

    fn decide_create_api_user(&self, user: ApiUser) -> Result<Change, Refusal> {
        self.must_have_account(&user.account)?;
        let taken = self.api_user(&user.account, &user.id).is_some();
        self.must_be_new(taken, EntityKind::ApiUser, user.id.as_str())?;
        check_api_user(&user)?;
        let count = self.account(&user.account).map_or(0, |entry| entry.api_users().filter(|u| !u.deleted).count());
        if count >= ApiUser::MAX {
            return Err(Refusal::TooMany { kind: EntityKind::ApiUser, max: ApiUser::MAX });
        }
        Ok(Change::ApiUserCreated(user))
    }

    fn decide_create_destination(&self, destination: Destination, rules: UrlRules) -> Result<Change, Refusal> {
        self.must_have_account(&destination.account)?;
        let taken = self.destination_ever(&destination.id).is_some();
        self.must_be_new(taken, EntityKind::Destination, destination.id.as_str())?;
        self.check_references(&destination)?;
        check_destination(&destination, rules)?;
        Ok(Change::DestinationCreated(destination))
    }

    fn decide_update_destination(&self, destination: Destination, rules: UrlRules) -> Result<Change, Refusal> {
        self.must_have_destination(&destination.account, &destination.id)?;
        self.check_references(&destination)?;
        check_destination(&destination, rules)?;
        Ok(Change::DestinationUpdated(destination))
    }

    fn decide_delete_token(&self, account: AccountId, id: TokenId) -> Result<Change, Refusal> {
        self.must_have_token(&account, &id)?;
        let user = self.account(&account).and_then(|entry| {
            entry.destinations().find(|d| !d.deleted && d.token.as_ref() == Some(&id)).map(|d| d.id.to_string())
        });
        match user {
            Some(by) => {
                let (kind, user) = (EntityKind::Token, EntityKind::Destination);
                Err(Refusal::InUse { kind, id: id.to_string(), user, by })
            }
            None => Ok(Change::TokenDeleted(account, id)),
        }
    }

    /// Checks that the entities that a destination names exist.
    fn check_references(&self, destination: &Destination) -> Result<(), Refusal> {
        match &destination.scope {
            Scope::Account => {}
            Scope::Client(client) => self.must_have_client(&destination.account, client)?,
            Scope::Interface(interface) => self.must_have_interface(&destination.account, interface)?,
        }
        let Some(id) = &destination.token else { return Ok(()) };
        self.must_have_token(&destination.account, id)?;
        let is_hmac = self.token(&destination.account, id).is_some_and(|t| t.algorithm == Algorithm::HmacSha256);
        if destination.request.compatibility_signature.is_some() && !is_hmac {
            let problem = "is an HMAC, and token_id names an ed25519 token; assign an hmac-sha256 token".to_owned();
            return Err(Refusal::Invalid { field: "compatibility_signature", problem });
        }
        Ok(())
    }

    pub(super) fn must_be_new(&self, taken: bool, kind: EntityKind, id: &str) -> Result<(), Refusal> {
        if taken { Err(Refusal::AlreadyExists { kind, id: id.to_owned() }) } else { Ok(()) }
    }

    pub(super) fn must_have_account(&self, id: &AccountId) -> Result<(), Refusal> {
        must_exist(self.account(id).is_some(), EntityKind::Account, id.as_str())
    }

    pub(super) fn must_have_client(&self, account: &AccountId, id: &ClientId) -> Result<(), Refusal> {
        self.must_have_account(account)?;
        must_exist(self.client(account, id).is_some(), EntityKind::Client, id.as_str())
    }

    fn must_have_api_user(&self, account: &AccountId, id: &ApiUserId) -> Result<(), Refusal> {
        self.must_have_account(account)?;
        must_exist(self.api_user(account, id).is_some(), EntityKind::ApiUser, id.as_str())
    }

    fn must_have_interface(&self, account: &AccountId, id: &InterfaceId) -> Result<(), Refusal> {
        self.must_have_account(account)?;
        must_exist(self.interface(account, id).is_some(), EntityKind::Interface, id.as_str())
    }

    fn must_have_destination(&self, account: &AccountId, id: &DestinationId) -> Result<(), Refusal> {
        self.must_have_account(account)?;
        let exists = self.destination(id).is_some_and(|destination| destination.account == *account);
        must_exist(exists, EntityKind::Destination, id.as_str())
    }

    fn must_have_token(&self, account: &AccountId, id: &TokenId) -> Result<(), Refusal> {
        self.must_have_account(account)?;
        must_exist(self.token(account, id).is_some(), EntityKind::Token, id.as_str())
    }
}

fn must_exist(exists: bool, kind: EntityKind, id: &str) -> Result<(), Refusal> {
    if exists { Ok(()) } else { Err(Refusal::NotFound { kind, id: id.to_owned() }) }
}
