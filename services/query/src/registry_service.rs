//! `leadline.v1.RegistryService`: the configuration, changed by facts and read from the live view.
//!
//! A change is decided on a snapshot and appended with the version that the snapshot had, so of two that were decided
//! on the same snapshot one is refused. The answer comes once this process knows the change. What each method does is in
//! the file of what it is about; here is how all of them make a change.

use std::{sync::Arc, time::Duration};

use crypto::MasterKey;
use domain::{
    Registry, RegistryFact,
    registry::{Command, UrlRules},
};
use jiff::Timestamp;
use journal::{Journal, JournalError, RegistryView, StreamName};
use tonic::{Code, Request, Response, Status};
use wire::{
    api::{self, registry_service_server::RegistryServiceServer},
    status::refusal,
};

mod accounts;
mod api_users;
mod clients;
mod destinations;
mod interfaces;
mod parts;
mod tokens;

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

/// What came of a creation that may be a repeat.
struct Made<T> {
    /// What there is now.
    found: T,
    /// Whether this call made it, not one before.
    by_this_call: bool,
}

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

    /// Makes something whose id is computed from the call, unless it was made already. `find` looks for it.
    async fn create_once<T>(
        &self,
        by: String,
        command: Command,
        find: impl Fn(&Registry) -> Result<T, Status>,
    ) -> Result<Made<T>, Status> {
        if let Ok(found) = find(&self.registry.snapshot()) {
            return Ok(Made { found, by_this_call: false });
        }
        match self.change(by, |_| Ok(command)).await {
            Ok(registry) => Ok(Made { found: find(&registry)?, by_this_call: true }),
            Err(lost) if lost.code() == Code::Aborted => {
                // The first call is stored, but this process did not know it yet.
                let Some(registry) = self.latest().await else { return Err(lost) };
                find(&registry).map(|found| Made { found, by_this_call: false }).map_err(|_| lost)
            }
            Err(refused) => Err(refused),
        }
    }

    /// The registry with everything that is stored by now, if that can be had in time.
    async fn latest(&self) -> Option<Arc<Registry>> {
        let latest = self.journal.last_sequence(StreamName::Registry).await.ok()?;
        self.registry.at_least(latest, KNOWN_DEADLINE).await
    }
}

fn not_stored(error: &JournalError) -> Status {
    match error {
        JournalError::LostRace => Status::aborted(error.to_string()),
        _ => {
            tracing::warn!(error = error.chain(), "whether a change was stored is not known; its caller was told so");
            Status::unavailable(format!(
                "whether the change was stored is not known: {error}; repeat a creation with the same request_id, and \
                 read anything else before you repeat it"
            ))
        }
    }
}

fn no_randomness(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "the system gives no random numbers");
    Status::internal("the system gives no random numbers")
}

/// The methods, each of them done by the method of the same name in one of the files below this one.
macro_rules! methods {
    ($($method:ident: $request:ident => $answer:ident,)*) => {
        #[tonic::async_trait]
        impl api::registry_service_server::RegistryService for RegistryService {
            $(async fn $method(&self, request: Request<api::$request>) -> Answer<api::$answer> {
                // Of two methods with one name, Rust takes that of the type itself.
                Self::$method(self, request).await
            })*
        }
    };
}

methods! {
    create_account: CreateAccountRequest => Account,
    get_account: GetAccountRequest => Account,
    list_accounts: ListAccountsRequest => ListAccountsResponse,
    update_account: UpdateAccountRequest => Account,
    delete_account: DeleteAccountRequest => DeleteAccountResponse,

    create_client: CreateClientRequest => Client,
    get_client: GetClientRequest => Client,
    list_clients: ListClientsRequest => ListClientsResponse,
    update_client: UpdateClientRequest => Client,
    delete_client: DeleteClientRequest => DeleteClientResponse,

    create_interface: CreateInterfaceRequest => Interface,
    get_interface: GetInterfaceRequest => Interface,
    list_interfaces: ListInterfacesRequest => ListInterfacesResponse,
    update_interface: UpdateInterfaceRequest => Interface,
    delete_interface: DeleteInterfaceRequest => DeleteInterfaceResponse,

    create_api_user: CreateApiUserRequest => ApiUser,
    get_api_user: GetApiUserRequest => ApiUser,
    list_api_users: ListApiUsersRequest => ListApiUsersResponse,
    update_api_user: UpdateApiUserRequest => ApiUser,
    delete_api_user: DeleteApiUserRequest => DeleteApiUserResponse,

    create_destination: CreateDestinationRequest => Destination,
    get_destination: GetDestinationRequest => Destination,
    list_destinations: ListDestinationsRequest => ListDestinationsResponse,
    update_destination: UpdateDestinationRequest => Destination,
    enable_destination: EnableDestinationRequest => Destination,
    disable_destination: DisableDestinationRequest => Destination,
    delete_destination: DeleteDestinationRequest => DeleteDestinationResponse,

    create_token: CreateTokenRequest => CreateTokenResponse,
    get_token: GetTokenRequest => Token,
    list_tokens: ListTokensRequest => ListTokensResponse,
    update_token: UpdateTokenRequest => Token,
    assign_token: AssignTokenRequest => Destination,
    rotate_token: RotateTokenRequest => RotateTokenResponse,
    delete_token: DeleteTokenRequest => DeleteTokenResponse,
}
