//! Keys and scopes: as they are stored, and as the API shows and takes them.

use domain::{
    AccountId, KeyId,
    access::{Rule, Scope, Scopes},
    registry::{ApiKey, KeyHash, Refusal},
};

use crate::{
    WireError, api, events,
    primitives::{non_empty, or_empty, parsed, time, wrong},
    timestamp_to_api,
};

const FACT: &str = "registry fact";

pub(crate) fn key_to_wire(key: &ApiKey) -> events::ApiKey {
    events::ApiKey {
        account: or_empty(key.account.as_ref().map(AccountId::as_str)),
        id: key.id.to_string(),
        name: key.name.clone(),
        scopes: key.scopes.named().map(|scope| scope.as_str().to_owned()).collect(),
        hash: key.hash.0.to_vec(),
        created_at: key.created_at.as_microsecond(),
        created_by: key.created_by.clone(),
        expires_at: key.expires_at.map(|at| at.as_microsecond()),
    }
}

pub(crate) fn key_from_wire(stored: events::ApiKey) -> Result<ApiKey, WireError> {
    let scope = |word: &String| {
        Scope::parse(word).ok_or_else(|| wrong(FACT, "scopes", format!("{word:?} is no scope that is known here")))
    };
    let hash = stored.hash.as_slice().try_into();
    Ok(ApiKey {
        id: key_id(&stored.id)?,
        account: owner(&stored.account)?,
        name: stored.name,
        scopes: stored.scopes.iter().map(scope).collect::<Result<_, _>>()?,
        hash: KeyHash(hash.map_err(|_| wrong(FACT, "hash", "is not 32 bytes long"))?),
        created_at: time(FACT, "created_at", stored.created_at)?,
        created_by: stored.created_by,
        expires_at: stored.expires_at.map(|at| time(FACT, "expires_at", at)).transpose()?,
        revoked_at: None,
    })
}

pub(crate) fn revoked_from_wire(stored: &events::Key) -> Result<(Option<AccountId>, KeyId), WireError> {
    Ok((owner(&stored.account)?, key_id(&stored.id)?))
}

fn owner(text: &str) -> Result<Option<AccountId>, WireError> {
    non_empty(text).map(|text| parsed(FACT, "account", text, AccountId::parse)).transpose()
}

fn key_id(text: &str) -> Result<KeyId, WireError> {
    parsed(FACT, "key", text, KeyId::parse)
}

/// A key for the API: everything but its hash.
pub fn key_to_api(key: &ApiKey) -> api::Key {
    api::Key {
        key_id: key.id.to_string(),
        account_id: or_empty(key.account.as_ref().map(AccountId::as_str)),
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
/// When one of them is none.
pub fn scopes(given: impl IntoIterator<Item = api::Scope>) -> Result<Scopes, Refusal> {
    let known = |scope| match scope {
        api::Scope::Unspecified => {
            Err(Refusal::Invalid { field: "scopes", problem: "have one that is not known here".to_owned() })
        }
        api::Scope::Publish => Ok(Scope::Publish),
        api::Scope::Read => Ok(Scope::Read),
        api::Scope::Operate => Ok(Scope::Operate),
        api::Scope::Admin => Ok(Scope::Admin),
    };
    given.into_iter().map(known).collect()
}

const fn scope_to_api(scope: Scope) -> api::Scope {
    match scope {
        Scope::Publish => api::Scope::Publish,
        Scope::Read => api::Scope::Read,
        Scope::Operate => api::Scope::Operate,
        Scope::Admin => api::Scope::Admin,
    }
}

/// The rule that the option `leadline.v1.requires` of a method stands for; none: it is no rule.
pub fn rule(option: i32) -> Option<Rule> {
    match api::Rule::try_from(option).ok()? {
        api::Rule::Unspecified => None,
        api::Rule::AnyKey => Some(Rule::AnyKey),
        api::Rule::Publish => Some(Rule::Needs(Scope::Publish)),
        api::Rule::Read => Some(Rule::Needs(Scope::Read)),
        api::Rule::Operate => Some(Rule::Needs(Scope::Operate)),
        api::Rule::Admin => Some(Rule::Needs(Scope::Admin)),
        api::Rule::PlatformRead => Some(Rule::Platform(Scope::Read)),
        api::Rule::PlatformOperate => Some(Rule::Platform(Scope::Operate)),
        api::Rule::PlatformAdmin => Some(Rule::Platform(Scope::Admin)),
    }
}
