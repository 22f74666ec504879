//! API users: the methods that create, show, list, change and delete them.

use api::{
    registry::api_user_to_api,
    request::{Violations, given},
    status::refusal,
};
use domain::{
    AccountId, ApiUserId, Registry,
    registry::{AccountEntry, ApiUser, Command},
};
use tonic::{Request, Response, Status};

use super::{
    Answer, RegistryService,
    confirmations::unconfirmed,
    lookup::{account_of, api_user_id, api_user_of, listed},
    mask::Mask,
};
use crate::call::caller::Caller;

pub(super) const FIELDS: [&str; 3] = ["name", "email", "role"];

impl RegistryService {
    pub(super) async fn create_api_user(
        &self,
        caller: Caller,
        request: Request<api::CreateApiUserRequest>,
    ) -> Answer<api::ApiUser> {
        let requested = given("api_user", request.into_inner().api_user)?;
        let mut fields = Violations::default();
        fields.note(caller.account(&requested.account_id));
        let user = fields.note(api::registry::api_user(requested).map_err(|e| refusal(&e)));
        let user = fields.end(|| user)?;
        let (account, id) = (user.account.clone(), user.id.clone());
        let create = |registry: &Registry| {
            let unconfirmed = unconfirmed(&caller, registry, &user.account, [&user.email], [])?;
            Ok(Command::CreateApiUser(ApiUser { unconfirmed, ..user }))
        };
        let registry = self.changes.make(&caller, create).await?;
        Ok(Response::new(user_to_api(account_of(&registry, &account)?, api_user_of(&registry, &account, &id)?)))
    }

    pub(super) async fn get_api_user(
        &self,
        caller: Caller,
        request: Request<api::GetApiUserRequest>,
    ) -> Answer<api::ApiUser> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let (account, id) = caller.account_and(&request.account_id, api_user_id(&request.api_user_id))?;
        Ok(Response::new(user_to_api(account_of(&registry, &account)?, api_user_of(&registry, &account, &id)?)))
    }

    pub(super) async fn list_api_users(
        &self,
        caller: Caller,
        request: Request<api::ListApiUsersRequest>,
    ) -> Answer<api::ListApiUsersResponse> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let part = (request.page_size, request.page_token.as_str());
        let (entry, listing) = listed(&caller, &registry, &request.account_id, ("api_users", ()), part)?;
        let existing = entry.api_users().filter(|user| !user.deleted);
        let (api_users, next_page_token) =
            listing.cut(existing, |user| user.id.as_str(), |user| user_to_api(entry, user));
        Ok(Response::new(api::ListApiUsersResponse { api_users, next_page_token }))
    }

    pub(super) async fn update_api_user(
        &self,
        caller: Caller,
        request: Request<api::UpdateApiUserRequest>,
    ) -> Answer<api::ApiUser> {
        let request = request.into_inner();
        let new = given("api_user", request.api_user)?;
        let mut fields = Violations::default();
        let mask = Mask::read(&mut fields, request.update_mask.as_ref(), &FIELDS);
        let named = fields.note(caller.account_and(&new.account_id, api_user_id(&new.api_user_id)));
        let (account, id) = fields.end(|| named)?;
        let update = |registry: &Registry| {
            let merged = merged(registry, &account, &id, new, mask)?;
            let (set, kept) =
                if mask.names("email") { (Some(&merged.email), None) } else { (None, Some(&merged.email)) };
            let unconfirmed = unconfirmed(&caller, registry, &account, set, kept)?;
            Ok(Command::UpdateApiUser(ApiUser { unconfirmed, ..merged }))
        };
        let registry = self.changes.make(&caller, update).await?;
        Ok(Response::new(user_to_api(account_of(&registry, &account)?, api_user_of(&registry, &account, &id)?)))
    }

    pub(super) async fn delete_api_user(
        &self,
        caller: Caller,
        request: Request<api::DeleteApiUserRequest>,
    ) -> Answer<api::DeleteApiUserResponse> {
        let r = request.get_ref();
        let (account, id) = caller.account_and(&r.account_id, api_user_id(&r.api_user_id))?;
        self.changes.make(&caller, |_| Ok(Command::DeleteApiUser(account, id))).await?;
        Ok(Response::new(api::DeleteApiUserResponse {}))
    }
}

/// Merges the API messages and checks the result, because the domain has no value for a missing role.
fn merged(
    registry: &Registry,
    account: &AccountId,
    id: &ApiUserId,
    new: api::ApiUser,
    mask: Mask<'_>,
) -> Result<ApiUser, Status> {
    let now = api_user_to_api(api_user_of(registry, account, id)?);
    let merged = api::ApiUser {
        name: mask.pick("name", new.name, now.name),
        email: mask.pick("email", new.email, now.email),
        role: mask.pick("role", new.role, now.role),
        ..now
    };
    api::registry::api_user(merged).map_err(|e| refusal(&e))
}

fn user_to_api(entry: &AccountEntry, user: &ApiUser) -> api::ApiUser {
    api::ApiUser { unconfirmed_emails: entry.unconfirmed([&user.email]), ..api_user_to_api(user) }
}
