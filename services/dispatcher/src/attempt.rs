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
    delivery::{self, AttemptStarted, Effect, Execution, FailureReason, HoldReason},
    registry::Destination,
};
use futures::FutureExt as _;
use jiff::Timestamp;
use journal::{Attempted, Found, JournalError};
use runtime::{ErrorChain as _, crash, publishing, together, trace::TraceContext};
use tokio::time::Instant;
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    Shared,
    effects::{is_off, perform},
    history::range::ReadRange,
    lanes::counter::CountGuard,
    measured,
    payloads::Content,
    transport::authorized,
    transport::exchange::Sent,
    transport::outcome::{MAX_MESSAGE, NotSent, cut},
    transport::request,
    work_item::{AskedBy, WorkItem},
};

/// From when on an attempt that is being made is shown to people.
const VISIBLE_AFTER: Duration = Duration::from_secs(1);
/// When work comes back that could not be done for want of the broker, or of connections.
const RETRY_DELAY: Duration = Duration::from_secs(1);
/// For how long a lane pauses whose secrets do not open: until then a new secret is known, and nothing else helps.
const SEALED_RETRY_DELAY: Duration = Duration::from_secs(5);
/// For how long a lane pauses while the proxy of the installation cannot be used.
const EGRESS_RETRY_DELAY: Duration = Duration::from_secs(5);

/// What an attempt means for its lane.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// The receiver asked to be left alone for so long.
    pub(crate) pause: Option<Duration>,
    /// Whether there was nobody to talk to; none: nobody was talked to.
    pub(crate) transport_failed: Option<bool>,
    /// The work, if there was no connection for it.
    pub(crate) not_begun: Option<Box<WorkItem>>,
    /// Whether the delivery ended with it.
    finished: bool,
    /// The slot of a request that did not go well: free once the lane knows what that means, and not before.
    _slot: Option<CountGuard>,
}

/// What became of work that was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// It waits in the broker.
    Parked,
    /// It has ended, or comes again.
    Gone,
}

/// Makes an attempt and performs what follows. Its slot is free for another one as soon as the receiver has answered well.
pub(crate) async fn make(
    shared: Arc<Shared>,
    destination: Arc<Destination>,
    item: WorkItem,
    slot: CountGuard,
) -> Ended {
    let Some(_under_way) = shared.known.begin(item.key()) else {
        // It is under way already. Whoever makes it acknowledges for the same message; another one comes again, and the
        // attempt is then found made.
        return Ended::default();
    };
    let making = AssertUnwindSafe(async {
        match was_made(&shared, &item).await? {
            Some(finished) => {
                settle(&shared, &item, finished).await;
                Ok(Ended { finished, ..Ended::default() })
            }
            None => make_once(&shared, &destination, &item, slot).await,
        }
    });
    let Ok(made) = item.message.with_heartbeat(making.catch_unwind()).await else {
        give_up(&shared, &item).await;
        return Ended::default();
    };
    match made {
        Ok(ended) => {
            crash::point("after a fact is stored");
            let made = Attempted { attempt: item.work.attempt, round: item.work.round, ended: ended.finished };
            shared.known.remember(item.work.reference.delivery, made);
            item.message.ack().await;
            ended
        }
        Err(error) if error.is::<NotSent>() => {
            let pause = match error.downcast_ref() {
                // The first one was logged.
                Some(NotSent::Egress(_)) => EGRESS_RETRY_DELAY,
                _ => {
                    tracing::warn!(error = runtime::chain_of(&error), "an attempt could not begin; its work is parked");
                    RETRY_DELAY
                }
            };
            Ended { pause: Some(pause), not_begun: Some(Box::new(item)), ..Ended::default() }
        }
        // The vault says so.
        Err(error) if error.is::<OpenError>() => {
            Ended { pause: Some(SEALED_RETRY_DELAY), not_begun: Some(Box::new(item)), ..Ended::default() }
        }
        Err(error) => {
            tracing::warn!(error = runtime::chain_of(&error), "an attempt could not begin; trying again");
            item.message.nak(RETRY_DELAY).await;
            Ended::default()
        }
    }
}

