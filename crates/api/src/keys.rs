//! Conversions of API keys and scopes.

use domain::{
    AccountId, ClientId,
    access::{Rule, Scope, Scopes},
    registry::{ApiKey, Refusal},
};

use crate::primitives::{or_empty, timestamp_to_api};

/// An API key without its hash.
pub fn key_to_api(key: &ApiKey) -> crate::Key {
    crate::Key {
        key_id: key.id.to_string(),
        account_id: or_empty(key.account.as_ref().map(AccountId::as_str)),
        client_id: or_empty(key.client.as_ref().map(ClientId::as_str)),
        name: key.name.clone(),
        scopes: key.scopes.named().map(|scope| scope_to_api(scope).into()).collect(),
        created_at: Some(timestamp_to_api(key.created_at)),
        created_by: key.created_by.clone(),
        expires_at: key.expires_at.map(timestamp_to_api),
        revoked_at: key.revoked_at.map(timestamp_to_api),
    }
}

/// Scopes from the API.
///
/// # Errors
/// If one of them is unknown.
pub fn scopes(given: impl IntoIterator<Item = crate::Scope>) -> Result<Scopes, Refusal> {
    let known = |scope| match scope {
        crate::Scope::Unspecified => Err(Refusal::Invalid {
            field: "scopes",
            problem: "include a scope that this version does not know".to_owned(),
        }),
        crate::Scope::Publish => Ok(Scope::Publish),
        crate::Scope::Read => Ok(Scope::Read),
        crate::Scope::Operate => Ok(Scope::Operate),
        crate::Scope::Admin => Ok(Scope::Admin),
        crate::Scope::Payload => Ok(Scope::Payload),
        crate::Scope::Form => Ok(Scope::Form),
    };
    given.into_iter().map(known).collect()
}

const fn scope_to_api(scope: Scope) -> crate::Scope {
    match scope {
        Scope::Publish => crate::Scope::Publish,
        Scope::Read => crate::Scope::Read,
        Scope::Operate => crate::Scope::Operate,
        Scope::Admin => crate::Scope::Admin,
        Scope::Payload => crate::Scope::Payload,
        Scope::Form => crate::Scope::Form,
    }
}

/// The rule for the option `leadline.v1.requires` of a method; `None` if the value is not a rule.
pub fn rule(option: i32) -> Option<Rule> {
    match crate::Rule::try_from(option).ok()? {
        crate::Rule::Unspecified => None,
        crate::Rule::AnyKey => Some(Rule::AnyKey),
        crate::Rule::Publish => Some(Rule::Needs(Scope::Publish)),
        crate::Rule::Read => Some(Rule::Needs(Scope::Read)),
        crate::Rule::Operate => Some(Rule::Needs(Scope::Operate)),
        crate::Rule::Admin => Some(Rule::Needs(Scope::Admin)),
        crate::Rule::PlatformRead => Some(Rule::Platform(Scope::Read)),
        crate::Rule::PlatformOperate => Some(Rule::Platform(Scope::Operate)),
        crate::Rule::Payload => Some(Rule::Needs(Scope::Payload)),
        crate::Rule::PlatformAdmin => Some(Rule::Platform(Scope::Admin)),
    }
}
