//! Interfaces.

use domain::{
    Registry,
    registry::{Command, Interface},
};
use prost_types::FieldMask;
use tonic::{Request, Response};
use wire::{
    api,
    registry_api::{self, interface_to_api},
    status::refusal,
};

use super::{
    Answer, RegistryService,
    parts::{account_id, account_of, check_mask, given, interface_id, interface_of, names},
};
use crate::actor;

const FIELDS: [&str; 3] = ["name", "retention", "lead_notification_emails"];

impl RegistryService {
    pub(super) async fn create_interface(
        &self,
        request: Request<api::CreateInterfaceRequest>,
    ) -> Answer<api::Interface> {
        let by = actor(&request);
        let interface =
            registry_api::interface(given("interface", request.into_inner().interface)?).map_err(|e| refusal(&e))?;
        let (account, id) = (interface.account.clone(), interface.id.clone());
        let registry = self.change(by, |_| Ok(Command::CreateInterface(interface))).await?;
        Ok(Response::new(interface_to_api(interface_of(&registry, &account, &id)?)))
    }

    pub(super) async fn get_interface(&self, request: Request<api::GetInterfaceRequest>) -> Answer<api::Interface> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let (account, id) = (account_id(&request.account_id)?, interface_id(&request.interface_id)?);
        Ok(Response::new(interface_to_api(interface_of(&registry, &account, &id)?)))
    }

    pub(super) async fn list_interfaces(
        &self,
        request: Request<api::ListInterfacesRequest>,
    ) -> Answer<api::ListInterfacesResponse> {
        let registry = self.registry.snapshot();
        let entry = account_of(&registry, &account_id(&request.get_ref().account_id)?)?;
        let interfaces = entry.interfaces().filter(|i| !i.deleted).map(interface_to_api).collect();
        Ok(Response::new(api::ListInterfacesResponse { interfaces }))
    }

    pub(super) async fn update_interface(
        &self,
        request: Request<api::UpdateInterfaceRequest>,
    ) -> Answer<api::Interface> {
        let by = actor(&request);
        let request = request.into_inner();
        let mask = request.update_mask.as_ref();
        check_mask(mask, &FIELDS)?;
        let new = registry_api::interface(given("interface", request.interface)?).map_err(|e| refusal(&e))?;
        let (account, id) = (new.account.clone(), new.id.clone());
        let update = |registry: &Registry| {
            Ok(Command::UpdateInterface(merged(interface_of(registry, &account, &id)?, new, mask)))
        };
        let registry = self.change(by, update).await?;
        Ok(Response::new(interface_to_api(interface_of(&registry, &account, &id)?)))
    }

    pub(super) async fn delete_interface(
        &self,
        request: Request<api::DeleteInterfaceRequest>,
    ) -> Answer<api::DeleteInterfaceResponse> {
        let r = request.get_ref();
        let (account, id) = (account_id(&r.account_id)?, interface_id(&r.interface_id)?);
        self.change(actor(&request), |_| Ok(Command::DeleteInterface(account, id))).await?;
        Ok(Response::new(api::DeleteInterfaceResponse {}))
    }
}

fn merged(now: &Interface, new: Interface, mask: Option<&FieldMask>) -> Interface {
    let pick = |field| names(mask, field);
    let now = now.clone();
    Interface {
        account: now.account,
        id: now.id,
        name: if pick("name") { new.name } else { now.name },
        retention: if pick("retention") { new.retention } else { now.retention },
        lead_notification_emails: if pick("lead_notification_emails") {
            new.lead_notification_emails
        } else {
            now.lead_notification_emails
        },
        deleted: false,
    }
}
