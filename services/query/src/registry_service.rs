//! `leadline.v1.RegistryService`: the configuration, changed by facts and read from the live view.
//!
//! A change is decided on a snapshot and appended with the version that the snapshot had, so of two that were decided
//! on the same snapshot one is refused. The answer comes once this process knows the change.

use std::{sync::Arc, time::Duration};

use crypto::{MasterKey, Secret};
use domain::{
    AccountId, DestinationId, InterfaceId, Registry, RegistryFact, TokenId,
    registry::{Account, Command, Destination, EntityKind, Refusal, SealedSecret, Token, TokenSecret, UrlRules},
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView};
use prost_types::FieldMask;
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wire::{
    api::{self, registry_service_server::RegistryServiceServer},
    registry_api::{self, id},
    status::{invalid, refusal},
};

use crate::actor;

/// How long an answer waits until this process knows the change; then it comes all the same.
const KNOWN_DEADLINE: Duration = Duration::from_secs(5);

struct RegistryService {
    journal: Journal,
    registry: RegistryView,
    key: MasterKey,
    rules: UrlRules,
}

pub(crate) fn service(
    journal: Journal,
    registry: RegistryView,
    key: MasterKey,
    rules: UrlRules,
) -> RegistryServiceServer<impl api::registry_service_server::RegistryService> {
    RegistryServiceServer::new(RegistryService { journal, registry, key, rules })
}

type Answer<T> = Result<Response<T>, Status>;

impl RegistryService {
    /// Decides on a snapshot, appends, and waits until the change is known; the registry with it.
    async fn change(
        &self,
        by: String,
        command: impl FnOnce(&Registry) -> Result<Command, Status>,
    ) -> Result<Arc<Registry>, Status> {
        let snapshot = self.registry.snapshot();
        let command = command(&snapshot)?;
        let decision = snapshot.decide(command, self.rules).map_err(|e| refusal(&e))?;
        let fact = RegistryFact { at: Timestamp::now(), by, change: decision.change };
        let sequence =
            self.journal.append_registry(&fact, decision.expected_version).await.map_err(|e| not_stored(&e))?;
        let known = self.registry.at_least(sequence, KNOWN_DEADLINE).await;
        known.ok_or_else(|| Status::unavailable("the change is stored, but not known here yet; read it again"))
    }

    fn sealed(&self, account: &AccountId, token: &TokenId, secret: &Secret) -> Result<SealedSecret, Status> {
        let sealed = self.key.seal(secret, &Token::belongs_to(account, token));
        sealed.map(SealedSecret).map_err(|e| no_randomness(&e))
    }
}

fn not_stored(error: &JournalError) -> Status {
    match error {
        JournalError::LostRace => Status::aborted(error.to_string()),
        _ => {
            tracing::warn!(error = error.chain(), "a change was not stored; its caller was told so");
            Status::unavailable(format!("the change was not stored: {error}"))
        }
    }
}

fn no_randomness(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "the system gives no random numbers");
    Status::internal("the system gives no random numbers")
}

fn missing(kind: EntityKind, id: &str) -> Status {
    refusal(&Refusal::NotFound { kind, id: id.to_owned() })
}

fn account_of<'a>(registry: &'a Registry, id: &AccountId) -> Result<&'a Arc<domain::registry::AccountEntry>, Status> {
    registry.account(id).ok_or_else(|| missing(EntityKind::Account, id.as_str()))
}

fn interface_of<'a>(
    registry: &'a Registry,
    account: &AccountId,
    id: &InterfaceId,
) -> Result<&'a domain::registry::Interface, Status> {
    account_of(registry, account)?;
    registry.interface(account, id).ok_or_else(|| missing(EntityKind::Interface, id.as_str()))
}

fn destination_of<'a>(
    registry: &'a Registry,
    account: &AccountId,
    id: &DestinationId,
) -> Result<&'a Destination, Status> {
    account_of(registry, account)?;
    let destination = registry.destination(id).filter(|destination| destination.account == *account);
    destination.map(Arc::as_ref).ok_or_else(|| missing(EntityKind::Destination, id.as_str()))
}

fn account_id(text: &str) -> Result<AccountId, Status> {
    id("account_id", text, AccountId::parse).map_err(|e| refusal(&e))
}

