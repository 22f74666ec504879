//! The sequencer routes the events of accounts with an ordered destination.
//!
//! One dispatcher at a time holds the lease and reads LEADS in order. If an ordered destination wants an event, the
//! sequencer appends the delivery to its lead's ordered queue and records the request. If the delivery is the first one
//! of the queue, the sequencer also releases it. Any dispatcher takes the release and works on it as on other requests.
//! When the delivery has ended, [`release_next`] removes it from its queue and releases the next one.
//!
//! So an unfinished delivery is always in its queue. The first delivery of each queue is either released, or about to
//! be released by a process whose own message is not acknowledged yet.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use domain::{
    AccountId, DeliveryFact, DeliveryId, DeliveryRef, DestinationId, LeadEvent, LeadId, LeadSequence,
    delivery::{MAX_CHILD_AGE, RequestedWork, release, request, request_in_turn},
    routing::{destinations_for, goes_in_turn, is_routed_in_order},
};
use futures::future::try_join_all;
use jiff::Timestamp;
use journal::{
    Entry, JournalError, QueuedDelivery, ReaderLease, SEQUENCER_LEASE, Since, StreamFact as _, StreamName, leader,
};
use runtime::{
    crash, processing,
    trace::{TraceContext, Traced as _},
};
use tokio::time::{Instant, timeout_at};

use crate::shared::Shared;

/// The maximum number of events between two writes of the lease.
const MAX_BATCH: usize = 500;
/// The time to wait until the registry view has an event's registry sequence.
const REGISTRY_TIMEOUT: Duration = Duration::from_secs(3);
/// The maximum number of destinations whose history is read at once.
const MAX_HISTORY_READS: usize = 16;

pub(crate) async fn run(shared: Arc<Shared>) {
    leader::run(&shared.journal, SEQUENCER_LEASE, |lease| follow(&shared, lease)).await;
}

/// Reads LEADS from the position of the lease, until the drain. After an error the next leader reads the batch again,
/// and looks up which of its deliveries are requested already.
async fn follow(shared: &Arc<Shared>, mut lease: ReaderLease) -> Result<(), JournalError> {
    advance_until_ordered(shared, &mut lease).await?;
    let mut events = shared.journal.facts::<LeadEvent>().read(lease.sequence() + 1);
    // The previous leader may have handled some events after the stored position.
    let (mut read, mut again) = (lease.sequence(), MAX_BATCH);
    while !shared.platform.drain.is_stopping() {
        let batch = timeout_at(lease.renew_at(), events.next_batch(MAX_BATCH)).await.unwrap_or_default();
        if let Some(last) = batch.last() {
            let unsure = batch.partition_point(|entry| entry.sequence <= lease.unsure_until());
            let (seen, new) = batch.split_at(again.min(batch.len()).max(unsure));
            again = again.saturating_sub(seen.len());
            let queueing = async {
                queue_all(shared, seen, true).await?;
                queue_all(shared, new, false).await
            };
            while_renewing(&mut lease, read, queueing).await?;
            read = last.sequence;
        }
        lease.advance(read).await?;
    }
    lease.leave().await
}

/// Renews the lease while `doing` runs.
async fn while_renewing(
    lease: &mut ReaderLease,
    read: u64,
    doing: impl Future<Output = Result<(), JournalError>>,
) -> Result<(), JournalError> {
    let mut doing = pin!(doing);
    loop {
        match timeout_at(lease.renew_at(), &mut doing).await {
            Ok(done) => return done,
            Err(_) => lease.advance(read).await?,
        }
    }
}

/// Advances the lease without reading events, as long as there was never an ordered destination.
async fn advance_until_ordered(shared: &Shared, lease: &mut ReaderLease) -> Result<(), JournalError> {
    let drain = &shared.platform.drain;
    while !drain.is_stopping() {
        let seen = shared.registry.snapshot().sequence();
        let last = shared.journal.stream(StreamName::Leads).last_sequence().await?;
        // No event up to `last` has a later registry sequence than this.
        let known = shared.journal.stream(domain::RegistryFact::STREAM).last_sequence().await?;
        let Some(registry) = shared.registry.at_least(known, REGISTRY_TIMEOUT).await else { continue };
        if registry.ever_kept_order() {
            return Ok(());
        }
        lease.advance(last.max(lease.sequence())).await?;
        tokio::select! {
            () = tokio::time::sleep_until(lease.renew_at()) => {}
            _ = shared.registry.changed_since(seen.max(known)) => {}
            () = drain.stopping() => {}
        }
    }
    Ok(())
}

/// A delivery to queue.
struct Wanted {
    requested: DeliveryFact,
    trace: TraceContext,
    published_at: Timestamp,
}

/// Queues the deliveries of these events: one after another in each queue, and all queues at once.
async fn queue_all(shared: &Shared, events: &[Entry<LeadEvent>], again: bool) -> Result<(), JournalError> {
    let mut queues: HashMap<(DestinationId, LeadId), Vec<Wanted>> = HashMap::new();
    for entry in events {
        for wanted in wanted(shared, entry).await? {
            let reference = wanted.requested.reference();
            queues.entry((reference.destination.clone(), reference.lead.clone())).or_default().push(wanted);
        }
    }
    let before = if again { requested_before(shared, &queues).await? } else { HashSet::new() };
    let before = &before;
    let queueing = queues.into_values().map(|queue| async move {
        for wanted in queue {
            let was_requested = before.contains(&wanted.requested.reference().delivery);
            let event = &wanted.requested.reference().event_id;
            let make = || processing!(StreamName::Leads, leadline.event.id = %event);
            let span = TraceContext::enter(Some(&wanted.trace), make).0;
            queue_one(shared, &wanted, was_requested, again).traced(span, &wanted.trace).await?;
        }
        Ok(())
    });
    try_join_all(queueing).await.map(drop)
}

