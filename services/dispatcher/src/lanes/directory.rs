//! The open lanes, by destination.

use std::{collections::HashMap, sync::Arc};

use domain::DestinationId;
use futures::future::BoxFuture;
use tokio::sync::{Mutex, mpsc};

use crate::{
    lanes::{driver, order::Order},
    shared::Shared,
    work_item::WorkItem,
};

/// How many orders may wait in the inbox of a lane. A lane reads its inbox at once, because its slow work runs in
/// tasks.
const MAX_ORDERS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: Mutex<HashMap<DestinationId, mpsc::Sender<Order>>>,
}

impl Lanes {
    /// The number of open lanes; `None` if a lane is being opened or closed at this moment.
    pub(crate) fn count(&self) -> Option<usize> {
        self.lanes.try_lock().ok().map(|lanes| lanes.len())
    }

    /// Hands a work item to its lane.
    pub(crate) async fn offer(self: &Arc<Self>, shared: &Arc<Shared>, item: WorkItem) {
        let destination = item.work.reference.destination.clone();
        self.order(shared, &destination, Order::Do(Box::new(item))).await;
    }

    /// Hands an order to a lane. Opens the lane if it is not open.
    pub(crate) async fn order(self: &Arc<Self>, shared: &Arc<Shared>, destination: &DestinationId, mut order: Order) {
        loop {
            let lane = {
                let mut lanes = self.lanes.lock().await;
                let open = || {
                    let (orders, inbox) = mpsc::channel(MAX_ORDERS);
                    let lane = driver::Lane::new(Arc::clone(shared), destination.clone(), inbox);
                    let (lanes, shared, destination) = (Arc::clone(self), Arc::clone(shared), destination.clone());
                    let drain = shared.platform.drain.clone();
                    drain.spawn_work(async move {
                        if let Some(inbox) = lane.run().await {
                            lanes.close(&shared, destination, inbox).await;
                        }
                    });
                    orders
                };
                lanes.entry(destination.clone()).or_insert_with(open).clone()
            };
            match lane.send(order).await {
                Ok(()) => return,
                // The lane has closed meanwhile. The loop opens another one, unless the process is about to end.
                Err(_) if shared.platform.drain.is_stopping() => return,
                Err(mpsc::error::SendError(back)) => order = back,
            }
            self.lanes.lock().await.retain(|_, lane| !lane.is_closed());
        }
    }

    /// As [`Lanes::order`], for an order that reached a lane while it closed. Boxed, because the future of a lane would
    /// otherwise contain itself.
    fn order_boxed(
        self: Arc<Self>,
        shared: Arc<Shared>,
        destination: DestinationId,
        order: Order,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move { self.order(&shared, &destination, order).await })
    }

    /// Closes an idle lane. Orders that arrive meanwhile go to the lane that opens next.
    async fn close(
        self: Arc<Self>,
        shared: &Arc<Shared>,
        destination: DestinationId,
        mut inbox: mpsc::Receiver<Order>,
    ) {
        self.lanes.lock().await.remove(&destination);
        inbox.close();
        while let Some(order) = inbox.recv().await {
            Arc::clone(&self).order_boxed(Arc::clone(shared), destination.clone(), order).await;
        }
    }
}
