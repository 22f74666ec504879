//! `leadline.v1.RegistryService`: the configuration, changed by facts and read from the live view.
//!
//! A change is decided on a snapshot and appended with the version that the snapshot had, so of two that were decided
//! on the same snapshot one is refused. The answer comes once this process knows the change.

use std::{sync::Arc, time::Duration};

use crypto::{MasterKey, Secret, Signer};
use domain::{
    AccountId, DestinationId, Registry, RegistryFact, TokenId,
    registry::{Algorithm, Command, Credentials, Destination, SealedSecret, Token, TokenSecret, UrlRules},
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView};
use tonic::{Request, Response, Status};
use uuid::Uuid;
use wire::{
    api::{self, registry_service_server::RegistryServiceServer},
    duration, registry_api,
    status::{invalid, refusal},
};

mod parts;

use self::parts::{
    ACCOUNT_FIELDS, DESTINATION_FIELDS, account_id, account_of, check_mask, destination_id, destination_of, given,
    interface_id, interface_of, merged_account, merged_destination, token_id, token_of,
};
use crate::actor;

/// The longest credentials, in bytes.
const LONGEST_CREDENTIALS: usize = 4_000;
/// How long the old secret of a token still signs unless somebody says otherwise, and at most.
const OVERLAP: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 24 * 60 * 60);
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
        Ok(known.unwrap_or_else(|| {
            // It is stored. Whoever was told otherwise would do it again.
            let mut ahead = Registry::clone(&snapshot);
            ahead.apply(sequence, &fact);
            Arc::new(ahead)
        }))
    }

    /// A destination from the API, its credentials sealed and its templates read.
    fn destination(&self, given: api::Destination, id: DestinationId) -> Result<Destination, Status> {
        let auth = given.auth.clone().unwrap_or_default();
        let mut destination = registry_api::destination(given, id).map_err(|e| refusal(&e))?;
        if let Some((kind, header, value)) = registry_api::credentials(auth).map_err(|e| refusal(&e))? {
            if value.len() > LONGEST_CREDENTIALS || value.chars().any(char::is_control) {
                return Err(invalid("auth", format!("has to be one line of at most {LONGEST_CREDENTIALS} bytes")));
            }
            let belongs_to = Destination::belongs_to(&destination.account, &destination.id);
            let sealed = self.key.seal_bytes(value.as_bytes(), &belongs_to).map_err(|e| no_randomness(&e))?;
            destination.request.credentials = Some(Credentials { kind, header, sealed: SealedSecret(sealed) });
        }
        render::check(&destination).map_err(|e| invalid("template", e))?;
        Ok(destination)
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
            tracing::warn!(error = error.chain(), "whether a change was stored is not known; its caller was told so");
            Status::unavailable(format!(
                "whether the change was stored is not known: {error}; list before you repeat it"
            ))
        }
    }
}

/// What the receiver of a token's signatures is given.
fn for_receiver(algorithm: Algorithm, secret: Secret) -> String {
    match algorithm {
        Algorithm::HmacSha256 => Signer::Hmac(secret).reveal_for_receiver(),
        Algorithm::Ed25519 => Signer::Ed25519(secret).reveal_for_receiver(),
    }
}

fn no_randomness(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "the system gives no random numbers");
    Status::internal("the system gives no random numbers")
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
        let destination = self.destination(new, id.clone())?;
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
        let keep_auth =
            mask.is_none_or(|mask| mask.paths.is_empty()) && new.auth.as_ref().is_none_or(|a| a.kind.is_none());
        let mut new = self.destination(new, id.clone())?;
        let update = |registry: &Registry| {
            let now = destination_of(registry, &account, &id)?;
            // Secrets are never shown, so whoever sends back what he read does not mean to remove them.
            if keep_auth {
                new.request.credentials = now.request.credentials.clone();
            }
            Ok(Command::UpdateDestination(merged_destination(now, new, mask)))
        };
        let registry = self.change(by, update).await?;
        Ok(Response::new(registry_api::destination_to_api(destination_of(&registry, &account, &id)?)))
    }

    async fn enable_destination(&self, request: Request<api::EnableDestinationRequest>) -> Answer<api::Destination> {
        let r = request.get_ref();
        let (account, id) = (account_id(&r.account_id)?, destination_id(&r.destination_id)?);
        let skip_before = r.skip_held.then(Timestamp::now);
        let command = Command::EnableDestination(account.clone(), id.clone(), skip_before);
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
        let algorithm = Algorithm::parse(&request.algorithm)
            .ok_or_else(|| invalid("algorithm", "is neither hmac-sha256 nor ed25519"))?;
        let token = Token { account, id, name: request.name, algorithm, secrets, deleted: false };
        let shown = registry_api::token_to_api(&token);
        self.change(by, |_| Ok(Command::CreateToken(token))).await?;
        let secret = for_receiver(algorithm, secret);
        Ok(Response::new(api::CreateTokenResponse { token: Some(shown), secret }))
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

    async fn rotate_token(&self, request: Request<api::RotateTokenRequest>) -> Answer<api::RotateTokenResponse> {
        let r = request.get_ref();
        let (account, id) = (account_id(&r.account_id)?, token_id(&r.token_id)?);
        let overlap = r.overlap.as_ref().map_or(Some(OVERLAP), duration).filter(|overlap| *overlap <= LONGEST_OVERLAP);
        let overlap = overlap.ok_or_else(|| invalid("overlap", "is not from 0 s to 30 days"))?;
        let secret = Secret::generate().map_err(|e| no_randomness(&e))?;
        let sealed = self.sealed(&account, &id, &secret)?;
        let rotate = |registry: &Registry| {
            let token = Token::clone(token_of(registry, &account, &id)?);
            Ok(Command::UpdateToken(token.rotated(sealed, Timestamp::now(), overlap)))
        };
        let registry = self.change(actor(&request), rotate).await?;
        let token = token_of(&registry, &account, &id)?;
        let secret = for_receiver(token.algorithm, secret);
        Ok(Response::new(api::RotateTokenResponse { token: Some(registry_api::token_to_api(token)), secret }))
    }

    async fn delete_token(&self, request: Request<api::DeleteTokenRequest>) -> Answer<api::DeleteTokenResponse> {
        let r = request.get_ref();
        let (account, id) = (account_id(&r.account_id)?, token_id(&r.token_id)?);
        self.change(actor(&request), |_| Ok(Command::DeleteToken(account, id))).await?;
        Ok(Response::new(api::DeleteTokenResponse {}))
    }
}