fn interface_id(text: &str) -> Result<InterfaceId, Status> {
    id("interface_id", text, InterfaceId::parse).map_err(|e| refusal(&e))
}

fn destination_id(text: &str) -> Result<DestinationId, Status> {
    id("destination_id", text, DestinationId::parse).map_err(|e| refusal(&e))
}

fn token_id(text: &str) -> Result<TokenId, Status> {
    id("token_id", text, TokenId::parse).map_err(|e| refusal(&e))
}

fn given<T>(field: &str, value: Option<T>) -> Result<T, Status> {
    value.ok_or_else(|| invalid(field, "is missing"))
}

/// Whether a mask names a field; an empty one names all.
fn names(mask: Option<&FieldMask>, field: &str) -> bool {
    mask.is_none_or(|mask| mask.paths.is_empty() || mask.paths.iter().any(|path| path == field))
}

fn check_mask(mask: Option<&FieldMask>, known: &[&str]) -> Result<(), Status> {
    let unknown = mask.and_then(|mask| mask.paths.iter().find(|path| !known.contains(&path.as_str())));
    match unknown {
        Some(path) => Err(invalid("update_mask", format!("{path:?} is none of {}", known.join(", ")))),
        None => Ok(()),
    }
}

const ACCOUNT_FIELDS: [&str; 3] = ["name", "brand", "notification_emails"];
const DESTINATION_FIELDS: [&str; 9] =
    ["name", "interface_id", "url", "event_types", "timeout", "concurrency", "retry_policy", "token_id", "enabled"];

fn merged_account(now: &Account, new: Account, mask: Option<&FieldMask>) -> Account {
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
        deleted: false,
    }
}

fn merged_destination(now: &Destination, new: Destination, mask: Option<&FieldMask>) -> Destination {
    let pick = |field| names(mask, field);
    let now = now.clone();
    Destination {
        account: now.account,
        id: now.id,
        name: if pick("name") { new.name } else { now.name },
        scope: if pick("interface_id") { new.scope } else { now.scope },
        url: if pick("url") { new.url } else { now.url },
        event_types: if pick("event_types") { new.event_types } else { now.event_types },
        timeout: if pick("timeout") { new.timeout } else { now.timeout },
        concurrency: if pick("concurrency") { new.concurrency } else { now.concurrency },
        retry: if pick("retry_policy") { new.retry } else { now.retry },
        token: if pick("token_id") { new.token } else { now.token },
        enabled: if pick("enabled") { new.enabled } else { now.enabled },
        deleted: false,
    }
}

#[tonic::async_trait]
impl api::registry_service_server::RegistryService for RegistryService {
    async fn create_account(&self, request: Request<api::CreateAccountRequest>) -> Answer<api::Account> {
        let by = actor(&request);
        let account =
            registry_api::account(given("account", request.into_inner().account)?).map_err(|e| refusal(&e))?;
        let id = account.id.clone();
        let registry = self.change(by, |_| Ok(Command::CreateAccount(account))).await?;
        Ok(Response::new(registry_api::account_to_api(&account_of(&registry, &id)?.account)))
    }

    async fn get_account(&self, request: Request<api::GetAccountRequest>) -> Answer<api::Account> {
        let registry = self.registry.snapshot();
        let entry = account_of(&registry, &account_id(&request.get_ref().account_id)?)?;
        Ok(Response::new(registry_api::account_to_api(&entry.account)))
    }

    async fn list_accounts(&self, _: Request<api::ListAccountsRequest>) -> Answer<api::ListAccountsResponse> {
        let registry = self.registry.snapshot();
        let mut accounts: Vec<_> =
            registry.accounts().map(|entry| registry_api::account_to_api(&entry.account)).collect();
        accounts.sort_by(|a, b| a.account_id.cmp(&b.account_id));
        Ok(Response::new(api::ListAccountsResponse { accounts }))
    }

    async fn update_account(&self, request: Request<api::UpdateAccountRequest>) -> Answer<api::Account> {
        let by = actor(&request);
        let request = request.into_inner();
        let mask = request.update_mask.as_ref();
        check_mask(mask, &ACCOUNT_FIELDS)?;
        let new = registry_api::account(given("account", request.account)?).map_err(|e| refusal(&e))?;
        let id = new.id.clone();
        let update = |registry: &Registry| {
            let now = &account_of(registry, &new.id)?.account;
            Ok(Command::UpdateAccount(merged_account(now, new, mask)))
        };
        let registry = self.change(by, update).await?;
        Ok(Response::new(registry_api::account_to_api(&account_of(&registry, &id)?.account)))
    }

