//! Accounts.

use domain::{
    Registry,
    registry::{Account, Command},
};
use prost_types::FieldMask;
use tonic::{Request, Response};
use wire::{
    api,
    registry_api::{self, account_to_api},
    status::refusal,
};

use super::{
    Answer, RegistryService,
    parts::{account_of, check_mask, given, names},
};
use crate::{caller::Caller, listing::Listing};

const FIELDS: [&str; 5] = ["name", "brand", "notification_emails", "api_user_emails", "routing"];

impl RegistryService {
    pub(super) async fn create_account(
        &self,
        caller: Caller,
        request: Request<api::CreateAccountRequest>,
    ) -> Answer<api::Account> {
        let asked = given("account", request.into_inner().account)?;
        caller.account(&asked.account_id)?;
        let account = registry_api::account(asked).map_err(|e| refusal(&e))?;
        let id = account.id.clone();
        let registry = self.changes.make(&caller, |_| Ok(Command::CreateAccount(account))).await?;
        Ok(Response::new(account_to_api(&account_of(&registry, &id)?.account)))
    }

    pub(super) async fn get_account(
        &self,
        caller: Caller,
        request: Request<api::GetAccountRequest>,
    ) -> Answer<api::Account> {
        let registry = self.registry.snapshot();
        let entry = account_of(&registry, &caller.account(&request.get_ref().account_id)?)?;
        Ok(Response::new(account_to_api(&entry.account)))
    }

    pub(super) async fn list_accounts(
        &self,
        caller: Caller,
        request: Request<api::ListAccountsRequest>,
    ) -> Answer<api::ListAccountsResponse> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let listing = Listing::of(request.page_size, &request.page_token, "accounts")?;
        let seen = registry.accounts().filter(|entry| caller.may_see(Some(&entry.account.id)));
        let mut seen: Vec<_> = seen.map(|entry| &entry.account).collect();
        seen.sort_by(|a, b| a.id.cmp(&b.id));
        let (accounts, next_page_token) = listing.cut(seen.into_iter(), |account| account.id.as_str(), account_to_api);
        Ok(Response::new(api::ListAccountsResponse { accounts, next_page_token }))
    }

    pub(super) async fn update_account(
        &self,
        caller: Caller,
        request: Request<api::UpdateAccountRequest>,
    ) -> Answer<api::Account> {
        let request = request.into_inner();
        let mask = request.update_mask.as_ref();
        check_mask(mask, &FIELDS)?;
        let asked = given("account", request.account)?;
        caller.account(&asked.account_id)?;
        let new = registry_api::account(asked).map_err(|e| refusal(&e))?;
        let id = new.id.clone();
        let update = |registry: &Registry| {
            let now = &account_of(registry, &new.id)?.account;
            Ok(Command::UpdateAccount(merged(now, new, mask)))
        };
        let registry = self.changes.make(&caller, update).await?;
        Ok(Response::new(account_to_api(&account_of(&registry, &id)?.account)))
    }

    pub(super) async fn delete_account(
        &self,
        caller: Caller,
        request: Request<api::DeleteAccountRequest>,
    ) -> Answer<api::DeleteAccountResponse> {
        let id = caller.account(&request.get_ref().account_id)?;
        self.changes.make(&caller, |_| Ok(Command::DeleteAccount(id))).await?;
        Ok(Response::new(api::DeleteAccountResponse {}))
    }
}

fn merged(now: &Account, new: Account, mask: Option<&FieldMask>) -> Account {
    let pick = |field| names(mask, field);
    Account {
        id: now.id.clone(),
        name: if pick("name") { new.name } else { now.name.clone() },
        brand: if pick("brand") { new.brand } else { now.brand.clone() },
        notification_emails: if pick("notification_emails") {
            new.notification_emails
        } else {
            now.notification_emails.clone()
        },
        api_user_emails: if pick("api_user_emails") { new.api_user_emails } else { now.api_user_emails.clone() },
        routing: if pick("routing") { new.routing } else { now.routing },
        deleted: false,
    }
}
