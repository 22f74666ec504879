//! Accounts: the methods that create, show, list, change and delete them.

use api::{
    registry::account_to_api,
    request::{Violations, given},
    status::refusal,
};
use domain::{
    Registry,
    registry::{Account, AccountEntry, Command, Portal},
};
use tonic::{Request, Response, Status};

use super::{Answer, RegistryService, confirmations::unconfirmed, lookup::account_of, mask::Mask};
use crate::call::{caller::Caller, listing::Listing};

pub(super) const FIELDS: [&str; 8] = [
    "name",
    "brand",
    "notification_emails",
    "api_user_emails",
    "routing",
    "keep_history",
    "portal_color",
    "portal_logo",
];

impl RegistryService {
    pub(super) async fn create_account(
        &self,
        caller: Caller,
        request: Request<api::CreateAccountRequest>,
    ) -> Answer<api::Account> {
        let requested = given("account", request.into_inner().account)?;
        let account = read(&caller, requested, Violations::default())?;
        let id = account.id.clone();
        let registry = self.changes.make(&caller, |_| Ok(Command::CreateAccount(account))).await?;
        Ok(Response::new(entry_to_api(account_of(&registry, &id)?)))
    }

    pub(super) async fn get_account(
        &self,
        caller: Caller,
        request: Request<api::GetAccountRequest>,
    ) -> Answer<api::Account> {
        let registry = self.registry.snapshot();
        let entry = account_of(&registry, &caller.account(&request.get_ref().account_id)?)?;
        Ok(Response::new(entry_to_api(entry)))
    }

    pub(super) async fn list_accounts(
        &self,
        caller: Caller,
        request: Request<api::ListAccountsRequest>,
    ) -> Answer<api::ListAccountsResponse> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let mut fields = Violations::default();
        let listing = Listing::of(&mut fields, request.page_size, &request.page_token, Some("accounts"));
        let listing = fields.end(|| listing)?;
        let seen = registry.accounts().filter(|entry| caller.may_see(Some(&entry.account.id)));
        let mut seen: Vec<_> = seen.collect();
        seen.sort_by(|a, b| a.account.id.cmp(&b.account.id));
        let (accounts, next_page_token) =
            listing.cut(seen.into_iter(), |entry| entry.account.id.as_str(), |entry| entry_to_api(entry));
        Ok(Response::new(api::ListAccountsResponse { accounts, next_page_token }))
    }

    pub(super) async fn update_account(
        &self,
        caller: Caller,
        request: Request<api::UpdateAccountRequest>,
    ) -> Answer<api::Account> {
        let request = request.into_inner();
        let mut fields = Violations::default();
        let mask = Mask::read(&mut fields, request.update_mask.as_ref(), &FIELDS);
        let new = read(&caller, given("account", request.account)?, fields)?;
        let id = new.id.clone();
        let update = |registry: &Registry| {
            let now = &account_of(registry, &new.id)?.account;
            vouched(&caller, registry, merged(now, new, mask), mask).map(Command::UpdateAccount)
        };
        let registry = self.changes.make(&caller, update).await?;
        Ok(Response::new(entry_to_api(account_of(&registry, &id)?)))
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

fn read(caller: &Caller, given: api::Account, mut fields: Violations) -> Result<Account, Status> {
    fields.note(caller.account(&given.account_id));
    let account = fields.note(api::registry::account(given).map_err(|e| refusal(&e)));
    fields.end(|| account)
}

fn merged(now: &Account, new: Account, mask: Mask<'_>) -> Account {
    let now = now.clone();
    Account {
        id: now.id,
        name: mask.pick("name", new.name, now.name),
        brand: mask.pick("brand", new.brand, now.brand),
        notification_emails: mask.pick("notification_emails", new.notification_emails, now.notification_emails),
        api_user_emails: mask.pick("api_user_emails", new.api_user_emails, now.api_user_emails),
        routing: mask.pick("routing", new.routing, now.routing),
        keep_history: mask.pick("keep_history", new.keep_history, now.keep_history),
        portal: Portal {
            color: mask.pick("portal_color", new.portal.color, now.portal.color),
            logo: mask.pick("portal_logo", new.portal.logo, now.portal.logo),
        },
        unconfirmed: vec![],
        deleted: false,
    }
}

/// The account, with the list of its addresses that have to be confirmed.
fn vouched(caller: &Caller, registry: &Registry, account: Account, mask: Mask<'_>) -> Result<Account, Status> {
    let lists = [("notification_emails", &account.notification_emails), ("api_user_emails", &account.api_user_emails)];
    let (set, kept): (Vec<_>, Vec<_>) = lists.into_iter().partition(|(field, _)| mask.names(field));
    let emails = |lists: Vec<(&str, &Vec<String>)>| lists.into_iter().flat_map(|(_, list)| list.clone()).collect();
    let (set, kept): (Vec<String>, Vec<String>) = (emails(set), emails(kept));
    let unconfirmed = unconfirmed(caller, registry, &account.id, &set, &kept)?;
    Ok(Account { unconfirmed, ..account })
}

fn entry_to_api(entry: &AccountEntry) -> api::Account {
    api::Account { unconfirmed_emails: entry.unconfirmed(entry.account.emails()), ..account_to_api(&entry.account) }
}
