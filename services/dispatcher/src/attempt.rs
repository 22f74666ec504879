//! One attempt and its effects, in this order: timer, fact, acknowledgement. If the process dies between two of them,
//! another process performs them again, with the same result.

pub(crate) mod prepare;
pub(crate) mod renderers;
pub(crate) mod span;
pub(crate) mod successes;
pub(crate) mod suspects;
pub(crate) mod vault;

use std::{convert::Infallible, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use crypto::OpenError;
use domain::{
    AttemptId, AttemptOutcome, DeliveryFact, ErrorKind, breaker,
    delivery::{self, AttemptStarted, Effect, Execution, FailureReason, HoldReason, SpanRef},
    registry::Destination,
};
use futures::FutureExt as _;
use jiff::Timestamp;
use journal::{Attempted, Found, JournalError, StreamName};
use runtime::{
    ErrorChain as _, coalesced_timer, crash, publishing,
    trace::{TraceContext, Traced as _},
};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    effects::{is_off, perform},
    history::range::ReadRange,
    lanes::counter::CountGuard,
    measured,
    payloads::Content,
    shared::Shared,
    transport::{
        authorized,
        exchange::Sent,
        outcome::{MAX_MESSAGE, NotSent, cut},
        request,
    },
    work_item::{WorkItem, WorkSource},
};

/// An attempt that takes longer is shown to people while it runs.
const VISIBLE_AFTER: Duration = Duration::from_secs(1);
/// How long work waits if the broker is unavailable, no connection is free, or the registry view is too old.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// The pause of a lane with a secret that cannot be opened. After a person sets a new secret, the lane continues within
/// this time.
const SEALED_RETRY_DELAY: Duration = Duration::from_secs(5);
/// The pause of a lane while the egress proxy cannot be used.
const EGRESS_RETRY_DELAY: Duration = Duration::from_secs(5);

/// The result of an attempt, for its lane.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// The pause that the receiver asked for.
    pub(crate) pause: Option<Duration>,
    /// Whether the attempt was a transport failure; `None` if no request was made.
    pub(crate) transport_failed: Option<bool>,
    /// Whether the lane made progress: the work could begin, and did not fail at the transport.
    pub(crate) moved: bool,
    /// The work, if its attempt could not begin: no connection was free, the egress proxy failed, or a secret could not
    /// be opened.
    pub(crate) not_begun: Option<Box<WorkItem>>,
    /// The span of the attempt; `None` if it had no trace.
    pub(crate) span: Option<SpanRef>,
    /// Whether the delivery ended with this attempt.
    finished: bool,
    /// The slot of a request that failed. It becomes free when the lane has handled the failure.
    _slot: Option<CountGuard>,
}

/// What happened to work that was not attempted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// The work waits in the broker.
    Parked,
    /// The work has ended, or will be redelivered.
    Gone,
}