    async fn delete_account(&self, request: Request<api::DeleteAccountRequest>) -> Answer<api::DeleteAccountResponse> {
        let id = account_id(&request.get_ref().account_id)?;
        self.change(actor(&request), |_| Ok(Command::DeleteAccount(id))).await?;
        Ok(Response::new(api::DeleteAccountResponse {}))
    }

    async fn create_interface(&self, request: Request<api::CreateInterfaceRequest>) -> Answer<api::Interface> {
        let by = actor(&request);
        let interface =
            registry_api::interface(given("interface", request.into_inner().interface)?).map_err(|e| refusal(&e))?;
        let (account, id) = (interface.account.clone(), interface.id.clone());
        let registry = self.change(by, |_| Ok(Command::CreateInterface(interface))).await?;
        Ok(Response::new(registry_api::interface_to_api(interface_of(&registry, &account, &id)?)))
    }

    async fn get_interface(&self, request: Request<api::GetInterfaceRequest>) -> Answer<api::Interface> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let (account, id) = (account_id(&request.account_id)?, interface_id(&request.interface_id)?);
        Ok(Response::new(registry_api::interface_to_api(interface_of(&registry, &account, &id)?)))
    }

    async fn list_interfaces(
        &self,
        request: Request<api::ListInterfacesRequest>,
    ) -> Answer<api::ListInterfacesResponse> {
        let registry = self.registry.snapshot();
        let entry = account_of(&registry, &account_id(&request.get_ref().account_id)?)?;
        let interfaces = entry.interfaces().filter(|i| !i.deleted).map(registry_api::interface_to_api).collect();
        Ok(Response::new(api::ListInterfacesResponse { interfaces }))
    }

    async fn delete_interface(
        &self,
        request: Request<api::DeleteInterfaceRequest>,
    ) -> Answer<api::DeleteInterfaceResponse> {
        let r = request.get_ref();
        let (account, id) = (account_id(&r.account_id)?, interface_id(&r.interface_id)?);
        self.change(actor(&request), |_| Ok(Command::DeleteInterface(account, id))).await?;
        Ok(Response::new(api::DeleteInterfaceResponse {}))
    }

    async fn create_destination(&self, request: Request<api::CreateDestinationRequest>) -> Answer<api::Destination> {
        let by = actor(&request);
        let id = DestinationId::parse(&format!("dst_{}", Uuid::now_v7().simple()))
            .map_err(|e| Status::internal(e.to_string()))?;
        let new = given("destination", request.into_inner().destination)?;
        let destination = registry_api::destination(new, id.clone()).map_err(|e| refusal(&e))?;
        let account = destination.account.clone();
        let registry = self.change(by, |_| Ok(Command::CreateDestination(destination))).await?;
        Ok(Response::new(registry_api::destination_to_api(destination_of(&registry, &account, &id)?)))
    }

    async fn get_destination(&self, request: Request<api::GetDestinationRequest>) -> Answer<api::Destination> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let (account, id) = (account_id(&request.account_id)?, destination_id(&request.destination_id)?);
        Ok(Response::new(registry_api::destination_to_api(destination_of(&registry, &account, &id)?)))
    }

    async fn list_destinations(
        &self,
        request: Request<api::ListDestinationsRequest>,
    ) -> Answer<api::ListDestinationsResponse> {
        let registry = self.registry.snapshot();
        let entry = account_of(&registry, &account_id(&request.get_ref().account_id)?)?;
        let existing = entry.destinations().filter(|destination| !destination.deleted);
        let destinations = existing.map(|d| registry_api::destination_to_api(d)).collect();
        Ok(Response::new(api::ListDestinationsResponse { destinations }))
    }

    async fn update_destination(&self, request: Request<api::UpdateDestinationRequest>) -> Answer<api::Destination> {
        let by = actor(&request);
        let request = request.into_inner();
        let mask = request.update_mask.as_ref();
        check_mask(mask, &DESTINATION_FIELDS)?;
        let new = given("destination", request.destination)?;
        let (account, id) = (account_id(&new.account_id)?, destination_id(&new.destination_id)?);
        let new = registry_api::destination(new, id.clone()).map_err(|e| refusal(&e))?;
        let update = |registry: &Registry| {
            let now = destination_of(registry, &account, &id)?;
            Ok(Command::UpdateDestination(merged_destination(now, new, mask)))
        };
        let registry = self.change(by, update).await?;
        Ok(Response::new(registry_api::destination_to_api(destination_of(&registry, &account, &id)?)))
    }

    async fn enable_destination(&self, request: Request<api::EnableDestinationRequest>) -> Answer<api::Destination> {
        let r = request.get_ref();
        let (account, id) = (account_id(&r.account_id)?, destination_id(&r.destination_id)?);
        let command = Command::EnableDestination(account.clone(), id.clone());
        let registry = self.change(actor(&request), |_| Ok(command)).await?;
        Ok(Response::new(registry_api::destination_to_api(destination_of(&registry, &account, &id)?)))
    }

    async fn disable_destination(&self, request: Request<api::DisableDestinationRequest>) -> Answer<api::Destination> {
        let r = request.get_ref();
        let (account, id) = (account_id(&r.account_id)?, destination_id(&r.destination_id)?);
        let command = Command::DisableDestination(account.clone(), id.clone());
        let registry = self.change(actor(&request), |_| Ok(command)).await?;
        Ok(Response::new(registry_api::destination_to_api(destination_of(&registry, &account, &id)?)))
    }

    async fn delete_destination(
        &self,
        request: Request<api::DeleteDestinationRequest>,
    ) -> Answer<api::DeleteDestinationResponse> {
        let r = request.get_ref();
        let (account, id) = (account_id(&r.account_id)?, destination_id(&r.destination_id)?);
        self.change(actor(&request), |_| Ok(Command::DeleteDestination(account, id))).await?;
        Ok(Response::new(api::DeleteDestinationResponse {}))
    }

    async fn create_token(&self, request: Request<api::CreateTokenRequest>) -> Answer<api::CreateTokenResponse> {
        let by = actor(&request);
        let request = request.into_inner();
        let account = account_id(&request.account_id)?;
        let id =
            TokenId::parse(&format!("tok_{}", Uuid::now_v7().simple())).map_err(|e| Status::internal(e.to_string()))?;
        let secret = Secret::generate().map_err(|e| no_randomness(&e))?;
        let sealed = self.sealed(&account, &id, &secret)?;
        let secrets = vec![TokenSecret { sealed, created_at: Timestamp::now(), expires_at: None }];
        let token = Token { account, id, name: request.name, secrets, deleted: false };
        let shown = registry_api::token_to_api(&token);
        self.change(by, |_| Ok(Command::CreateToken(token))).await?;
        Ok(Response::new(api::CreateTokenResponse { token: Some(shown), secret: secret.reveal() }))
    }

    async fn list_tokens(&self, request: Request<api::ListTokensRequest>) -> Answer<api::ListTokensResponse> {
        let registry = self.registry.snapshot();
        let entry = account_of(&registry, &account_id(&request.get_ref().account_id)?)?;
        let tokens = entry.tokens().filter(|token| !token.deleted).map(|t| registry_api::token_to_api(t)).collect();
        Ok(Response::new(api::ListTokensResponse { tokens }))
    }

    async fn assign_token(&self, request: Request<api::AssignTokenRequest>) -> Answer<api::Destination> {
        let r = request.get_ref();
        let (account, id) = (account_id(&r.account_id)?, destination_id(&r.destination_id)?);
        let token = if r.token_id.is_empty() { None } else { Some(token_id(&r.token_id)?) };
        let assign = |registry: &Registry| {
            let now = destination_of(registry, &account, &id)?.clone();
            Ok(Command::UpdateDestination(Destination { token, ..now }))
        };
        let registry = self.change(actor(&request), assign).await?;
        Ok(Response::new(registry_api::destination_to_api(destination_of(&registry, &account, &id)?)))
    }

    async fn delete_token(&self, request: Request<api::DeleteTokenRequest>) -> Answer<api::DeleteTokenResponse> {
        let r = request.get_ref();
        let (account, id) = (account_id(&r.account_id)?, token_id(&r.token_id)?);
        self.change(actor(&request), |_| Ok(Command::DeleteToken(account, id))).await?;
        Ok(Response::new(api::DeleteTokenResponse {}))
    }
}
