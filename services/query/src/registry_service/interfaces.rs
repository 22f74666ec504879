//! Interfaces: the methods that create, show, list, change and delete them.

use api::{
    registry::interface_to_api,
    request::{Violations, given},
    status::refusal,
};
use domain::{
    Registry,
    registry::{AccountEntry, Command, Interface},
    search::warnings,
};
use tonic::{Request, Response, Status};

use super::{
    Answer, RegistryService,
    confirmations::unconfirmed,
    lookup::{account_of, interface_id, interface_of, listed},
    mask::Mask,
};
use crate::call::caller::Caller;

pub(super) const FIELDS: [&str; 4] = ["name", "retention", "lead_notification_emails", "searchable_fields"];
/// The warning about a change of the searchable fields.
const EARLIER: &str = "Leads that were published before are found by these fields only after the read model is rebuilt \
    (leadline rebuild).";

impl RegistryService {
    pub(super) async fn create_interface(
        &self,
        caller: Caller,
        request: Request<api::CreateInterfaceRequest>,
    ) -> Answer<api::Interface> {
        let requested = given("interface", request.into_inner().interface)?;
        let interface = read(&caller, requested, Violations::default())?;
        let (account, id) = (interface.account.clone(), interface.id.clone());
        let create = |registry: &Registry| {
            let set = &interface.lead_notification_emails;
            let unconfirmed = unconfirmed(&caller, registry, &interface.account, set, [])?;
            Ok(Command::CreateInterface(Interface { unconfirmed, ..interface }))
        };
        let registry = self.changes.make(&caller, create).await?;
        let interface = interface_of(&registry, &account, &id)?;
        Ok(Response::new(to_api(account_of(&registry, &account)?, interface)))
    }

    pub(super) async fn get_interface(
        &self,
        caller: Caller,
        request: Request<api::GetInterfaceRequest>,
    ) -> Answer<api::Interface> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let (account, id) = caller.account_and(&request.account_id, interface_id(&request.interface_id))?;
        let interface = interface_of(&registry, &account, &id)?;
        Ok(Response::new(to_api(account_of(&registry, &account)?, interface)))
    }

    pub(super) async fn list_interfaces(
        &self,
        caller: Caller,
        request: Request<api::ListInterfacesRequest>,
    ) -> Answer<api::ListInterfacesResponse> {
        let (request, registry) = (request.get_ref(), self.registry.snapshot());
        let part = (request.page_size, request.page_token.as_str());
        let (entry, listing) = listed(&caller, &registry, &request.account_id, ("interfaces", ()), part)?;
        let existing = entry.interfaces().filter(|interface| !interface.deleted);
        let (interfaces, next_page_token) =
            listing.cut(existing, |interface| interface.id.as_str(), |interface| to_api(entry, interface));
        Ok(Response::new(api::ListInterfacesResponse { interfaces, next_page_token }))
    }

    pub(super) async fn update_interface(
        &self,
        caller: Caller,
        request: Request<api::UpdateInterfaceRequest>,
    ) -> Answer<api::Interface> {
        let request = request.into_inner();
        let mut fields = Violations::default();
        let mask = Mask::read(&mut fields, request.update_mask.as_ref(), &FIELDS);
        let new = read(&caller, given("interface", request.interface)?, fields)?;
        let (account, id) = (new.account.clone(), new.id.clone());
        let mut widens = false;
        let update = |registry: &Registry| {
            let now = interface_of(registry, &account, &id)?;
            let merged = merged(now, new, mask);
            widens = merged.searchable.iter().any(|field| !now.searchable.contains(field));
            let is_set = mask.names("lead_notification_emails");
            let (set, kept) = merged.lead_notification_emails.iter().partition::<Vec<_>, _>(|_| is_set);
            let unconfirmed = unconfirmed(&caller, registry, &account, set, kept)?;
            Ok(Command::UpdateInterface(Interface { unconfirmed, ..merged }))
        };
        let registry = self.changes.make(&caller, update).await?;
        let mut shown = to_api(account_of(&registry, &account)?, interface_of(&registry, &account, &id)?);
        shown.warnings.extend(widens.then(|| EARLIER.to_owned()));
        Ok(Response::new(shown))
    }

    pub(super) async fn delete_interface(
        &self,
        caller: Caller,
        request: Request<api::DeleteInterfaceRequest>,
    ) -> Answer<api::DeleteInterfaceResponse> {
        let r = request.get_ref();
        let (account, id) = caller.account_and(&r.account_id, interface_id(&r.interface_id))?;
        self.changes.make(&caller, |_| Ok(Command::DeleteInterface(account, id))).await?;
        Ok(Response::new(api::DeleteInterfaceResponse {}))
    }
}

fn read(caller: &Caller, given: api::Interface, mut fields: Violations) -> Result<Interface, Status> {
    fields.note(caller.account(&given.account_id));
    let interface = fields.note(api::registry::interface(given).map_err(|e| refusal(&e)));
    fields.end(|| interface)
}

fn merged(now: &Interface, new: Interface, mask: Mask<'_>) -> Interface {
    let now = now.clone();
    Interface {
        account: now.account,
        id: now.id,
        name: mask.pick("name", new.name, now.name),
        retention: mask.pick("retention", new.retention, now.retention),
        lead_notification_emails: mask.pick(
            "lead_notification_emails",
            new.lead_notification_emails,
            now.lead_notification_emails,
        ),
        searchable: mask.pick("searchable_fields", new.searchable, now.searchable),
        unconfirmed: vec![],
        deleted: false,
    }
}

fn to_api(entry: &AccountEntry, interface: &Interface) -> api::Interface {
    let unconfirmed_emails = entry.unconfirmed(&interface.lead_notification_emails);
    let warnings = warnings(&interface.searchable);
    api::Interface { unconfirmed_emails, warnings, ..interface_to_api(interface) }
}
