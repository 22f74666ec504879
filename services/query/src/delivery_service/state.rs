//! The state that the calls about deliveries share, and the look-up of the delivery or destination that a call names.

use std::{pin::Pin, sync::Arc};

use api::{
    request::required,
    status::{invalid, not_found},
};
use domain::{AccountId, ClientId, Delivery, DeliveryId, DestinationId, Registry, registry::Destination};
use futures::Stream;
use journal::{Journal, RegistryView};
use read_model::{History, Store, hashing::Hashing, read_barrier::ReadBarrier, tables::deliveries::Beginning};
use runtime::Drain;
use tokio::sync::Semaphore;
use tonic::Status;

use super::watchers::Watchers;
use crate::call::{caller::Caller, errors::failed, not_found, payload_views::PayloadViews};

pub(super) struct DeliveryService {
    pub(super) journal: Journal,
    pub(super) store: Store,
    pub(super) registry: RegistryView,
    pub(super) hashing: Hashing,
    pub(super) read_barrier: ReadBarrier,
    pub(super) drain: Drain,
    pub(super) watchers: Watchers,
    pub(super) history: History,
    pub(super) payloads: PayloadViews,
    /// Has [`MAX_RENDERING`](super::requests::MAX_RENDERING) permits to render a request.
    pub(super) rendering: Arc<Semaphore>,
}

pub(super) type Changes = Pin<Box<dyn Stream<Item = Result<api::WatchDeliveriesResponse, Status>> + Send>>;

impl DeliveryService {
    /// The delivery with this id, or the only one of the caller's account whose id begins with this text.
    pub(super) async fn named(&self, caller: &Caller, text: &str) -> Result<DeliveryId, Status> {
        let Some(beginning) = Beginning::of(text) else {
            return Ok(required("delivery_id", text, DeliveryId::parse)?);
        };
        let account = caller.principal().account();
        let found = self.store.deliveries_beginning(account, &beginning).await.map_err(failed)?;
        match found.as_slice() {
            [only] => Ok(*only),
            [] => {
                let what = format!("there is no delivery whose id begins with {text}");
                Err(not_found::in_history(self.history, &self.registry.snapshot(), account, "DELIVERY", &what))
            }
            [one, other, ..] => {
                let why = format!("several ids begin with {text}, such as {one} and {other}; give more characters");
                Err(invalid("delivery_id", why))
            }
        }
    }

    /// Finds a delivery. For a delivery of another account, the error is the same as for one that does not exist.
    pub(super) async fn find(&self, caller: &Caller, id: DeliveryId) -> Result<Delivery, Status> {
        let found = self.store.delivery(id).await.map_err(failed)?;
        let may_see = |delivery: &Delivery| {
            let reference = &delivery.reference;
            caller.may_see(Some(&reference.account))
                && caller.may_see_client(reference.client.as_ref().map(ClientId::as_str))
        };
        let found = found.filter(may_see);
        let account = caller.principal().account();
        found.ok_or_else(|| {
            let what = format!("there is no delivery {id}");
            not_found::in_history(self.history, &self.registry.snapshot(), account, "DELIVERY", &what)
        })
    }
}

/// A destination of an account; fails if it does not exist or is deleted.
pub(super) fn destination<'a>(
    registry: &'a Registry,
    account: &AccountId,
    id: &DestinationId,
) -> Result<&'a Arc<Destination>, Status> {
    let found = registry.destination(id).filter(|destination| destination.account == *account);
    found.ok_or_else(|| no_destination(account, id))
}

pub(super) fn no_destination(account: &AccountId, id: &DestinationId) -> Status {
    not_found("DESTINATION", format!("account {account} has no destination {id}"))
}
