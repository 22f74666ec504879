//! The destinations of an account by their scope. An event is compared with those that cover its origin only: an account
//! may have thousands, each for an interface of its own.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::model::{Destination, Scope};
use crate::ids::{ClientId, DestinationId, InterfaceId};

/// The destinations of an account that are not deleted.
#[derive(Debug, Clone, Default)]
pub(super) struct ByScope(HashMap<Scope, BTreeMap<DestinationId, Arc<Destination>>>);

impl ByScope {
    /// Takes `after` in place of `before`.
    pub(super) fn replace(&mut self, before: Option<&Destination>, after: &Arc<Destination>) {
        if let Some(before) = before
            && let Some(peers) = self.0.get_mut(&before.scope)
        {
            peers.remove(&before.id);
            if peers.is_empty() {
                self.0.remove(&before.scope);
            }
        }
        if !after.deleted {
            self.0.entry(after.scope.clone()).or_default().insert(after.id.clone(), Arc::clone(after));
        }
    }

    /// Those for the whole account, for this client and for this interface, from the highest level on.
    pub(super) fn covering(
        &self,
        client: Option<&ClientId>,
        interface: &InterfaceId,
    ) -> impl Iterator<Item = &Arc<Destination>> {
        let client = client.cloned().map(Scope::Client);
        let scopes = [Some(Scope::Account), client, Some(Scope::Interface(interface.clone()))];
        scopes.into_iter().flatten().filter_map(|scope| self.0.get(&scope)).flat_map(BTreeMap::values)
    }
}
