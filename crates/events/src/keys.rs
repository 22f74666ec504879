//! Stored API keys.

use domain::{
    AccountId, ClientId, KeyId,
    access::Scope,
    registry::{ApiKey, KeyHash},
};

use crate::{
    primitives::{non_empty, or_empty, parsed, time, wrong},
    record::RecordError,
    stored,
};

const FACT: &str = "registry fact";

pub(crate) fn key_to_stored(key: &ApiKey) -> stored::ApiKey {
    stored::ApiKey {
        account: or_empty(key.account.as_ref().map(AccountId::as_str)),
        id: key.id.to_string(),
        name: key.name.clone(),
        scopes: key.scopes.named().map(|scope| scope.as_str().to_owned()).collect(),
        hash: key.hash.0.to_vec(),
        created_at: key.created_at.as_microsecond(),
        created_by: key.created_by.clone(),
        expires_at: key.expires_at.map(|at| at.as_microsecond()),
        client: or_empty(key.client.as_ref().map(ClientId::as_str)),
    }
}

pub(crate) fn key_from_stored(stored: stored::ApiKey) -> Result<ApiKey, RecordError> {
    let scope = |word: &String| {
        Scope::parse(word).ok_or_else(|| wrong(FACT, "scopes", format!("{word:?} is not a known scope")))
    };
    let hash = stored.hash.as_slice().try_into();
    Ok(ApiKey {
        id: key_id(&stored.id)?,
        account: owner(&stored.account)?,
        client: non_empty(&stored.client).map(|text| parsed(FACT, "client", text, ClientId::parse)).transpose()?,
        name: stored.name,
        scopes: stored.scopes.iter().map(scope).collect::<Result<_, _>>()?,
        hash: KeyHash(hash.map_err(|_| wrong(FACT, "hash", "is not 32 bytes long"))?),
        created_at: time(FACT, "created_at", stored.created_at)?,
        created_by: stored.created_by,
        expires_at: stored.expires_at.map(|at| time(FACT, "expires_at", at)).transpose()?,
        revoked_at: None,
    })
}

pub(crate) fn revoked_from_stored(stored: &stored::Key) -> Result<(Option<AccountId>, KeyId), RecordError> {
    Ok((owner(&stored.account)?, key_id(&stored.id)?))
}

fn owner(text: &str) -> Result<Option<AccountId>, RecordError> {
    non_empty(text).map(|text| parsed(FACT, "account", text, AccountId::parse)).transpose()
}

fn key_id(text: &str) -> Result<KeyId, RecordError> {
    parsed(FACT, "key", text, KeyId::parse)
}
