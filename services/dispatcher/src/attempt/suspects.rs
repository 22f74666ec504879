//! Suspect work: it was delivered again and again and never came to an attempt, so processes may die of it.
//!
//! Redelivery alone proves little: a broker that is away, an update of all processes, and a death over other work look
//! the same. So the beginning of such an attempt is recorded, and its request is made while no other suspect is: if
//! the process dies then, it died of this work. Work that began [`MAX_BEGUN`] times and never ended is given up. An
//! attempt whose request was made does not count, because the process survived it.

use std::sync::Arc;

use domain::{AttemptId, DeliveryFact, delivery::AttemptStarted, registry::Destination};
use jiff::Timestamp;
use runtime::trace::TraceContext;
use tokio::sync::SemaphorePermit;

use crate::{Shared, work_item::WorkItem};

/// How often work may be handed out before it is suspected: once, and once more for whatever happens.
const MAX_UNSUSPECTED: u64 = 2;
/// How often a suspected attempt may begin: a process may be killed for another reason meanwhile, but not so often in the
/// milliseconds that making a request takes.
const MAX_BEGUN: usize = 3;

/// Held while the request is made; empty for work that nothing is known against.
pub(crate) type Alone<'a> = Option<SemaphorePermit<'a>>;

/// Begins an attempt; `None` if it began too often. `Err` if a secret does not open: then no attempt begins.
pub(crate) async fn begin<'a>(
    shared: &'a Shared,
    destination: &Destination,
    item: &WorkItem,
    attempt_id: AttemptId,
    trace: &TraceContext,
) -> anyhow::Result<Option<Alone<'a>>> {
    if !is_suspected(destination, item) {
        return Ok(Some(None));
    }
    let registry = shared.registry.snapshot();
    for sealed in registry.sealed_secrets_of(destination, Timestamp::now()) {
        // Before anything is put on record: what waits for a secret comes again for as long as that takes.
        if let Err(error) = shared.key.open_bytes(&sealed.secret.0, &sealed.belongs_to) {
            shared.vault.does_not_open(&destination.id, error);
            return Err(error.into());
        }
    }
    let reference = &item.work.reference;
    if shared.known.begun(item.key()) >= MAX_BEGUN {
        tracing::error!(
            delivery = %reference.delivery,
            destination = %reference.destination,
            event = %reference.event_id,
            "an attempt began {MAX_BEGUN} times and never ended; its delivery is given up"
        );
        return Ok(None);
    }
    let alone = shared.alone.acquire().await.ok();
    let started = DeliveryFact::AttemptStarted(AttemptStarted {
        reference: Arc::clone(reference),
        attempt_id,
        attempt: item.work.attempt,
        round: item.work.round,
        resend: item.work.resend,
        at: Timestamp::now(),
    });
    shared.journal.deliveries().append(&started, trace).await?;
    shared.known.remember_begun(reference.delivery, item.work.attempt, attempt_id);
    Ok(Some(alone))
}

/// What a lead holds is looked into by templates only, so their work is suspected as soon as it may have come before: what
/// is parked has a consumer that the broker may have forgotten, and its count with it.
fn is_suspected(destination: &Destination, item: &WorkItem) -> bool {
    let is_repeat = item.message.may_be_repeat.is_some();
    item.message.delivered > MAX_UNSUSPECTED || (is_repeat && render::has_template(destination))
}
