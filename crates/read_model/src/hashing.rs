//! Keyed hashes of the values by which leads are found, for events and for searches. The read model holds only the
//! hashes of these values.

use std::{sync::Arc, time::Duration};

use crypto::{MasterKey, SearchKey};
use domain::{AccountId, LeadEvent, Registry, search};
use journal::RegistryView;

use crate::tables::values::{FieldHash, WantedHash};

/// How long a projector waits until its registry view has the registry sequence of an event.
const KNOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Hashes values. Clones share the registry view.
#[derive(Debug, Clone)]
pub struct Hashing {
    registry: RegistryView,
    key: MasterKey,
}

impl Hashing {
    pub const fn new(registry: RegistryView, key: MasterKey) -> Self {
        Self { registry, key }
    }

    /// The configuration, which has the searchable fields.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.snapshot()
    }

    /// The hashes of the searchable values in the payload of an event. `None` if this process does not yet know the
    /// configuration under which the event was published.
    pub fn hashes(&self, event: &LeadEvent) -> Option<Vec<FieldHash>> {
        let registry = self.registry.snapshot();
        if registry.sequence() < event.registry_sequence {
            return None;
        }
        let account = registry.account(&event.account);
        let Some(interface) = account.and_then(|account| account.interface(&event.interface)) else {
            return Some(vec![]);
        };
        let found = search::values(&interface.searchable, &event.payload);
        if found.is_empty() {
            return Some(vec![]);
        }
        let key = SearchKey::new(&self.key, event.account.as_str());
        let hashed = |(field, value): (&search::FieldName, String)| FieldHash {
            field: field.as_str().to_owned(),
            hash: key.hash(field.as_str(), &value),
        };
        Some(found.into_iter().map(hashed).collect())
    }

    /// Waits until this process knows the configuration under which an event was published; `false` if that takes too
    /// long.
    pub async fn knows(&self, event: &LeadEvent) -> bool {
        self.registry.at_least(event.registry_sequence, KNOWN_TIMEOUT).await.is_some()
    }

    /// The hashes of the values that a caller asks for.
    pub fn hashed(&self, account: &AccountId, wanted: &[search::Wanted]) -> Vec<WantedHash> {
        let key = SearchKey::new(&self.key, account.as_str());
        let hashed = |wanted: &search::Wanted| WantedHash {
            hashes: wanted.normal.iter().map(|value| key.hash(wanted.field.as_str(), value)).collect(),
            field: wanted.field.as_str().to_owned(),
        };
        wanted.iter().map(hashed).collect()
    }
}