/// The attempt panicked, and would again: its delivery ends, so that it neither comes again for ever nor fails others.
async fn give_up(shared: &Shared, item: &WorkItem) {
    let reference = &item.work.reference;
    tracing::error!(delivery = %reference.delivery, destination = %reference.destination, "an attempt panicked; its delivery is given up");
    let given_up = delivery::abandon(&item.work, FailureReason::Crashed, Timestamp::now());
    item.message.with_heartbeat(perform(shared, given_up, &item.message.trace)).await;
    let made = Attempted { attempt: item.work.attempt, round: item.work.round, ended: true };
    shared.known.remember(reference.delivery, made);
    item.message.ack().await;
}

/// Whether the attempt, or a later one, was made and recorded before; if so, whether the delivery ended with it. If the
/// message may have been handed out before, what was recorded since then is looked through, once for all that a
/// destination's messages ask.
async fn was_made(shared: &Shared, item: &WorkItem) -> Result<Option<bool>, JournalError> {
    let key = item.key();
    let made = shared.known.made(key);
    let (None, Some(as_of)) = (made, item.message.may_be_repeat) else { return Ok(made) };
    let reference = &item.work.reference;
    let looked_back = shared.known.looked_back(&reference.destination);
    let mut looked_back = looked_back.lock().await;
    let from = item.message.published_at;
    if let Some(since) = ReadRange::missing(*looked_back, from, as_of) {
        let began = Instant::now();
        let Found { found, until } =
            shared.journal.deliveries().attempted(&reference.account, &reference.destination, since).await?;
        for (delivery, made) in found.latest {
            shared.known.remember(delivery, made);
        }
        for (delivery, attempt, execution) in found.begun {
            shared.known.remember_begun(delivery, attempt, execution);
        }
        *looked_back = Some(ReadRange::extended(*looked_back, since, from, began, until));
    }
    Ok(shared.known.made(key))
}

/// An attempt was made, and perhaps not all that follows from it.
async fn settle(shared: &Shared, item: &WorkItem, finished: bool) {
    if finished {
        perform(shared, delivery::pass_turn(&item.work), &item.message.trace).await;
    }
}

/// `Err`: nothing was sent.
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
            return Ok(Ended { finished: true, ..Ended::default() });
        }
    };
    let attempt_id = AttemptId::from_uuid(Uuid::now_v7());
    let (started_at, clock) = (Timestamp::now(), Instant::now());
    let (span, trace) = span::enter(shared, destination, item, &content, started_at);
    let told = span::sent(destination, &span, &trace);
    measured::begun(item, started_at, &trace);
    let Some(made) =
        prepare::request(shared, destination, item, &content, attempt_id, started_at, (&trace, &told)).await?
    else {
        let given_up = delivery::abandon(&item.work, FailureReason::Crashed, Timestamp::now());
        perform(shared, given_up, &item.message.trace).await;
        return Ok(Ended { finished: true, ..Ended::default() });
    };
    let (line, Sent { outcome, exchange }) = match made {
        Ok(request) => {
            crash::point("before a request");
            let (line, redaction) = (request.line(), request.redaction.clone());
            let sending = authorized::send(shared, &destination.account, request, destination.timeout);
            let sending = pin!(sending.instrument(span.clone()));
            let sent = tokio::select! {
                sent = sending => sent?,
                never = announce(shared, item, attempt_id, started_at, &trace) => match never {},
            };
            (line, sent.redacted(&redaction))
        }
        Err(error) => {
            let message = cut(error.to_string(), MAX_MESSAGE);
            let outcome = AttemptOutcome::NoResponse { kind: ErrorKind::Render, message };
            (request::intended(destination), Sent { outcome, exchange: None })
        }
    };
    crash::point("after an answer");
    let success = outcome.is_success();
    let (pause, transport_failed) = (outcome.asks_to_pause(), Some(breaker::is_transport_failure(&outcome)));
    let mut execution = Execution {
        attempt_id,
        started_at,
        duration: clock.elapsed(),
        request: line,
        outcome,
        exchange,
        destination_off: is_off(shared, &item.work.reference.destination),
        others_succeeded: false,
        trace: None,
    };
    let trace = span::end(shared, destination, item, &execution, (span, trace));
    execution.trace = span::reference(&trace);
    let execution = successes::added_to(shared, item, destination, execution).await;
    let effects = delivery::after_attempt(&item.work, &destination.retry, execution);
    let finished = !effects.iter().any(|effect| matches!(effect, Effect::SetTimer { .. }));
    // Dropped at once if all went well.
    let _slot = (!success).then_some(slot);
    if !success && clock.elapsed() >= VISIBLE_AFTER {
        // Those that run into their timeout together are recorded together.
        together::sleep_at_least(Duration::ZERO).await;
    }
    let _turn = if success { None } else { shared.unhurried.acquire().await.ok() };
    let storing = TraceContext::enter(Some(&trace), || publishing!("DELIVERIES")).0;
    perform(shared, effects, &trace).instrument(storing).await;
    Ok(Ended { pause, transport_failed, not_begun: None, finished, _slot })
}

