//! The destinations of an account by scope. An event is compared only with the destinations that cover its origin,
//! because an account may have thousands of them, each for its own interface.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    ids::{ClientId, DestinationId, InterfaceId},
    registry::entities::destination::{Destination, Scope},
};

/// The destinations of an account that are not deleted.
#[derive(Debug, Clone, Default)]
pub(in crate::registry) struct ByScope(HashMap<Scope, BTreeMap<DestinationId, Arc<Destination>>>);

impl ByScope {
    /// Replaces `before` with `after`.
    pub(in crate::registry) fn replace(&mut self, before: Option<&Destination>, after: &Arc<Destination>) {
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

    /// The destinations for the whole account, this client and this interface, the highest level first.
    pub(in crate::registry) fn covering(
        &self,
        client: Option<&ClientId>,
        interface: &InterfaceId,
    ) -> impl Iterator<Item = &Arc<Destination>> {
        let client = client.cloned().map(Scope::Client);
        let scopes = [Some(Scope::Account), client, Some(Scope::Interface(interface.clone()))];
        scopes.into_iter().flatten().filter_map(|scope| self.0.get(&scope)).flat_map(BTreeMap::values)
    }
}