/// Makes an attempt and performs its effects. After a success the slot is free before the fact is stored.
pub(crate) async fn make(
    shared: Arc<Shared>,
    destination: Arc<Destination>,
    item: WorkItem,
    slot: CountGuard,
) -> Ended {
    let Some(_in_flight) = shared.history.begin(item.key()) else {
        // The attempt is in flight already. If it belongs to the same message, its end acknowledges that message. Any
        // other message is redelivered later, when the attempt is recorded.
        return Ended::default();
    };
    let making = AssertUnwindSafe(async {
        match was_made(&shared, &item).await? {
            Some(finished) => {
                settle(&shared, &item, finished).await;
                Ok(Ended { finished, moved: true, ..Ended::default() })
            }
            None => make_once(&shared, &destination, &item, slot).await,
        }
    });
    let Ok(made) = item.message.with_heartbeat(making.catch_unwind()).await else {
        abandon_panicked(&shared, &item).await;
        return Ended::default();
    };
    match made {
        Ok(ended) => {
            crash::point("after a fact is stored");
            let made = Attempted { attempt: item.work.attempt, round: item.work.round, ended: ended.finished };
            shared.history.remember(item.work.reference.delivery, made);
            item.message.ack().await;
            ended
        }
        Err(error) if error.is::<NotSent>() => {
            let pause = match error.downcast_ref() {
                // `transport/client/egress.rs` has logged the first failure of the egress proxy.
                Some(NotSent::Egress(_)) => EGRESS_RETRY_DELAY,
                _ => {
                    item.message.trace.within(|| {
                        tracing::warn!(error = runtime::chain_of(&error), "cannot begin attempt; parking its work");
                    });
                    RETRY_DELAY
                }
            };
            Ended { pause: Some(pause), not_begun: Some(Box::new(item)), ..Ended::default() }
        }
        // The vault has logged the error.
        Err(error) if error.is::<OpenError>() => {
            Ended { pause: Some(SEALED_RETRY_DELAY), not_begun: Some(Box::new(item)), ..Ended::default() }
        }
        Err(error) => {
            item.message.trace.within(|| {
                tracing::warn!(error = runtime::chain_of(&error), "cannot begin attempt; retrying");
            });
            item.message.nak(RETRY_DELAY).await;
            Ended::default()
        }
    }
}

/// Abandons the delivery of an attempt that panicked, because every retry would panic, too.
async fn abandon_panicked(shared: &Shared, item: &WorkItem) {
    let reference = &item.work.reference;
    item.message.trace.within(|| {
        tracing::error!(delivery = %reference.delivery, destination = %reference.destination, "attempt panicked; abandoning its delivery");
    });
    let abandoned = delivery::abandon(&item.work, FailureReason::Crashed, Timestamp::now());
    item.message.with_heartbeat(perform(shared, abandoned, &item.message.trace)).await;
    let made = Attempted { attempt: item.work.attempt, round: item.work.round, ended: true };
    shared.history.remember(reference.delivery, made);
    item.message.ack().await;
}

/// Whether this attempt or a later one is recorded already; if so, whether the delivery ended with it. If the message
/// may be a redelivery, the facts since its publication are read, once for all waiting messages of the destination.
async fn was_made(shared: &Shared, item: &WorkItem) -> Result<Option<bool>, JournalError> {
    let key = item.key();
    let made = shared.history.made(key);
    let (None, Some(as_of)) = (made, item.message.may_be_repeat) else { return Ok(made) };
    let reference = &item.work.reference;
    let range = shared.history.read_range(&reference.destination);
    let mut range = range.lock().await;
    let from = item.message.published_at;
    if let Some(since) = ReadRange::missing(*range, from, as_of) {
        let began = Instant::now();
        let Found { found, until } =
            shared.journal.deliveries().attempted(&reference.account, &reference.destination, since).await?;
        for (delivery, made) in found.latest {
            shared.history.remember(delivery, made);
        }
        for (delivery, attempt, execution) in found.begun {
            shared.history.remember_begun(delivery, attempt, execution);
        }
        *range = Some(ReadRange::extended(*range, since, from, began, until));
    }
    Ok(shared.history.made(key))
}

/// Performs the effects that may be missing after a recorded attempt.
async fn settle(shared: &Shared, item: &WorkItem, finished: bool) {
    if finished {
        perform(shared, delivery::release_next(&item.work), &item.message.trace).await;
    }
}

