//! `leadline.v1.AccessService`: creates, lists and revokes API keys.

use api::{
    access_service_server::AccessServiceServer,
    keys::{key_to_api, scopes},
    registry::id,
    status::{denied, invalid, refusal},
    timestamp,
};
use crypto::ApiKey;
use domain::{
    AccountId, KeyId,
    registry::{self, Command, EntityKind, KeyHash, Refusal},
};
use jiff::Timestamp;
use journal::RegistryView;
use runtime::ErrorChain as _;
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use crate::{
    caller::Caller,
    page::{Page, Place},
    registry_change::Changes,
};

struct AccessService {
    changes: Changes,
    registry: RegistryView,
}

pub(crate) fn service(
    changes: Changes,
    registry: RegistryView,
) -> AccessServiceServer<impl api::access_service_server::AccessService> {
    AccessServiceServer::new(AccessService { changes, registry }).accept_compressed(CompressionEncoding::Gzip)
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl api::access_service_server::AccessService for AccessService {
    async fn create_key(&self, request: Request<api::CreateKeyRequest>) -> Answer<api::CreateKeyResponse> {
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let given = request.scopes.iter().map(|scope| api::Scope::try_from(*scope).unwrap_or_default());
        let out_of_range = || invalid("expires_at", "is out of range");
        let secret = ApiKey::generate().map_err(|e| {
            tracing::error!(error = e.chain(), "cannot get random numbers from the system");
            Status::internal("cannot get random numbers from the system")
        })?;
        let key = registry::ApiKey {
            id: KeyId::parse(secret.id()).map_err(|e| Status::internal(e.to_string()))?,
            account: account(&request.account_id)?,
            name: request.name,
            scopes: scopes(given).map_err(|e| refusal(&e))?,
            hash: KeyHash(secret.hash()),
            created_at: Timestamp::now(),
            created_by: caller.by(),
            expires_at: request.expires_at.map(|at| timestamp(&at).ok_or_else(out_of_range)).transpose()?,
            revoked_at: None,
        };
        caller.principal().may_make(&key).map_err(|e| denied(&e))?;
        let shown = key_to_api(&key);
        self.changes.make(&caller, |_| Ok(Command::CreateKey(key))).await?;
        Ok(Response::new(api::CreateKeyResponse { key: Some(shown), secret: secret.reveal() }))
    }

    async fn list_keys(&self, request: Request<api::ListKeysRequest>) -> Answer<api::ListKeysResponse> {
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let of = caller.narrowed(account(&request.account_id)?)?;
        let page = Page::of(request.page_size, &request.page_token, (&of, request.include_ended))?;
        let (registry, now) = (self.registry.snapshot(), Timestamp::now());
        let asked_for = registry.keys().filter(|key| {
            let owned = of.is_none() || key.account == of;
            owned && (request.include_ended || key.is_good(now).is_ok())
        });
        let mut found: Vec<_> = asked_for.map(|key| (place(key), key)).collect();
        found.sort_by(|(a, _), (b, _)| (b.at, &b.id).cmp(&(a.at, &a.id)));
        if let Some(after) = page.after() {
            found.retain(|(place, _)| (place.at, &place.id) < (after.at, &after.id));
        }
        let next_page_token = page.cut(&mut found, |(place, _)| place.clone());
        let keys = found.into_iter().map(|(_, key)| key_to_api(key)).collect();
        Ok(Response::new(api::ListKeysResponse { keys, next_page_token }))
    }

    async fn revoke_key(&self, request: Request<api::RevokeKeyRequest>) -> Answer<api::Key> {
        let caller = Caller::of(&request)?;
        let id = id("key_id", &request.get_ref().key_id, KeyId::parse).map_err(|e| refusal(&e))?;
        let before = self.changes.latest().await?;
        let key = find(&caller, &before, &id)?;
        if key.revoked_at.is_some() {
            journal::settled().await;
            return Ok(Response::new(key_to_api(key)));
        }
        let after = self.changes.make(&caller, |_| Ok(Command::RevokeKey(id.clone()))).await?;
        Ok(Response::new(key_to_api(find(&caller, &after, &id)?)))
    }

    async fn who_am_i(&self, request: Request<api::WhoAmIRequest>) -> Answer<api::Key> {
        Ok(Response::new(key_to_api(Caller::of(&request)?.principal().key())))
    }
}

fn account(text: &str) -> Result<Option<AccountId>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    id("account_id", text, AccountId::parse).map(Some).map_err(|e| refusal(&e))
}

/// A key that the caller may see; any other key looks as if it did not exist.
fn find<'a>(caller: &Caller, registry: &'a domain::Registry, id: &KeyId) -> Result<&'a registry::ApiKey, Status> {
    let key = registry.key(id).filter(|key| caller.may_see(key.account.as_ref()));
    let missing = || refusal(&Refusal::NotFound { kind: EntityKind::Key, id: id.to_string() });
    key.map(AsRef::as_ref).ok_or_else(missing)
}

fn place(key: &registry::ApiKey) -> Place {
    Place { at: key.created_at.as_microsecond(), id: key.id.to_string() }
}
