//! Suspect work: it was redelivered again and again without an attempt, so it may kill processes.
//!
//! Redelivery alone proves little: an outage of the broker, an update of all processes and a crash caused by other work
//! look the same. So the beginning of such an attempt is recorded, and the requests of suspects are made (rendered and
//! signed, not sent) one at a time. If the process dies meanwhile, this work has probably killed it. Work that began
//! [`MAX_BEGUN`] times and never ended is abandoned. An attempt whose request was made does not count, because the
//! process survived it.

use std::sync::Arc;

use domain::{AttemptId, DeliveryFact, delivery::AttemptStarted, registry::Destination};
use jiff::Timestamp;
use runtime::trace::TraceContext;
use tokio::sync::SemaphorePermit;

use crate::{shared::Shared, work_item::WorkItem};

/// Work is suspected when it was delivered more often than this. One redelivery may have any cause.
const MAX_UNSUSPECTED: u64 = 2;
/// How many times a suspected attempt may begin. A process may be killed for another reason, but three times within the
/// few milliseconds that making a request takes is very unlikely.
const MAX_BEGUN: usize = 3;

/// The permit that a suspect holds while its request is made; `None` for other work.
pub(crate) type Alone<'a> = Option<SemaphorePermit<'a>>;

/// Begins an attempt. Returns `None` if it began too often. Returns `Err` if a secret cannot be opened or the broker
/// does not store the beginning; the attempt must not begin then.
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
        // Checked before the beginning is recorded: work that waits for a secret is redelivered until the secret can be
        // opened, and must not count.
        if let Err(error) = shared.key.open_bytes(&sealed.secret.0, &sealed.belongs_to) {
            shared.vault.does_not_open(&destination.id, error);
            return Err(error.into());
        }
    }
    let reference = &item.work.reference;
    if shared.history.begun(item.key()) >= MAX_BEGUN {
        trace.within(|| {
            tracing::error!(
                delivery = %reference.delivery,
                destination = %reference.destination,
                event = %reference.event_id,
                "attempt began {MAX_BEGUN} times and never ended; abandoning its delivery"
            );
        });
        return Ok(None);
    }
    let alone = shared.alone.acquire().await.ok();
    let started = DeliveryFact::AttemptStarted(AttemptStarted {
        reference: Arc::clone(reference),
        attempt_id,
        attempt: item.work.attempt,
        round: item.work.round,
        resend: item.work.resend,
        holds: item.work.holds,
        at: Timestamp::now(),
    });
    shared.journal.deliveries().append(&started, trace).await?;
    shared.history.remember_begun(reference.delivery, item.work.attempt, attempt_id);
    Ok(Some(alone))
}

/// Work with a template is suspected at its first redelivery, because only templates evaluate the payload. The delivery
/// count alone is not enough: the broker may have removed the consumer of parked work, and the count with it.
fn is_suspected(destination: &Destination, item: &WorkItem) -> bool {
    let is_repeat = item.message.may_be_repeat.is_some();
    item.message.delivered > MAX_UNSUSPECTED || (is_repeat && render::has_template(destination))
}
