//! What comes in: facts that ask for an attempt, timers that fired, and parked work that somebody has to wake up for.

use std::{collections::HashMap, sync::Arc, time::Duration};

use domain::{DeliveryFact, DestinationId, Work};
use futures::future::BoxFuture;
use journal::Feed;
use runtime::ErrorChain as _;
use tokio::sync::{Mutex, mpsc};

use crate::{
    Shared,
    job::{AskedBy, Job},
    lane::{self, Order},
};

/// How often to look for lanes whose parked work nobody drains: after a restart, or parked by another process.
const LOOK_FOR_PARKED: Duration = Duration::from_secs(5);
/// How many orders may wait for a lane's attention; a lane never rests long.
const ORDERS: usize = 64;

/// The lanes that have something to do.
#[derive(Debug, Default)]
pub(crate) struct Lanes {
    lanes: Mutex<HashMap<DestinationId, mpsc::Sender<Order>>>,
}

pub(crate) fn start(shared: &Arc<Shared>, lanes: &Arc<Lanes>) {
    let drain = &shared.platform.drain;
    let requested = (Arc::clone(shared), Arc::clone(lanes));
    drain.spawn("requests", async move {
        let mut facts = requested.0.journal.work_feed();
        while let Some(message) = facts.next().await {
            let asked_by = match message.value {
                DeliveryFact::Requested(_) => AskedBy::Request,
                _ => AskedBy::Other,
            };
            match Work::asked_for_by(&message.value) {
                Some(work) => requested.1.offer(&requested.0, Job::new(message.map(|_| work), asked_by)).await,
                None => message.ack().await,
            }
        }
    });
    let due = (Arc::clone(shared), Arc::clone(lanes));
    drain.spawn("timers", async move {
        let mut timers: Feed<Work> = due.0.journal.due_feed();
        while let Some(message) = timers.next().await {
            due.1.offer(&due.0, Job::new(message, AskedBy::Other)).await;
        }
    });
    drain.spawn("parked work", look_for_parked(Arc::clone(shared), Arc::clone(lanes)));
}

async fn look_for_parked(shared: Arc<Shared>, lanes: Arc<Lanes>) {
    let drain = shared.platform.drain.clone();
    while !drain.is_stopping() {
        match shared.journal.parked().await {
            Ok(parked) => {
                for (destination, _) in parked {
                    lanes.order(&shared, &destination, Order::LookForParked).await;
                }
            }
            Err(error) => tracing::debug!(error = error.chain(), "cannot look for parked work now"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_FOR_PARKED) => {}
            () = drain.stopping() => {}
        }
    }
}

impl Lanes {
    /// Hands a job to its lane.
    pub(crate) async fn offer(self: &Arc<Self>, shared: &Arc<Shared>, job: Job) {
        let destination = job.work.reference.destination.clone();
        self.order(shared, &destination, Order::Do(Box::new(job))).await;
    }

    /// Hands an order to a lane, opening it if need be.
    async fn order(self: &Arc<Self>, shared: &Arc<Shared>, destination: &DestinationId, mut order: Order) {
        loop {
            let lane = {
                let mut lanes = self.lanes.lock().await;
                let open = || {
                    let (orders, inbox) = mpsc::channel(ORDERS);
                    let lane = lane::Lane::new(Arc::clone(shared), Arc::clone(self), destination.clone(), inbox);
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
