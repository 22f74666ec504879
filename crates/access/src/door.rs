//! From the header of a call to the one who calls.

use std::sync::Arc;

use crypto::ApiKey;
use domain::{
    KeyId, Principal, Registry,
    access::{Denial, Rule},
    registry::{KeyHash, KeyRefusal},
};
use http::{HeaderMap, header::AUTHORIZATION};
use jiff::Timestamp;
use journal::{NewsError, RegistryView};
use wire::status;

use crate::{Rules, RulesError};

/// What the value of the header begins with (RFC 6750); its case does not matter (RFC 9110).
const SCHEME: &str = "bearer ";

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// He shows no key.
    #[error(
        "no API key came with the call; send the header \"authorization: Bearer ll_…\" (leadline call: --api-key or \
         LEADLINE_API_KEY)"
    )]
    NoKey,
    /// What he shows is none.
    #[error("the header authorization holds no API key; it has to be \"Bearer ll_<id>_<secret>\"")]
    Malformed,
    /// The key lets nobody in.
    #[error("{0}; ask whoever administers Leadline for another one")]
    Key(#[from] KeyRefusal),
    /// The key is good, but not for this.
    #[error("{0}")]
    Denied(#[from] Denial),
    /// Nobody can say.
    #[error("whether the API key is good cannot be found out now; call again")]
    Unknown(#[from] NewsError),
}

impl From<Refused> for tonic::Status {
    fn from(refused: Refused) -> Self {
        match &refused {
            Refused::NoKey | Refused::Malformed | Refused::Key(_) => Self::unauthenticated(refused.to_string()),
            Refused::Denied(denial) => status::denied(denial),
            Refused::Unknown(_) => Self::unavailable(refused.to_string()),
        }
    }
}

/// Lets callers in. Clones share the view of the registry.
#[derive(Debug, Clone)]
pub struct Door {
    registry: RegistryView,
    pub(crate) rules: Arc<Rules>,
}

impl Door {
    /// A door that knows the keys of this view.
    ///
    /// # Errors
    /// When a method of the API has no rule: then nothing may be served.
    pub fn new(registry: &RegistryView) -> Result<Self, RulesError> {
        Ok(Self { registry: registry.clone(), rules: Arc::new(Rules::of_api()?) })
    }

    /// Who calls with these headers, if the rule lets him in.
    ///
    /// # Errors
    /// Why he is not let in.
    pub async fn admit(&self, headers: &HeaderMap, rule: Rule) -> Result<Principal, Refused> {
        let admitted = self.identify(headers).await.and_then(|principal| {
            principal.may(rule)?;
            Ok(principal)
        });
        if let Err(refused) = &admitted {
            tracing::debug!(why = %refused, "a caller is not let in");
        }
        admitted
    }

    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Refused> {
        let (id, hash) = shown(headers)?;
        let mut registry: Arc<Registry> = self.registry.snapshot();
        if registry.key(&id).is_none() {
            // It may have been made a moment ago through another process.
            registry = self.registry.up_to_date().await?;
        }
        Ok(registry.authenticate(&id, &hash, Timestamp::now())?)
    }
}

/// The id of the key that these headers show, and the hash of its secret.
fn shown(headers: &HeaderMap) -> Result<(KeyId, KeyHash), Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(Refused::NoKey)?.to_str().map_err(|_| Refused::Malformed)?;
    // Of two headers, this process and one in front of it might each believe another one.
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
    fn the_header_has_to_hold_one_key_and_nothing_else() {
        let key = ApiKey::generate().unwrap();
        let written = key.reveal();
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            shown(&headers)
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
