//! Makes the request of an attempt from a template and a lead, which are both untrusted. If the work may have killed a
//! process, the beginning of the attempt is recorded first.

use std::sync::Arc;

use domain::{AttemptId, registry::Destination};
use jiff::Timestamp;
use runtime::{crash, trace::TraceContext};

use crate::{
    attempt::suspects,
    payloads::Content,
    shared::Shared,
    transport::request::{self, NoRequest, Request},
    work_item::WorkItem,
};

/// Makes the request, or returns why none can be made. `None` if the delivery has to be abandoned.
///
/// # Errors
/// When no attempt begins: a secret cannot be opened, or the broker is unavailable.
pub(crate) async fn request(
    shared: &Shared,
    destination: &Arc<Destination>,
    item: &WorkItem,
    content: &Content,
    attempt_id: AttemptId,
    now: Timestamp,
    (trace, sent): (&TraceContext, &TraceContext),
) -> anyhow::Result<Option<Result<Request, NoRequest>>> {
    let Some(alone) = suspects::begin(shared, destination, item, attempt_id, trace).await? else { return Ok(None) };
    let event = item.work.reference.event_id.as_str();
    crash::panic_point("before a request", event);
    crash::point_of("before a request", event);
    let rendered = shared.renderers.render(destination, &item.work.reference, content).await;
    let registry = shared.registry.snapshot();
    let made = rendered.and_then(|rendered| {
        let (work, key, hops) = (&item.work, &shared.key, content.hops);
        request::make(request::Parts { work, destination, registry: &registry, key, rendered, hops, now, trace: sent })
    });
    if alone.is_some() {
        shared.history.remember_survived(item.work.reference.delivery, item.work.attempt, attempt_id);
    }
    if let Err(NoRequest::Sealed(error)) = made {
        shared.vault.does_not_open(&destination.id, error);
        return Err(error.into());
    }
    Ok(Some(made))
}