/// Returns `Err` if nothing was sent.
async fn make_once(
    shared: &Shared,
    destination: &Arc<Destination>,
    item: &WorkItem,
    slot: CountGuard,
) -> anyhow::Result<Ended> {
    let content = match content(shared, item).await? {
        Ok(content) => content,
        Err(why) => {
            let gone = delivery::abandon(&item.work, why, Timestamp::now());
            perform(shared, gone, &item.message.trace).await;
            return Ok(Ended { finished: true, moved: true, ..Ended::default() });
        }
    };
    let attempt_id = AttemptId::from_uuid(Uuid::now_v7());
    let (started_at, clock) = (Timestamp::now(), Instant::now());
    let (span, trace) = span::enter(shared, destination, item, &content, started_at);
    let sent_trace = span::sent(destination, &span, &trace);
    measured::begun(item, started_at, &trace);
    let Some(made) =
        prepare::request(shared, destination, item, &content, attempt_id, started_at, (&trace, &sent_trace)).await?
    else {
        let abandoned = delivery::abandon(&item.work, FailureReason::Crashed, Timestamp::now());
        perform(shared, abandoned, &item.message.trace).await;
        return Ok(Ended { finished: true, moved: true, ..Ended::default() });
    };
    let (line, Sent { outcome, exchange }) = match made {
        Ok(request) => {
            crash::point("before a request");
            let (line, redaction) = (request.line(), request.redaction.clone());
            let sending = authorized::send(shared, &destination.account, request, destination.timeout);
            let sending = pin!(sending.traced(span.clone(), &trace));
            let sent = tokio::select! {
                sent = sending => sent?,
                never = announce(shared, item, attempt_id, started_at, &trace) => match never {},
            };
            (line, sent.redacted(&redaction))
        }
        Err(error) => {
            let message = cut(error.chain(), MAX_MESSAGE);
            let outcome = AttemptOutcome::NoResponse { kind: ErrorKind::Render, message };
            (request::intended(destination), Sent { outcome, exchange: None })
        }
    };
    crash::point("after an answer");
    let success = outcome.is_success();
    let moved = !breaker::is_transport_failure(&outcome);
    let is_request = !matches!(outcome.error_kind(), Some(ErrorKind::Render | ErrorKind::Blocked));
    let transport_failed = is_request.then_some(!moved);
    let pause = outcome.asks_to_pause();
    let mut execution = Execution {
        attempt_id,
        started_at,
        duration: clock.elapsed(),
        request: line,
        outcome,
        exchange: None,
        destination_off: is_off(shared, &item.work.reference.destination),
        others_succeeded: false,
        trace: None,
    };
    let trace = span::end(shared, destination, item, (&execution, exchange.as_deref()), (span, trace));
    execution.trace = span::reference(&trace);
    let kept = exchange.filter(|_| shared.keep_exchanges);
    execution.exchange = kept.map(|exchange| events::encode_exchange(*exchange, &item.work.reference));
    let span = execution.trace;
    let successes = &shared.successes;
    let execution = successes.complete(&shared.journal, &shared.registry, item, destination, execution).await;
    let effects = delivery::after_attempt(&item.work, &destination.retry, execution);
    let finished = !effects.iter().any(|effect| matches!(effect, Effect::SetTimer { .. }));
    // After a success the slot is dropped here.
    let _slot = (!success).then_some(slot);
    if !success && clock.elapsed() >= VISIBLE_AFTER {
        // Attempts that time out at the same time are recorded together.
        coalesced_timer::sleep_at_least(Duration::ZERO).await;
    }
    let _permit = if success { None } else { shared.deferred.acquire().await.ok() };
    let storing = TraceContext::enter(Some(&trace), || publishing!(StreamName::Deliveries)).0;
    perform(shared, effects, &trace).traced(storing, &trace).await;
    Ok(Ended { pause, transport_failed, moved, not_begun: None, span, finished, _slot })
}

/// The content to send, or the reason why there is none.
async fn content(shared: &Shared, item: &WorkItem) -> Result<Result<Content, FailureReason>, JournalError> {
    let reference = &item.work.reference;
    if shared.anonymised.covers(reference) {
        return Ok(Err(FailureReason::Anonymised));
    }
    if let Some(content) = shared.payloads.get(&shared.journal, reference.lead_sequence).await? {
        return Ok(Ok(content));
    }
    let anonymised = shared.anonymised.has(&shared.journal, reference, item.work.requested_at).await?;
    Ok(Err(if anonymised { FailureReason::Anonymised } else { FailureReason::PayloadGone }))
}

