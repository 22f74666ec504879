//! Looking things up, and putting an update together from what is and what is asked for.

use std::sync::Arc;

use domain::{
    AccountId, DestinationId, InterfaceId, Registry, TokenId,
    registry::{Account, Destination, EntityKind, Refusal, RequestShape, Token},
};
use prost_types::FieldMask;
use tonic::Status;
use wire::{
    registry_api::id,
    status::{invalid, refusal},
};

pub(super) fn missing(kind: EntityKind, id: &str) -> Status {
    refusal(&Refusal::NotFound { kind, id: id.to_owned() })
}

pub(super) fn account_of<'a>(
    registry: &'a Registry,
    id: &AccountId,
) -> Result<&'a Arc<domain::registry::AccountEntry>, Status> {
    registry.account(id).ok_or_else(|| missing(EntityKind::Account, id.as_str()))
}

pub(super) fn interface_of<'a>(
    registry: &'a Registry,
    account: &AccountId,
    id: &InterfaceId,
) -> Result<&'a domain::registry::Interface, Status> {
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

pub(super) fn account_id(text: &str) -> Result<AccountId, Status> {
    id("account_id", text, AccountId::parse).map_err(|e| refusal(&e))
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

pub(super) fn given<T>(field: &str, value: Option<T>) -> Result<T, Status> {
    value.ok_or_else(|| invalid(field, "is missing"))
}

/// Whether a mask names a field; an empty one names all.
pub(super) fn names(mask: Option<&FieldMask>, field: &str) -> bool {
    mask.is_none_or(|mask| mask.paths.is_empty() || mask.paths.iter().any(|path| path == field))
}

pub(super) fn check_mask(mask: Option<&FieldMask>, known: &[&str]) -> Result<(), Status> {
    let unknown = mask.and_then(|mask| mask.paths.iter().find(|path| !known.contains(&path.as_str())));
    match unknown {
        Some(path) => Err(invalid("update_mask", format!("{path:?} is none of {}", known.join(", ")))),
        None => Ok(()),
    }
}

pub(super) const ACCOUNT_FIELDS: [&str; 4] = ["name", "brand", "notification_emails", "api_user_emails"];
#[rustfmt::skip]
pub(super) const DESTINATION_FIELDS: [&str; 15] = [
    "name", "interface_id", "url", "event_types", "timeout", "concurrency", "retry_policy", "token_id", "enabled", "rate",
    "breaker_failures", "method", "body", "headers", "auth",
];

pub(super) fn merged_account(now: &Account, new: Account, mask: Option<&FieldMask>) -> Account {
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
        api_user_emails: if pick("api_user_emails") { new.api_user_emails } else { now.api_user_emails.clone() },
        deleted: false,
    }
}

pub(super) fn merged_destination(now: &Destination, new: Destination, mask: Option<&FieldMask>) -> Destination {
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
        rate: if pick("rate") { new.rate } else { now.rate },
        breaker_failures: if pick("breaker_failures") { new.breaker_failures } else { now.breaker_failures },
        request: RequestShape {
            method: if pick("method") { new.request.method } else { now.request.method },
            body: if pick("body") { new.request.body } else { now.request.body },
            headers: if pick("headers") { new.request.headers } else { now.request.headers },
            credentials: if pick("auth") { new.request.credentials } else { now.request.credentials },
        },
        deactivated: now.deactivated,
        skip_held_before: now.skip_held_before,
        deleted: false,
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
