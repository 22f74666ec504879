//! `leadline.v1.RegistryService`: the configuration, changed by facts and read from the registry view.
//!
//! All changes are made by [`Changes`]. Each method is implemented in the module of its resource. It gets its
//! [`Caller`], which checks the account that the request names, and names the author of the change.

use api::registry_service_server::RegistryServiceServer;
use crypto::MasterKey;
use domain::Guard;
use journal::RegistryView;
use read_model::Store;
use tonic::{Request, Response, Status, codec::CompressionEncoding};

mod accounts;
mod api_users;
mod clients;
mod conditions;
mod confirmations;
mod destinations;
mod interfaces;
mod lookup;
mod mask;
mod opt_outs;
mod origin;
mod tokens;
mod transport;
mod warnings;

use crate::{call::caller::Caller, registry_change::Changes};

struct RegistryService {
    changes: Changes,
    registry: RegistryView,
    guard: Guard,
    key: MasterKey,
    store: Store,
}

pub(crate) fn service(
    changes: Changes,
    registry: RegistryView,
    guard: Guard,
    key: MasterKey,
    store: Store,
) -> RegistryServiceServer<impl api::registry_service_server::RegistryService> {
    RegistryServiceServer::new(RegistryService { changes, registry, guard, key, store })
        .accept_compressed(CompressionEncoding::Gzip)
}

type Answer<T> = Result<Response<T>, Status>;

/// The methods; each calls the method of the same name in one of the modules below.
macro_rules! methods {
    ($($method:ident: $request:ident => $answer:ident,)*) => {
        #[tonic::async_trait]
        impl api::registry_service_server::RegistryService for RegistryService {
            $(async fn $method(&self, request: Request<api::$request>) -> Answer<api::$answer> {
                let caller = Caller::of(&request)?;
                // If two methods have the same name, Rust calls the inherent one.
                Self::$method(self, caller, request).await
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

    list_opt_outs: ListOptOutsRequest => ListOptOutsResponse,
    delete_opt_out: DeleteOptOutRequest => DeleteOptOutResponse,
    confirm_email: ConfirmEmailRequest => ConfirmEmailResponse,

    create_destination: CreateDestinationRequest => Destination,
    get_destination: GetDestinationRequest => Destination,
    list_destinations: ListDestinationsRequest => ListDestinationsResponse,
    update_destination: UpdateDestinationRequest => Destination,
    enable_destination: EnableDestinationRequest => Destination,
    disable_destination: DisableDestinationRequest => Destination,
    delete_destination: DeleteDestinationRequest => DeleteDestinationResponse,
    test_condition: TestConditionRequest => TestConditionResponse,

    create_token: CreateTokenRequest => CreateTokenResponse,
    get_token: GetTokenRequest => Token,
    list_tokens: ListTokensRequest => ListTokensResponse,
    update_token: UpdateTokenRequest => Token,
    assign_token: AssignTokenRequest => Destination,
    rotate_token: RotateTokenRequest => RotateTokenResponse,
    delete_token: DeleteTokenRequest => DeleteTokenResponse,
}

#[cfg(test)]
mod tests;
