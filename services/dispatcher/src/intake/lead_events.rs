//! The router finds the deliveries of each lead event. It skips accounts with an ordered destination, whose events the
//! sequencer routes (`ordered.rs`).
//!
//! Events of bursts are routed only while no others wait.
//!
//! If only a few destinations want an event, the router offers the event itself to their lanes as work. It is
//! acknowledged when each lane has recorded an attempt, parked the work or abandoned it. A delivery that succeeds at
//! once costs one fact instead of two, and waits for no other process.
//!
//! If more destinations want an event, or if it is redelivered, the dispatchers share the work. The router stores a
//! `DeliveryRequested` fact for each delivery, and acknowledges the event once all of them are stored. It looks up
//! requests that are recorded already, and computes message ids, so a redelivered event stores no request twice.

use std::{pin::pin, sync::Arc, time::Duration};

use domain::{
    DeliveryFact, LeadEvent, LeadSequence, Work,
    delivery::{RequestedWork, request},
    routing::{destinations_for, is_routed_in_order},
};
use futures::{
    Stream, StreamExt as _,
    stream::{self, FuturesUnordered},
};
use journal::{JournalError, Message, StreamName, Traffic};
use runtime::{
    ErrorChain as _, crash, processing,
    trace::{TraceContext, Traced as _},
};
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::{
    lanes::{directory::Lanes, lane_queue},
    shared::Shared,
    work_item::{WorkItem, WorkSource},
};

/// The maximum number of events that are routed at once. [`lane_queue::room_for`] bounds the work of lanes.
const MAX_IN_FLIGHT: usize = 512;
/// An event of a burst is routed only if fewer events than this are in flight.
const MAX_BURST_IN_FLIGHT: usize = 64;
/// The maximum number of deliveries of one event that the router offers to the lanes of its own process. If an event has
/// more, all of them are requested from any dispatcher.
const MAX_DIRECT_DELIVERIES: usize = 8;
/// The time to wait until the registry view has the event's registry sequence.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(3);
/// The delay before an event that could not be routed is retried.
const RETRY_DELAY: Duration = Duration::from_millis(500);

pub(crate) async fn run(shared: Arc<Shared>, lanes: Arc<Lanes>) {
    let mut steady = pin!(events(&shared, Traffic::Steady));
    let mut bursts = pin!(events(&shared, Traffic::Burst));
    let mut in_flight = FuturesUnordered::new();
    // The next event of a burst, and when it arrived. The loop takes it from the work queue at once, so that the queue
    // notices how long the events after it have waited in this process.
    let mut of_burst: Option<(Instant, Message<LeadEvent>)> = None;
    loop {
        let (room, room_for_burst) = (in_flight.len() < MAX_IN_FLIGHT, in_flight.len() < MAX_BURST_IN_FLIGHT);
        let event = tokio::select! {
            biased;
            event = bursts.next(), if of_burst.is_none() => match event {
                Some(event) => {
                    of_burst = Some((Instant::now(), event));
                    continue;
                }
                None => break,
            },
            event = steady.next(), if room => event,
            Some(()) = in_flight.next() => continue,
            Some((since, mut event)) = async { of_burst.take() }, if room_for_burst => {
                event.mark_if_stale(since);
                Some(event)
            }
        };
        let Some(event) = event else { break };
        in_flight.push(route(&shared, &lanes, event));
    }
    if let Some((_, event)) = of_burst {
        event.nak(Duration::ZERO).await;
    }
    while in_flight.next().await.is_some() {}
}

/// The events of a kind of traffic, each once the lanes have room for its deliveries. This is a stream, because a
/// stream keeps its progress if `select!` takes another branch.
fn events(shared: &Shared, traffic: Traffic) -> impl Stream<Item = Message<LeadEvent>> {
    stream::unfold(shared.journal.leads().work_queue(traffic), move |mut queue| async move {
        lane_queue::room_for(traffic, &shared.waiting).await;
        queue.next().await.map(|event| (event, queue))
    })
}

async fn route(shared: &Arc<Shared>, lanes: &Arc<Lanes>, message: Message<LeadEvent>) {
    let event = &message.value;
    let known = message.with_heartbeat(shared.registry.at_least(event.registry_sequence, REGISTRY_TIMEOUT));
    let Some(registry) = known.await else {
        message.trace.within(|| {
            tracing::warn!(event = %event.event_id, "cannot route event: configuration not known yet; retrying");
        });
        return message.nak(RETRY_DELAY).await;
    };
    if is_routed_in_order(&registry, event) {
        return message.ack().await;
    }
    let sequence = LeadSequence(message.sequence);
    let wanting = destinations_for(&registry, event);
    let facts: Vec<_> = wanting.iter().map(|d| request(event, sequence, &d.id, message.published_at)).collect();
    if facts.is_empty() {
        return message.ack().await;
    }
    shared.payloads.remember(sequence, event, &message.trace);
    let (span, trace) = TraceContext::enter(
        Some(&message.trace),
        || processing!(StreamName::Leads, leadline.event.id = %event.event_id, leadline.deliveries = facts.len()),
    );
    if facts.len() <= MAX_DIRECT_DELIVERIES && message.may_be_repeat.is_none() {
        let works: Vec<_> = facts.iter().filter_map(Work::requested_by).collect();
        for part in message.divided(works, trace) {
            lanes.offer(shared, WorkItem::new(part, WorkSource::Event)).instrument(span.clone()).await;
        }
        return;
    }
    match record(shared, &message, facts, &trace).traced(span, &trace).await {
        Ok(()) => {
            crash::point("after an event is routed");
            message.ack().await;
        }
        Err(error) => {
            if !error.is_logged() {
                trace.within(|| {
                    tracing::warn!(error = error.chain(), event = %event.event_id, "cannot route event; retrying");
                });
            }
            message.nak(RETRY_DELAY).await;
        }
    }
}

/// Stores the requests. If the event may be a redelivery, requests that are recorded already are left out.
async fn record(
    shared: &Shared,
    message: &Message<LeadEvent>,
    mut requests: Vec<DeliveryFact>,
    trace: &TraceContext,
) -> Result<(), JournalError> {
    let (journal, since) = (&shared.journal, message.published_at);
    if let Some(as_of) = message.may_be_repeat {
        let all = std::mem::take(&mut requests);
        for request in all {
            let reference = request.reference();
            let read = |since| journal.deliveries().requested(&reference.account, &reference.destination, since);
            if !shared.requested.contains(reference, since, as_of, read).await? {
                requests.push(request.with_work(RequestedWork::Here { again: true }));
            }
        }
    }
    journal.deliveries().append_all(&requests, trace).await
}
