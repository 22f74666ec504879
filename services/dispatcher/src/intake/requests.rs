//! Takes requests, fired timers and parked work from the broker and offers them to lanes.

use std::{sync::Arc, time::Duration};

use domain::{DeliveryFact, Work};
use journal::WorkQueue;
use runtime::ErrorChain as _;

use crate::{
    lanes::{directory::Lanes, order::Order},
    shared::Shared,
    work_item::{WorkItem, WorkSource},
};

/// The interval of checks for parked work whose lane is closed: after a restart, or if another process parked it.
const PARKED_CHECK_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) fn start(shared: &Arc<Shared>, lanes: &Arc<Lanes>) {
    let drain = &shared.platform.drain;
    let requested = (Arc::clone(shared), Arc::clone(lanes));
    drain.spawn("requests", async move {
        let mut facts = requested.0.journal.deliveries().work_queue();
        while let Some(message) = facts.next().await {
            let source = match message.value {
                DeliveryFact::Requested(_) => WorkSource::Request,
                _ => WorkSource::Other,
            };
            match Work::requested_by(&message.value) {
                Some(work) => requested.1.offer(&requested.0, WorkItem::new(message.map(|_| work), source)).await,
                None => message.ack().await,
            }
        }
    });
    let due = (Arc::clone(shared), Arc::clone(lanes));
    drain.spawn("timers", async move {
        let mut timers: WorkQueue<Work> = due.0.journal.timers().work_queue();
        while let Some(message) = timers.next().await {
            due.1.offer(&due.0, WorkItem::new(message, WorkSource::Other)).await;
        }
    });
    drain.spawn("parked work", look_for_parked(Arc::clone(shared), Arc::clone(lanes)));
}

async fn look_for_parked(shared: Arc<Shared>, lanes: Arc<Lanes>) {
    let drain = shared.platform.drain.clone();
    while !drain.is_stopping() {
        match shared.journal.parking().lanes().await {
            Ok(parked) => {
                for (destination, _) in parked {
                    lanes.order(&shared, &destination, Order::LookForParked).await;
                }
            }
            Err(error) => tracing::debug!(error = error.chain(), "cannot list parked work; retrying"),
        }
        tokio::select! {
            () = tokio::time::sleep(PARKED_CHECK_INTERVAL) => {}
            () = drain.stopping() => {}
        }
    }
}
