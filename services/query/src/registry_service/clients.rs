//! Clients: the methods that create, show, list, change and delete them.

use api::{
    registry::client_to_api,
    request::{Violations, given},
    status::refusal,
};
use domain::{
    Registry,
    registry::{Client, Command},
};
use tonic::{Request, Response, Status};

use super::{
    Answer, RegistryService,
    lookup::{client_id, client_of, listed},
    mask::Mask,
};
use crate::call::caller::Caller;

pub(super) const FIELDS: [&str; 1] = ["name"];

impl RegistryService {
    pub(super) async fn create_client(
        &self,
        caller: Caller,
        request: Request<api::CreateClientRequest>,
    ) -> Answer<api::Client> {
        let requested = given("client", request.into_inner().client)?;
        let client = read(&caller, requested, Violations::default())?;
        let (account, id) = (client.account.clone(), client.id.clone());
        let registry = self.changes.make(&caller, |_| Ok(Command::CreateClient(client))).await?;
        Ok(Response::new(client_to_api(client_of(&registry, &account, &id)?)))
    }

    pub(super) async fn get_client(
        &self,
        caller: Caller,
        request: Request<api::GetClientRequest>,
    ) -> Answer<api::Client> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let (account, id) = caller.account_and(&request.account_id, client_id(&request.client_id))?;
        Ok(Response::new(client_to_api(client_of(&registry, &account, &id)?)))
    }

    pub(super) async fn list_clients(
        &self,
        caller: Caller,
        request: Request<api::ListClientsRequest>,
    ) -> Answer<api::ListClientsResponse> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let part = (request.page_size, request.page_token.as_str());
        let (entry, listing) = listed(&caller, &registry, &request.account_id, ("clients", ()), part)?;
        let existing = entry.clients().filter(|client| !client.deleted);
        let (clients, next_page_token) = listing.cut(existing, |client| client.id.as_str(), client_to_api);
        Ok(Response::new(api::ListClientsResponse { clients, next_page_token }))
    }

    pub(super) async fn update_client(
        &self,
        caller: Caller,
        request: Request<api::UpdateClientRequest>,
    ) -> Answer<api::Client> {
        let request = request.into_inner();
        let mut fields = Violations::default();
        Mask::read(&mut fields, request.update_mask.as_ref(), &FIELDS);
        let new = read(&caller, given("client", request.client)?, fields)?;
        let (account, id) = (new.account.clone(), new.id.clone());
        let update = |registry: &Registry| {
            let now = client_of(registry, &account, &id)?;
            Ok(Command::UpdateClient(Client { name: new.name, ..now.clone() }))
        };
        let registry = self.changes.make(&caller, update).await?;
        Ok(Response::new(client_to_api(client_of(&registry, &account, &id)?)))
    }

    pub(super) async fn delete_client(
        &self,
        caller: Caller,
        request: Request<api::DeleteClientRequest>,
    ) -> Answer<api::DeleteClientResponse> {
        let r = request.get_ref();
        let (account, id) = caller.account_and(&r.account_id, client_id(&r.client_id))?;
        self.changes.make(&caller, |_| Ok(Command::DeleteClient(account, id))).await?;
        Ok(Response::new(api::DeleteClientResponse {}))
    }
}

fn read(caller: &Caller, given: api::Client, mut fields: Violations) -> Result<Client, Status> {
    fields.note(caller.account(&given.account_id));
    let client = fields.note(api::registry::client(given).map_err(|e| refusal(&e)));
    fields.end(|| client)
}