/// What there is to send, or why there is nothing.
async fn content(shared: &Shared, item: &WorkItem) -> Result<Result<Content, FailureReason>, JournalError> {
    let reference = &item.work.reference;
    if shared.forgotten.covers(reference) {
        return Ok(Err(FailureReason::Anonymised));
    }
    if let Some(content) = shared.payloads.get(&shared.journal, reference.lead_sequence).await? {
        return Ok(Ok(content));
    }
    let anonymised = shared.forgotten.has(&shared.journal, reference, item.work.requested_at).await?;
    Ok(Err(if anonymised { FailureReason::Anonymised } else { FailureReason::PayloadGone }))
}

/// Lets people see an attempt that lasts long. If the broker is away nobody sees it, and nothing is lost.
async fn announce(
    shared: &Shared,
    item: &WorkItem,
    attempt_id: AttemptId,
    at: Timestamp,
    trace: &TraceContext,
) -> Infallible {
    together::sleep_at_least(VISIBLE_AFTER).await;
    let started = DeliveryFact::AttemptStarted(AttemptStarted {
        reference: Arc::clone(&item.work.reference),
        attempt_id,
        attempt: item.work.attempt,
        round: item.work.round,
        resend: item.work.resend,
        at,
    });
    let turn = shared.unhurried.acquire().await;
    if let Err(error) = shared.journal.deliveries().append(&started, trace).await {
        tracing::debug!(error = error.chain(), "a long attempt could not be announced");
    }
    drop(turn);
    std::future::pending().await
}

/// The work waits until its lane can take it.
pub(crate) async fn park(shared: Arc<Shared>, item: WorkItem) -> Disposition {
    let parking = async {
        // What was handed out before may have been done; whoever takes the parked copy could no longer know.
        if let Some(finished) = was_made(&shared, &item).await? {
            settle(&shared, &item, finished).await;
            return Ok(Disposition::Gone);
        }
        // What waits for longer than a second can wait for the others.
        together::sleep_at_least(Duration::ZERO).await;
        shared.journal.parking().park(&item.work, item.name(), &item.message.trace).await?;
        if item.asked_by == AskedBy::Event {
            crash::point("after an event is parked");
            // After it, because an event whose request is recorded is done when it comes again.
            shared.journal.deliveries().append(&delivery::request_parked(&item.work), &item.message.trace).await?;
        }
        Ok::<_, JournalError>(Disposition::Parked)
    };
    match item.message.with_heartbeat(parking).await {
        Ok(set_aside) => {
            item.message.ack().await;
            set_aside
        }
        Err(error) => {
            if !error.is_logged() {
                tracing::warn!(error = error.chain(), "work could not be parked; trying again");
            }
            item.message.nak(RETRY_DELAY).await;
            Disposition::Gone
        }
    }
}

/// The work waits until a person enables its destination again.
pub(crate) async fn hold(shared: Arc<Shared>, item: WorkItem, reason: HoldReason) -> Disposition {
    let (fact, held) = delivery::hold(&item.work, reason, Timestamp::now());
    let holding = perform(&shared, [Effect::Append(fact)], &item.message.trace);
    item.message.with_heartbeat(holding).await;
    park(shared, WorkItem { work: held, ..item }).await
}

/// The work will never be done, unless it was done already.
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
                tracing::warn!(error = error.chain(), "work could not be given up; trying again");
            }
            item.message.nak(RETRY_DELAY).await;
        }
    }
    Disposition::Gone
}

/// The work cannot be judged yet; it comes again.
pub(crate) async fn wait(item: WorkItem) -> Disposition {
    item.message.nak(RETRY_DELAY).await;
    Disposition::Gone
}
