//! Looks up entities, and reads the fields that most requests have.

use std::{hash::Hash, sync::Arc};

use api::{
    request::{Violations, WrongField, required},
    status::refusal,
};
use domain::{
    AccountId, ApiUserId, ClientId, DestinationId, InterfaceId, Registry, TokenId,
    registry::{AccountEntry, ApiUser, Client, Destination, EntityKind, Interface, Refusal, Token},
};
use tonic::Status;

use crate::call::{caller::Caller, listing::Listing};

pub(super) fn missing(kind: EntityKind, id: &str) -> Status {
    refusal(&Refusal::NotFound { kind, id: id.to_owned() })
}

pub(super) fn account_of<'a>(registry: &'a Registry, id: &AccountId) -> Result<&'a Arc<AccountEntry>, Status> {
    registry.account(id).ok_or_else(|| missing(EntityKind::Account, id.as_str()))
}

pub(super) fn client_of<'a>(registry: &'a Registry, account: &AccountId, id: &ClientId) -> Result<&'a Client, Status> {
    account_of(registry, account)?;
    registry.client(account, id).ok_or_else(|| missing(EntityKind::Client, id.as_str()))
}

pub(super) fn api_user_of<'a>(
    registry: &'a Registry,
    account: &AccountId,
    id: &ApiUserId,
) -> Result<&'a ApiUser, Status> {
    account_of(registry, account)?;
    registry.api_user(account, id).ok_or_else(|| missing(EntityKind::ApiUser, id.as_str()))
}

pub(super) fn interface_of<'a>(
    registry: &'a Registry,
    account: &AccountId,
    id: &InterfaceId,
) -> Result<&'a Interface, Status> {
    account_of(registry, account)?;
    registry.interface(account, id).ok_or_else(|| missing(EntityKind::Interface, id.as_str()))
}

pub(super) fn destination_of<'a>(
    registry: &'a Registry,
    account: &AccountId,
    id: &DestinationId,
) -> Result<&'a Destination, Status> {
    account_of(registry, account)?;
    let destination = registry.destination(id).filter(|destination| destination.account == *account);
    destination.map(Arc::as_ref).ok_or_else(|| missing(EntityKind::Destination, id.as_str()))
}

pub(super) fn client_id(text: &str) -> Result<ClientId, WrongField> {
    required("client_id", text, ClientId::parse)
}

pub(super) fn api_user_id(text: &str) -> Result<ApiUserId, WrongField> {
    required("api_user_id", text, ApiUserId::parse)
}

pub(super) fn interface_id(text: &str) -> Result<InterfaceId, WrongField> {
    required("interface_id", text, InterfaceId::parse)
}

pub(super) fn destination_id(text: &str) -> Result<DestinationId, WrongField> {
    required("destination_id", text, DestinationId::parse)
}

pub(super) fn token_id(text: &str) -> Result<TokenId, WrongField> {
    required("token_id", text, TokenId::parse)
}

/// The account whose entities a request lists, and the requested part of the list. The list has a name, and may have a
/// filter. The part has a size and a token.
pub(super) fn listed<'a>(
    caller: &Caller,
    registry: &'a Registry,
    account: &str,
    (name, filter): (&str, impl Hash),
    (size, token): (u32, &str),
) -> Result<(&'a Arc<AccountEntry>, Listing), Status> {
    let mut fields = Violations::default();
    let account = fields.note(caller.account(account));
    let list = account.as_ref().map(|account| (name, account, filter));
    let listing = Listing::of(&mut fields, size, token, list);
    let (account, listing) = fields.end(|| account.zip(listing))?;
    Ok((account_of(registry, &account)?, listing))
}

pub(super) fn token_of<'a>(
    registry: &'a Registry,
    account: &AccountId,
    id: &TokenId,
) -> Result<&'a Arc<Token>, Status> {
    account_of(registry, account)?;
    registry.token(account, id).ok_or_else(|| missing(EntityKind::Token, id.as_str()))
}
