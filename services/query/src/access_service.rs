//! `leadline.v1.AccessService`: creates, lists and revokes API keys, and makes links that log people in to the console.

use std::time::Duration;

use access::{Sessions, bounds_of};
use api::{
    access_service_server::AccessServiceServer,
    keys::{key_to_api, scopes},
    request::{Violations, WrongField, line, optional, required, time},
    status::{denied, refusal},
    timestamp_to_api,
};
use console_http::links::{self, SESSION_LIFETIME, after};
use crypto::ApiKey;
use domain::{
    AccountId, ClientId, KeyId, Registry,
    access::{Bounds, Rule, Scopes},
    registry::{self, Command, EntityKind, KeyHash, Refusal},
};
use jiff::Timestamp;
use journal::RegistryView;
use read_model::page::Place;
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use crate::{
    call::{
        caller::{Caller, MAX_NAME},
        errors::{impossible, no_randomness, unknown_configuration},
        listing,
    },
    registry_change::Changes,
};

/// How long a portal session lasts if the request sets no lifetime.
const DEFAULT_PORTAL_LIFETIME: Duration = Duration::from_secs(60 * 60);

struct AccessService {
    changes: Changes,
    registry: RegistryView,
    sessions: Sessions,
}

pub(crate) fn service(
    changes: Changes,
    registry: RegistryView,
    sessions: Sessions,
) -> AccessServiceServer<impl api::access_service_server::AccessService> {
    AccessServiceServer::new(AccessService { changes, registry, sessions }).accept_compressed(CompressionEncoding::Gzip)
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl api::access_service_server::AccessService for AccessService {
    async fn create_key(&self, request: Request<api::CreateKeyRequest>) -> Answer<api::CreateKeyResponse> {
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let mut fields = Violations::default();
        let account = fields.note(optional("account_id", &request.account_id, AccountId::parse));
        let client = fields.note(optional("client_id", &request.client_id, ClientId::parse));
        let scopes = fields.note(scopes_of(&request.scopes));
        let expires_at = fields.note(time("expires_at", request.expires_at.as_ref()));
        let (account, client, scopes, expires_at) = fields.end(|| Some((account?, client?, scopes?, expires_at?)))?;
        let secret = ApiKey::generate().map_err(|e| no_randomness(&e))?;
        let key = registry::ApiKey {
            id: KeyId::parse(secret.id()).map_err(impossible)?,
            account,
            client,
            name: request.name,
            scopes,
            hash: KeyHash(secret.hash()),
            created_at: Timestamp::now(),
            created_by: caller.by(),
            expires_at,
            revoked_at: None,
        };
        caller.principal().may_make(&key).map_err(|e| denied(&e))?;
        let shown = key_to_api(&key);
        self.changes.make(&caller, |_| Ok(Command::CreateKey(key))).await?;
        Ok(Response::new(api::CreateKeyResponse { key: Some(shown), secret: secret.reveal() }))
    }

    async fn list_keys(&self, request: Request<api::ListKeysRequest>) -> Answer<api::ListKeysResponse> {
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let mut fields = Violations::default();
        let of = fields.note(caller.narrowed_account(&request.account_id));
        let filter = of.as_ref().map(|of| (of, request.include_ended));
        let page = listing::page(&mut fields, request.page_size, &request.page_token, filter);
        let (of, page) = fields.end(|| of.zip(page))?;
        let (registry, now) = (self.registry.snapshot(), Timestamp::now());
        let visible = registry.keys().filter(|key| {
            let owned = of.is_none() || key.account == of;
            owned && (request.include_ended || key.is_good(now).is_ok())
        });
        let mut found: Vec<_> = visible.map(|key| (place(key), key)).collect();
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
        let id = required("key_id", &request.get_ref().key_id, KeyId::parse)?;
        let before = self.changes.latest().await?;
        let key = find(&caller, &before, &id)?;
        if key.revoked_at.is_some() {
            journal::wait_propagation().await;
            return Ok(Response::new(key_to_api(key)));
        }
        let after = self.changes.make(&caller, |_| Ok(Command::RevokeKey(id.clone()))).await?;
        Ok(Response::new(key_to_api(find(&caller, &after, &id)?)))
    }

    async fn who_am_i(&self, request: Request<api::WhoAmIRequest>) -> Answer<api::Key> {
        Ok(Response::new(key_to_api(Caller::of(&request)?.principal().key())))
    }

    async fn create_console_link(&self, request: Request<api::CreateConsoleLinkRequest>) -> Answer<api::ConsoleLink> {
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let bounds = bounds_of(caller.principal(), person(request.person)?, after(SESSION_LIFETIME));
        Ok(Response::new(self.link(&caller, bounds)))
    }

    async fn create_portal_session(
        &self,
        request: Request<api::CreatePortalSessionRequest>,
    ) -> Answer<api::ConsoleLink> {
        let (caller, request) = (Caller::of(&request)?, request.into_inner());
        let principal = caller.principal();
        principal.may_leave_session().map_err(|e| denied(&e))?;
        let mut fields = Violations::default();
        let account = fields.note(caller.account(&request.account_id));
        let client = fields.note(optional("client_id", &request.client_id, ClientId::parse));
        let scopes = fields.note(scopes_of(&request.scopes));
        if scopes.is_some_and(|scopes| scopes.is_empty()) {
            fields.wrong("scopes", "are missing; give at least one of publish, read, operate and admin");
        }
        let lifetime = fields.note(lifetime(request.lifetime));
        let person = fields.note(person(request.person));
        let (account, client, scopes, lifetime, person) =
            fields.end(|| Some((account?, client?, scopes?, lifetime?, person?)))?;
        let registry = self.registry.up_to_date().await.map_err(unknown_configuration)?;
        must_exist(&registry, &account, client.as_ref())?;
        for scope in scopes.named() {
            principal.may(Rule::Needs(scope)).map_err(|e| denied(&e))?;
        }
        let until = after(lifetime);
        let person = match person {
            name if name.is_empty() => {
                format!("the portal of {}", client.as_ref().map_or(account.as_str(), ClientId::as_str))
            }
            name => name,
        };
        let own = bounds_of(principal, String::new(), until);
        let bounds = Bounds { account: Some(account), client, scopes, person, is_portal: true, ..own };
        Ok(Response::new(self.link(&caller, bounds)))
    }
}

impl AccessService {
    fn link(&self, caller: &Caller, bounds: Bounds) -> api::ConsoleLink {
        let session_expires_at = Some(timestamp_to_api(bounds.until));
        tracing::info!(by = caller.by(), portal = bounds.is_portal, "made a log-in link for the console");
        let link = links::link(&self.sessions, caller.principal().holder(), bounds);
        api::ConsoleLink { url: link.url, expires_at: Some(timestamp_to_api(link.expires_at)), session_expires_at }
    }
}

/// How long a portal session lasts.
fn lifetime(given: Option<prost_types::Duration>) -> Result<Duration, WrongField> {
    const LIMITS: std::ops::RangeInclusive<Duration> = Duration::from_secs(60)..=SESSION_LIFETIME;
    let Some(given) = given else { return Ok(DEFAULT_PORTAL_LIFETIME) };
    let lifetime = Duration::try_from(given).ok().filter(|lifetime| LIMITS.contains(lifetime));
    lifetime.ok_or_else(|| WrongField::new("lifetime", "is not from 60s to 43200s"))
}

fn person(name: String) -> Result<String, WrongField> {
    line("person", &name, MAX_NAME).map(|()| name)
}

fn scopes_of(given: &[i32]) -> Result<Scopes, Status> {
    scopes(given.iter().map(|scope| api::Scope::try_from(*scope).unwrap_or_default())).map_err(|e| refusal(&e))
}

fn must_exist(registry: &Registry, account: &AccountId, client: Option<&ClientId>) -> Result<(), Status> {
    let missing = |kind, id: &str| refusal(&Refusal::NotFound { kind, id: id.to_owned() });
    if registry.account(account).is_none() {
        return Err(missing(EntityKind::Account, account.as_str()));
    }
    match client {
        Some(client) if registry.client(account, client).is_none() => Err(missing(EntityKind::Client, client.as_str())),
        _ => Ok(()),
    }
}

/// A key that the caller may see. For any other key, the error is the same as for a key that does not exist.
fn find<'a>(caller: &Caller, registry: &'a domain::Registry, id: &KeyId) -> Result<&'a registry::ApiKey, Status> {
    let key = registry.key(id).filter(|key| caller.may_see(key.account.as_ref()));
    let missing = || refusal(&Refusal::NotFound { kind: EntityKind::Key, id: id.to_string() });
    key.map(AsRef::as_ref).ok_or_else(missing)
}

fn place(key: &registry::ApiKey) -> Place {
    Place { at: key.created_at.as_microsecond(), id: key.id.to_string() }
}
