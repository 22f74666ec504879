//! Looks entities up, and reads the fields that every request has.

use std::sync::Arc;

use api::{
    registry::id,
    status::{invalid, refusal},
};
use domain::{
    AccountId, ApiUserId, ClientId, DestinationId, InterfaceId, Registry, RequestId, TokenId,
    registry::{AccountEntry, ApiUser, Client, Destination, EntityKind, Interface, Refusal, Token},
    text::quoted,
};
use prost_types::FieldMask;
use tonic::Status;
use uuid::Uuid;

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

pub(super) fn client_id(text: &str) -> Result<ClientId, Status> {
    id("client_id", text, ClientId::parse).map_err(|e| refusal(&e))
}

pub(super) fn api_user_id(text: &str) -> Result<ApiUserId, Status> {
    id("api_user_id", text, ApiUserId::parse).map_err(|e| refusal(&e))
}

pub(super) fn interface_id(text: &str) -> Result<InterfaceId, Status> {
    id("interface_id", text, InterfaceId::parse).map_err(|e| refusal(&e))
}

pub(super) fn destination_id(text: &str) -> Result<DestinationId, Status> {
    id("destination_id", text, DestinationId::parse).map_err(|e| refusal(&e))
}

pub(super) fn token_id(text: &str) -> Result<TokenId, Status> {
    id("token_id", text, TokenId::parse).map_err(|e| refusal(&e))
}

/// The id by which a repeated creation is recognised; without a `request_id`, each call is a new one.
pub(super) fn request_id(text: &str) -> Result<RequestId, Status> {
    if text.is_empty() {
        return Ok(RequestId::from_uuid(Uuid::now_v7()));
    }
    RequestId::parse(text).map_err(|e| invalid("request_id", e))
}

pub(super) fn given<T>(field: &str, value: Option<T>) -> Result<T, Status> {
    value.ok_or_else(|| invalid(field, "is missing"))
}

/// Whether a mask names a field; an empty mask names all.
pub(super) fn names(mask: Option<&FieldMask>, field: &str) -> bool {
    mask.is_none_or(|mask| mask.paths.is_empty() || mask.paths.iter().any(|path| path == field))
}

pub(super) fn check_mask(mask: Option<&FieldMask>, known: &[&str]) -> Result<(), Status> {
    let unknown = mask.and_then(|mask| mask.paths.iter().find(|path| !known.contains(&path.as_str())));
    match unknown {
        Some(path) => Err(invalid("update_mask", format!("{} is not one of {}", quoted(path), known.join(", ")))),
        None => Ok(()),
    }
}

pub(super) fn token_of<'a>(
    registry: &'a Registry,
    account: &AccountId,
    id: &TokenId,
) -> Result<&'a Arc<Token>, Status> {
    account_of(registry, account)?;
    registry.token(account, id).ok_or_else(|| missing(EntityKind::Token, id.as_str()))
}
