//! The authenticator: finds the principal of a call from its headers.

use std::sync::Arc;

use api::status;
use crypto::ApiKey;
use domain::{
    AccountId, KeyId, Principal, Registry,
    access::{Denial, Holder, Rule},
    registry::{AccountEntry, KeyHash, KeyRefusal},
};
use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use jiff::Timestamp;
use journal::{FreshnessError, RegistryView};
use runtime::ErrorChain as _;
use tonic::Code;

use crate::{
    rules::{MethodRule, Rules, RulesError},
    session::{Grant, NoSession, Sessions},
};

/// The scheme of the header `authorization` (RFC 6750), in lower case. Schemes are compared without case (RFC 9110).
const SCHEME: &str = "bearer ";

/// Why a call is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The call carries no API key.
    #[error(
        "the call carries no API key; send the header \"authorization: Bearer ll_…\" (leadline call: --api-key or \
         LEADLINE_API_KEY)"
    )]
    NoKey,
    /// The header does not hold an API key.
    #[error("the header authorization holds no API key; it has to be \"Bearer ll_<id>_<secret>\"")]
    Malformed,
    /// The key is unknown, revoked or expired.
    #[error("{0}; ask the administrator of Leadline for another one")]
    Key(KeyRefusal),
    /// The key is valid, but does not permit this call.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The call has a session cookie, but it is not a valid call in a session.
    #[error(transparent)]
    Session(#[from] NoSession),
    /// The process cannot find out whether its registry view is up to date.
    #[error("cannot check the API key now; call again")]
    Unknown(#[from] FreshnessError),
}

impl Refused {
    /// The status of an HTTP answer.
    pub const fn http_status(&self) -> StatusCode {
        match self {
            Self::NoKey | Self::Malformed | Self::Key(_) | Self::Session(NoSession::Ended) => StatusCode::UNAUTHORIZED,
            Self::Denied(_) | Self::Session(_) => StatusCode::FORBIDDEN,
            Self::Unknown(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Not `#[from]`: `Display` already prints the refusal, so the refusal must not be the source as well.
impl From<KeyRefusal> for Refused {
    fn from(refusal: KeyRefusal) -> Self {
        Self::Key(refusal)
    }
}

impl From<&Refused> for tonic::Status {
    fn from(refused: &Refused) -> Self {
        let because = |code, reason| status::because(code, reason, refused.to_string());
        match refused {
            Refused::NoKey => because(Code::Unauthenticated, "KEY_MISSING"),
            Refused::Malformed => because(Code::Unauthenticated, "KEY_MALFORMED"),
            Refused::Key(key) => because(Code::Unauthenticated, status::key_reason(*key)),
            Refused::Session(NoSession::Ended) => because(Code::Unauthenticated, "SESSION_ENDED"),
            Refused::Session(NoSession::Csrf) => because(Code::PermissionDenied, "CSRF_TOKEN_MISSING"),
            Refused::Session(NoSession::CrossSite) => because(Code::PermissionDenied, "CROSS_SITE"),
            Refused::Denied(denial) => status::denied(denial),
            Refused::Unknown(_) => status::unavailable(refused.to_string()),
        }
    }
}

/// Authenticates callers. Clones share the registry view.
#[derive(Debug, Clone)]
pub struct Authenticator {
    registry: RegistryView,
    /// `None` if calls in sessions are not accepted.
    sessions: Option<Sessions>,
    pub(crate) rules: Arc<Rules>,
}

impl Authenticator {
    /// An authenticator for the keys of this registry view.
    ///
    /// # Errors
    /// If a method of the API has no rule. The process must not start then.
    pub fn new(registry: &RegistryView) -> Result<Self, RulesError> {
        Ok(Self { registry: registry.clone(), sessions: None, rules: Arc::new(Rules::of_api()?) })
    }

    /// The same authenticator, which also accepts calls in sessions of the console.
    #[must_use]
    pub fn with_sessions(self, sessions: Sessions) -> Self {
        Self { sessions: Some(sessions), ..self }
    }

    /// The principal that calls with these headers, if the rule permits the call.
    ///
    /// # Errors
    /// When the call is refused.
    pub async fn admit(&self, headers: &HeaderMap, rule: impl Into<MethodRule>) -> Result<Principal, Refused> {
        let rule = rule.into();
        let admitted = self.identify(headers).await.and_then(|principal| {
            principal.may(rule.rule)?;
            principal.may_as_client(rule.for_clients)?;
            Ok(principal)
        });
        if let Err(refused) = &admitted {
            tracing::debug!(why = refused.chain(), "refused a call");
        }
        admitted
    }

    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Refused> {
        if !headers.contains_key(AUTHORIZATION)
            && let Some(sessions) = &self.sessions
            && let Some(session) = sessions.of_headers(headers)
        {
            let session = session?;
            sessions.check_origin(&session, headers)?;
            return self.of_session(&session).await;
        }
        let (id, hash) = presented_key(headers)?;
        Ok(self.registry_with(&id).await?.authenticate(&id, &hash, Timestamp::now())?)
    }

    /// The principal of an API key that is valid and may do more than submit forms.
    ///
    /// # Errors
    /// When the key is refused.
    pub async fn of_key(&self, key: &ApiKey) -> Result<Principal, Refused> {
        let (id, hash) = (KeyId::parse(key.id()).map_err(|_| Refused::Malformed)?, KeyHash(key.hash()));
        let principal = self.registry_with(&id).await?.authenticate(&id, &hash, Timestamp::now())?;
        principal.may(Rule::AnyKey)?;
        Ok(principal)
    }

    /// The principal of a session. If the holder is an API key, the key must still be valid. If the holder is a person,
    /// a rule must still name one of their groups, and their account must exist.
    ///
    /// # Errors
    /// When the holder no longer meets these conditions, or has lost the account or client of the session.
    pub async fn of_session(&self, session: &Grant) -> Result<Principal, Refused> {
        let principal = match &session.of {
            Holder::Key(key) => self.registry_with(key).await?.of_session(key, Timestamp::now())?,
            Holder::Person(person) => {
                let people = self.sessions.as_ref().and_then(|sessions| sessions.people.as_ref());
                let known = people.and_then(|people| people.principal(person, session.bounds.until));
                known.filter(|principal| self.has_account_of(principal)).ok_or(NoSession::Ended)?
            }
        };
        Ok(principal.within(&session.bounds).ok_or(NoSession::Ended)?)
    }

    /// Whether the account of a person exists. Keys need no check: they are revoked with their account.
    fn has_account_of(&self, person: &Principal) -> bool {
        person.account().is_none_or(|account| self.registry.snapshot().account(account).is_some())
    }

    /// The current configuration of an account; `None` if the account does not exist.
    pub fn account(&self, id: &AccountId) -> Option<Arc<AccountEntry>> {
        self.registry.snapshot().account(id).cloned()
    }

    /// A snapshot of the registry. It contains the key if the key exists.
    async fn registry_with(&self, key: &KeyId) -> Result<Arc<Registry>, FreshnessError> {
        let registry = self.registry.snapshot();
        // Another process may have created the key a moment ago.
        if registry.key(key).is_none() { self.registry.up_to_date().await } else { Ok(registry) }
    }
}

/// The id of the key in these headers, and the hash of its secret.
fn presented_key(headers: &HeaderMap) -> Result<(KeyId, KeyHash), Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refused::NoKey)?.to_str().map_err(|_| Refused::Malformed)?;
    // With two headers, this process and a proxy in front of it might each use a different one.
    if values.next().is_some() {
        return Err(Refused::Malformed);
    }
    let (scheme, key) = value.split_at_checked(SCHEME.len()).ok_or(Refused::Malformed)?;
    if !scheme.eq_ignore_ascii_case(SCHEME) {
        return Err(Refused::Malformed);
    }
    let key: ApiKey = key.trim().parse().map_err(|_| Refused::Malformed)?;
    let id = KeyId::parse(key.id()).map_err(|_| Refused::Malformed)?;
    Ok((id, KeyHash(key.hash())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_holds_exactly_one_key() {
        let key = ApiKey::generate().unwrap();
        let written = key.reveal();
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            presented_key(&headers)
        };
        for good in [format!("Bearer {written}"), format!("bearer  {written}"), format!("BEARER {written} ")] {
            let (id, hash) = read(&[&good]).unwrap();
            assert_eq!((id.as_str(), hash), (key.id(), KeyHash(key.hash())), "{good}");
        }
        assert!(matches!(read(&[]), Err(Refused::NoKey)));
        let good = format!("Bearer {written}");
        for bad in [&["Bearer"][..], &["Basic bGw6bGw="], &[&written], &["Bearer ll_x_y"], &[&good, &good]] {
            assert!(matches!(read(bad), Err(Refused::Malformed)), "{bad:?}");
        }
    }
}
