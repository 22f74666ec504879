//! The states that the audit log compares: the fields of an entity that the API shows, and its sealed secrets.

use std::collections::BTreeMap;

use api::{fields::fields, keys::key_to_api, registry as show};
use domain::{
    AccountId, ApiUserId, ClientId, DestinationId, InterfaceId, KeyId, OptOutId, Registry, TokenId,
    registry::{Change, Destination, EntityKind},
};
use read_model::project::audit::State;

/// The state of the entity that a change concerns; `None` if it does not exist.
pub(crate) fn state(registry: &Registry, change: &Change) -> Option<State> {
    let (account, kind, id) = change.entity();
    let open = |fields| State { fields, secrets: BTreeMap::new() };
    let mut state = match account {
        Some(account) if kind != EntityKind::Key => state_of(registry, account, kind, id)?,
        _ => open(fields("Key", &key_to_api(registry.key(&KeyId::parse(id).ok()?)?))),
    };
    // The ids name the entity; they are not settings.
    state.fields.remove("account_id");
    state.fields.remove(&format!("{}_id", kind.as_str()));
    Some(state)
}

fn state_of(registry: &Registry, account: &AccountId, kind: EntityKind, id: &str) -> Option<State> {
    let entry = registry.account(account)?;
    let open = |fields| State { fields, secrets: BTreeMap::new() };
    Some(match kind {
        EntityKind::Key | EntityKind::Event => return None,
        EntityKind::Account => open(fields("Account", &show::account_to_api(&entry.account))),
        EntityKind::Client => {
            let client = registry.client(account, &ClientId::parse(id).ok()?)?;
            open(fields("Client", &show::client_to_api(client)))
        }
        EntityKind::Interface => {
            let interface = registry.interface(account, &InterfaceId::parse(id).ok()?)?;
            open(fields("Interface", &show::interface_to_api(interface)))
        }
        EntityKind::ApiUser => {
            let user = registry.api_user(account, &ApiUserId::parse(id).ok()?)?;
            open(fields("ApiUser", &show::api_user_to_api(user)))
        }
        EntityKind::OptOut => {
            let opt_out = registry.opt_out(account, &OptOutId::parse(id).ok()?)?;
            open(fields("OptOut", &show::opt_out_to_api(opt_out)))
        }
        EntityKind::Confirmation => {
            let mut confirmations = entry.confirmations();
            let confirmed = confirmations.find(|confirmation| confirmation.id.as_str() == id)?;
            open(fields("ConfirmEmailResponse", &api::ConfirmEmailResponse { email: confirmed.email }))
        }
        EntityKind::Destination => {
            let destination = registry.destination(&DestinationId::parse(id).ok()?)?;
            State {
                fields: fields("Destination", &show::destination_to_api(destination)),
                secrets: secrets_of(destination),
            }
        }
        EntityKind::Token => {
            let token = registry.token(account, &TokenId::parse(id).ok()?)?;
            let newest = token.secrets.first().map(|secret| secret.sealed.0.clone());
            State {
                fields: fields("Token", &show::token_to_api(token)),
                secrets: newest.map(|newest| ("secret", newest)).into_iter().collect(),
            }
        }
    })
}

fn secrets_of(destination: &Destination) -> BTreeMap<&'static str, Vec<u8>> {
    let (request, transport) = (&destination.request, &destination.transport);
    let secrets = [
        ("auth", request.credentials.as_ref().map(|credentials| &credentials.sealed)),
        ("client_certificate", transport.client_certificate.as_ref().map(|certificate| &certificate.key)),
        ("proxy", transport.proxy.as_ref().and_then(|proxy| proxy.password.as_ref())),
    ];
    secrets.into_iter().filter_map(|(field, sealed)| Some((field, sealed?.0.clone()))).collect()
}