async fn wanted(shared: &Shared, entry: &Entry<LeadEvent>) -> Result<Vec<Wanted>, JournalError> {
    let Some(event) = &entry.value else { return Ok(vec![]) };
    let registry = loop {
        match shared.registry.at_least(event.registry_sequence, REGISTRY_TIMEOUT).await {
            Some(registry) => break registry,
            None if shared.platform.drain.is_stopping() => return Err(JournalError::LostRace),
            None => entry.trace.within(|| {
                tracing::warn!(event = %event.event_id, "cannot queue event: configuration not known yet; retrying");
            }),
        }
    };
    if !is_routed_in_order(&registry, event) {
        return Ok(vec![]);
    }
    let sequence = LeadSequence(entry.sequence);
    let wanted = destinations_for(&registry, event).into_iter().map(|destination| Wanted {
        requested: if goes_in_turn(&registry, event, &destination) {
            request_in_turn(event, sequence, &destination.id, entry.published_at)
        } else {
            request(event, sequence, &destination.id, entry.published_at)
        },
        trace: entry.trace.clone(),
        published_at: entry.published_at,
    });
    let wanted: Vec<_> = wanted.collect();
    if !wanted.is_empty() {
        shared.payloads.remember(sequence, event, &entry.trace);
    }
    Ok(wanted)
}

/// The deliveries that a previous leader has requested. They may even have ended since then.
async fn requested_before(
    shared: &Shared,
    queues: &HashMap<(DestinationId, LeadId), Vec<Wanted>>,
) -> Result<HashSet<DeliveryId>, JournalError> {
    let mut since: HashMap<(&AccountId, &DestinationId), Timestamp> = HashMap::new();
    for wanted in queues.values().flatten() {
        let reference = wanted.requested.reference();
        let earliest = since.entry((&reference.account, &reference.destination)).or_insert(wanted.published_at);
        *earliest = (*earliest).min(wanted.published_at);
    }
    let since: Vec<_> = since.into_iter().collect();
    let mut requested = HashSet::new();
    // A few at a time, because each read needs its own consumer.
    for some in since.chunks(MAX_HISTORY_READS) {
        let reads = some.iter().map(|&((account, destination), since)| async move {
            shared.journal.deliveries().requested(account, destination, Since::Time(since)).await
        });
        requested.extend(try_join_all(reads).await?.into_iter().flat_map(|read| read.found));
    }
    Ok(requested)
}

async fn queue_one(shared: &Shared, wanted: &Wanted, was_requested: bool, again: bool) -> Result<(), JournalError> {
    let reference = wanted.requested.reference();
    if !waits_for_turn(&wanted.requested) {
        if was_requested {
            return Ok(());
        }
        return shared.journal.deliveries().append(&wanted.requested, &wanted.trace).await.map(drop);
    }
    if !was_requested {
        shared.journal.ordered().enqueue(&wanted.requested, &wanted.trace).await?;
        crash::point("after a delivery is queued");
        shared.journal.deliveries().append(&wanted.requested, &wanted.trace).await?;
    }
    match shared.journal.ordered().first(&reference.destination, &reference.lead).await? {
        Some(first) if first.requested.reference().delivery == reference.delivery => {
            release_queued(shared, &first, again).await
        }
        _ => Ok(()),
    }
}

fn waits_for_turn(requested: &DeliveryFact) -> bool {
    matches!(requested, DeliveryFact::Requested(f) if f.work == RequestedWork::InTurn)
}

/// Removes an ended delivery from its queue and releases the next one. `again` is true if this may have happened
/// before.
pub(crate) async fn release_next(shared: &Shared, ended: &DeliveryRef, again: bool) -> Result<(), JournalError> {
    while let Some(first) = shared.journal.ordered().first(&ended.destination, &ended.lead).await? {
        if first.requested.reference().delivery != ended.delivery {
            return release_queued(shared, &first, again).await;
        }
        shared.journal.ordered().remove(&first).await?;
        crash::point("after a turn has ended");
    }
    Ok(())
}

/// Releases a delivery, unless it was released before. Older releases have to be looked up, because the broker
/// remembers message ids only for a while.
async fn release_queued(shared: &Shared, queued: &QueuedDelivery, again: bool) -> Result<(), JournalError> {
    let (journal, reference, since) = (&shared.journal, queued.requested.reference(), queued.queued_at);
    if again || !journal.remembers_ids_since(since, Timestamp::now()) {
        let read = |since| journal.deliveries().released(&reference.account, &reference.destination, since);
        // The broker recognises recent releases by their ids.
        let as_of = journal.remembers_ids_from(Instant::now());
        if shared.released.contains(reference, since, as_of, read).await? {
            return Ok(());
        }
    }
    match release(&queued.requested, queued.sequence, Timestamp::now()) {
        Some(released) => {
            // After a late release, the attempt belongs to the trace of the work that released it; otherwise to the
            // trace of its event.
            let is_late = Timestamp::now().duration_since(since) > MAX_CHILD_AGE;
            let trace = if is_late { TraceContext::current() } else { queued.trace.clone() };
            journal.deliveries().append(&released, &trace).await.map(drop)
        }
        None => Ok(()),
    }
}