/// Shows a long attempt to people while it runs. If the broker is unavailable, the attempt is not shown, and nothing is
/// lost.
async fn announce(
    shared: &Shared,
    item: &WorkItem,
    attempt_id: AttemptId,
    at: Timestamp,
    trace: &TraceContext,
) -> Infallible {
    coalesced_timer::sleep_at_least(VISIBLE_AFTER).await;
    let started = DeliveryFact::AttemptStarted(AttemptStarted {
        reference: Arc::clone(&item.work.reference),
        attempt_id,
        attempt: item.work.attempt,
        round: item.work.round,
        resend: item.work.resend,
        holds: item.work.holds,
        at,
    });
    let permit = shared.deferred.acquire().await;
    if let Err(error) = shared.journal.deliveries().append(&started, trace).await {
        tracing::debug!(error = error.chain(), "cannot announce long attempt");
    }
    drop(permit);
    std::future::pending().await
}

/// Parks work until its lane can take it.
pub(crate) async fn park(shared: Arc<Shared>, item: WorkItem) -> Disposition {
    let parking = async {
        // If the message is a redelivery, the attempt may have been made already. A process that takes the parked copy
        // could not know that.
        if let Some(finished) = was_made(&shared, &item).await? {
            settle(&shared, &item, finished).await;
            return Ok(Disposition::Gone);
        }
        // The work has waited for more than a second, so it can also wait for the shared tick.
        coalesced_timer::sleep_at_least(Duration::ZERO).await;
        shared.journal.parking().park(&item.work, item.name(), &item.message.trace).await?;
        if item.source == WorkSource::Event {
            crash::point("after an event is parked");
            // The work is parked first. If the request were recorded first and the process died, the redelivered event
            // would be skipped, and no copy of the work would exist.
            shared.journal.deliveries().append(&delivery::request_parked(&item.work), &item.message.trace).await?;
        }
        Ok::<_, JournalError>(Disposition::Parked)
    };
    match item.message.with_heartbeat(parking).await {
        Ok(disposition) => {
            item.message.ack().await;
            disposition
        }
        Err(error) => {
            if !error.is_logged() {
                let log = || tracing::warn!(error = error.chain(), "cannot park work; retrying");
                item.message.trace.within(log);
            }
            item.message.nak(RETRY_DELAY).await;
            Disposition::Gone
        }
    }
}

/// Parks work until a person enables its destination again.
pub(crate) async fn hold(shared: Arc<Shared>, item: WorkItem, reason: HoldReason) -> Disposition {
    let (fact, held) = delivery::hold(&item.work, reason, Timestamp::now());
    let holding = perform(&shared, [Effect::Append(fact)], &item.message.trace);
    item.message.with_heartbeat(holding).await;
    park(shared, WorkItem { work: held, ..item }).await
}

/// Ends a delivery without an attempt, unless the attempt was made already.
pub(crate) async fn abandon(shared: Arc<Shared>, item: WorkItem, reason: FailureReason) -> Disposition {
    let abandoning = async {
        match was_made(&shared, &item).await? {
            Some(finished) => settle(&shared, &item, finished).await,
            None => {
                let abandoned = delivery::abandon(&item.work, reason, Timestamp::now());
                perform(&shared, abandoned, &item.message.trace).await;
            }
        }
        Ok::<_, JournalError>(())
    };
    match item.message.with_heartbeat(abandoning).await {
        Ok(()) => item.message.ack().await,
        Err(error) => {
            if !error.is_logged() {
                let log = || tracing::warn!(error = error.chain(), "cannot abandon work; retrying");
                item.message.trace.within(log);
            }
            item.message.nak(RETRY_DELAY).await;
        }
    }
    Disposition::Gone
}

/// Returns work that cannot be decided yet; the broker redelivers it.
pub(crate) async fn wait(item: WorkItem) -> Disposition {
    item.message.nak(RETRY_DELAY).await;
    Disposition::Gone
}
