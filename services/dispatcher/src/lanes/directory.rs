//! The open lanes, by destination.

use std::{collections::HashMap, sync::Arc};

use domain::DestinationId;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, mpsc};

use crate::{
    Shared,
    lanes::{driver, order::Order},
    work_item::WorkItem,
};

/// How many orders may wait for a lane's attention; a lane never rests long.
const ORDERS: usize = 64;

/// The lanes that have something to do.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: Mutex<HashMap<DestinationId, mpsc::Sender<Order>>>,
}

impl Lanes {
    /// How many lanes have something to do; `None` if one is being opened just now.
    pub(crate) fn count(&self) -> Option<usize> {
        self.lanes.try_lock().ok().map(|lanes| lanes.len())
    }

    /// Hands a work item to its lane.
    pub(crate) async fn offer(self: &Arc<Self>, shared: &Arc<Shared>, item: WorkItem) {
        let destination = item.work.reference.destination.clone();
        self.order(shared, &destination, Order::Do(Box::new(item))).await;
    }

    /// Hands an order to a lane, opening it if need be.
    pub(crate) async fn order(self: &Arc<Self>, shared: &Arc<Shared>, destination: &DestinationId, mut order: Order) {
        loop {
            let lane = {
                let mut lanes = self.lanes.lock().await;
                let open = || {
                    let (orders, inbox) = mpsc::channel(ORDERS);
                    let lane = driver::Lane::new(Arc::clone(shared), Arc::clone(self), destination.clone(), inbox);
                    shared.platform.drain.spawn_work(lane.run());
                    orders
                };
                lanes.entry(destination.clone()).or_insert_with(open).clone()
            };
            match lane.send(order).await {
                Ok(()) => return,
                // The lane closed in between; another one takes its place, unless the process is about to end.
                Err(_) if shared.platform.drain.is_stopping() => return,
                Err(mpsc::error::SendError(back)) => order = back,
            }
            self.lanes.lock().await.retain(|_, lane| !lane.is_closed());
        }
    }

    /// The same for an order that came too late for a lane. Boxed, because lanes open lanes.
    pub(crate) fn order_anew(
        self: Arc<Self>,
        shared: Arc<Shared>,
        destination: DestinationId,
        order: Order,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.order(&shared, &destination, order).await })
    }

    /// The lane of a destination is about to close; the next order opens another.
    pub(crate) async fn forget(&self, destination: &DestinationId) {
        self.lanes.lock().await.remove(destination);
    }
}
