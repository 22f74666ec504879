//! One attempt, and what follows from it: timer, fact, acknowledgement, in this order. Whatever the process dies
//! between is done again, and has the same result.

use std::{convert::Infallible, panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use crypto::OpenError;
use domain::{
    AccountId, AttemptId, AttemptOutcome, DeliveryFact, DestinationId, ErrorKind, RegistryFact, breaker,
    delivery::{self, AttemptStarted, Effect, Execution, FailureReason, HoldReason},
    registry::{Command, Deactivation, Destination, UrlRules},
};
use futures::FutureExt as _;
use jiff::Timestamp;
use journal::{Attempted, Found, JournalError};
use runtime::{ErrorChain as _, crash, together, trace::TraceContext};
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    Shared, authorized,
    job::{AskedBy, Job},
    looked_back::LookedBack,
    outcome::{LONGEST_MESSAGE, NotSent, cut},
    payloads::Content,
    prepare, request, sequencer, span, successes,
    tally::Counted,
};

/// From when on an attempt that is being made is shown to people.
const VISIBLE_AFTER: Duration = Duration::from_secs(1);
/// The pause before an effect is tried again that the broker did not take. It is tried until the process ends: the
/// attempt has been made, and forgetting it would repeat it.
const EFFECT_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait until a change of the configuration is known here.
const REGISTRY_DEADLINE: Duration = Duration::from_secs(2);
/// When work comes back that could not be done for want of the broker, or of connections.
const AGAIN: Duration = Duration::from_secs(1);
/// For how long a lane pauses whose secrets do not open: until then a new secret is known, and nothing else helps.
const SEALED_PAUSE: Duration = Duration::from_secs(5);
/// For how long a lane pauses while the proxy of the installation cannot be used.
const EGRESS_PAUSE: Duration = Duration::from_secs(5);

/// What an attempt means for its lane.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// The receiver asked to be left alone for so long.
    pub(crate) pause: Option<Duration>,
    /// Whether there was nobody to talk to; none: nobody was talked to.
    pub(crate) transport_failed: Option<bool>,
    /// The work, if there was no connection for it.
    pub(crate) not_begun: Option<Box<Job>>,
    /// Whether the delivery ended with it.
    finished: bool,
    /// The slot of a request that did not go well: free once the lane knows what that means, and not before.
    _slot: Option<Counted>,
}

/// What became of work that was not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetAside {
    /// It waits in the broker.
    Parked,
    /// It has ended, or comes again.
    Gone,
}

/// Makes an attempt and performs what follows. Its slot is free for another one as soon as the receiver has answered well.
pub(crate) async fn make(shared: Arc<Shared>, destination: Arc<Destination>, job: Job, slot: Counted) -> Ended {
    let Some(_under_way) = shared.known.begin(job.key()) else {
        // It is under way already. Whoever makes it acknowledges for the same message; another one comes again, and the
        // attempt is then found made.
        return Ended::default();
    };
    let making = AssertUnwindSafe(async {
        match was_made(&shared, &job).await? {
            Some(finished) => {
                settle(&shared, &job, finished).await;
                Ok(Ended { finished, ..Ended::default() })
            }
            None => make_once(&shared, &destination, &job, slot).await,
        }
    });
    let Ok(made) = job.message.while_doing(making.catch_unwind()).await else {
        give_up(&shared, &job).await;
        return Ended::default();
    };
    match made {
        Ok(ended) => {
            crash::point("after a fact is stored");
            let made = Attempted { attempt: job.work.attempt, round: job.work.round, ended: ended.finished };
            shared.known.remember(job.work.reference.delivery, made);
            job.message.ack().await;
            ended
        }
        Err(error) if error.is::<NotSent>() => {
            let pause = match error.downcast_ref() {
                // The first one was logged.
                Some(NotSent::Egress(_)) => EGRESS_PAUSE,
                _ => {
                    tracing::warn!(error = format!("{error:#}"), "an attempt could not begin; its work is parked");
                    AGAIN
                }
            };
            Ended { pause: Some(pause), not_begun: Some(Box::new(job)), ..Ended::default() }
        }
        // The vault says so.
        Err(error) if error.is::<OpenError>() => {
            Ended { pause: Some(SEALED_PAUSE), not_begun: Some(Box::new(job)), ..Ended::default() }
        }
        Err(error) => {
            tracing::warn!(error = format!("{error:#}"), "an attempt could not begin; trying again");
            job.message.retry_later(AGAIN).await;
            Ended::default()
        }
    }
}

/// The attempt panicked, and would again: its delivery ends, so that it neither comes again for ever nor fails others.
async fn give_up(shared: &Shared, job: &Job) {
    let reference = &job.work.reference;
    tracing::error!(delivery = %reference.delivery, destination = %reference.destination, "an attempt panicked; its delivery is given up");
    let given_up = delivery::abandon(&job.work, FailureReason::Crashed, Timestamp::now());
    job.message.while_doing(perform(shared, given_up, &job.message.trace)).await;
    let made = Attempted { attempt: job.work.attempt, round: job.work.round, ended: true };
    shared.known.remember(reference.delivery, made);
    job.message.ack().await;
}

/// Whether the attempt, or a later one, was made and recorded before; if so, whether the delivery ended with it. If the
/// message may have been handed out before, what was recorded since then is looked through, once for all that a
/// destination's messages ask.
async fn was_made(shared: &Shared, job: &Job) -> Result<Option<bool>, JournalError> {
    let key = job.key();
    let made = shared.known.made(key);
    let (None, Some(as_of)) = (made, job.message.may_be_repeat) else { return Ok(made) };
    let reference = &job.work.reference;
    let looked_back = shared.known.looked_back(&reference.destination);
    let mut looked_back = looked_back.lock().await;
    let from = job.message.published_at;
    if let Some(since) = LookedBack::missing(*looked_back, from, as_of) {
        let began = Instant::now();
        let Found { found, until } =
            shared.journal.attempted(&reference.account, &reference.destination, since).await?;
        for (delivery, made) in found.latest {
            shared.known.remember(delivery, made);
        }
        for (delivery, attempt, execution) in found.begun {
            shared.known.remember_begun(delivery, attempt, execution);
        }
        *looked_back = Some(LookedBack::extended(*looked_back, since, from, began, until));
    }
    Ok(shared.known.made(key))
}

/// An attempt was made, and perhaps not all that follows from it.
async fn settle(shared: &Shared, job: &Job, finished: bool) {
    if finished {
        perform(shared, delivery::pass_turn(&job.work), &job.message.trace).await;
    }
}

/// `Err`: nothing was sent.
async fn make_once(shared: &Shared, destination: &Arc<Destination>, job: &Job, slot: Counted) -> anyhow::Result<Ended> {
    let content = match content(shared, job).await? {
        Ok(content) => content,
        Err(why) => {
            let gone = delivery::abandon(&job.work, why, Timestamp::now());
            perform(shared, gone, &job.message.trace).await;
            return Ok(Ended { finished: true, ..Ended::default() });
        }
    };
    let (span, trace) = TraceContext::enter(Some(&job.message.trace), || span::of_attempt(job));
    let attempt_id = AttemptId::from_uuid(Uuid::now_v7());
    let (started_at, clock) = (Timestamp::now(), Instant::now());
    let Some(made) = prepare::request(shared, destination, job, &content, attempt_id, started_at, &trace).await? else {
        let given_up = delivery::abandon(&job.work, FailureReason::Crashed, Timestamp::now());
        perform(shared, given_up, &job.message.trace).await;
        return Ok(Ended { finished: true, ..Ended::default() });
    };
    let (line, outcome) = match made {
        Ok(request) => {
            crash::point("before a request");
            let (line, redaction) = (request.line(), request.redaction.clone());
            let sending = authorized::send(shared, &destination.account, request, destination.timeout);
            let sending = pin!(sending.instrument(span.clone()));
            let outcome = tokio::select! {
                outcome = sending => outcome?,
                never = announce(shared, job, attempt_id, started_at, &trace) => match never {},
            };
            (line, redaction.apply(outcome))
        }
        Err(error) => {
            let message = cut(error.to_string(), LONGEST_MESSAGE);
            let outcome = AttemptOutcome::NoResponse { kind: ErrorKind::Render, message };
            (request::intended(destination), outcome)
        }
    };
    crash::point("after an answer");
    span::record(&span, &outcome);
    let success = outcome.is_success();
    let (pause, transport_failed) = (outcome.asks_to_pause(), Some(breaker::is_transport_failure(&outcome)));
    let execution = Execution {
        attempt_id,
        started_at,
        duration: clock.elapsed(),
        request: line,
        outcome,
        destination_off: is_off(shared, &job.work.reference.destination),
        others_succeeded: false,
    };
    let execution = successes::added_to(shared, job, destination, execution).await;
    let effects = delivery::after_attempt(&job.work, &destination.retry, execution);
    let finished = !effects.iter().any(|effect| matches!(effect, Effect::SetTimer { .. }));
    // Dropped at once if all went well.
    let _slot = (!success).then_some(slot);
    if !success && clock.elapsed() >= VISIBLE_AFTER {
        // Those that run into their timeout together are recorded together.
        together::sleep_at_least(Duration::ZERO).await;
    }
    let _turn = if success { None } else { shared.unhurried.acquire().await.ok() };
    perform(shared, effects, &trace).instrument(span).await;
    Ok(Ended { pause, transport_failed, not_begun: None, finished, _slot })
}

/// What there is to send, or why there is nothing.
async fn content(shared: &Shared, job: &Job) -> Result<Result<Content, FailureReason>, JournalError> {
    let reference = &job.work.reference;
    if shared.forgotten.covers(reference) {
        return Ok(Err(FailureReason::Anonymised));
    }
    if let Some(content) = shared.payloads.get(&shared.journal, reference.lead_sequence).await? {
        return Ok(Ok(content));
    }
    let anonymised = shared.forgotten.has(&shared.journal, reference, job.work.requested_at).await?;
    Ok(Err(if anonymised { FailureReason::Anonymised } else { FailureReason::PayloadGone }))
}

/// Lets people see an attempt that lasts long. If the broker is away nobody sees it, and nothing is lost.
async fn announce(
    shared: &Shared,
    job: &Job,
    attempt_id: AttemptId,
    at: Timestamp,
    trace: &TraceContext,
) -> Infallible {
    together::sleep_at_least(VISIBLE_AFTER).await;
    let started = DeliveryFact::AttemptStarted(AttemptStarted {
        reference: Arc::clone(&job.work.reference),
        attempt_id,
        attempt: job.work.attempt,
        round: job.work.round,
        at,
    });
    let turn = shared.unhurried.acquire().await;
    if let Err(error) = shared.journal.append_delivery(&started, trace).await {
        tracing::debug!(error = error.chain(), "a long attempt could not be announced");
    }
    drop(turn);
    std::future::pending().await
}

/// The work waits until its lane can take it.
pub(crate) async fn park(shared: Arc<Shared>, job: Job) -> SetAside {
    let parking = async {
        // What was handed out before may have been done; whoever takes the parked copy could no longer know.
        if let Some(finished) = was_made(&shared, &job).await? {
            settle(&shared, &job, finished).await;
            return Ok(SetAside::Gone);
        }
        // What waits for longer than a second can wait for the others.
        together::sleep_at_least(Duration::ZERO).await;
        shared.journal.park(&job.work, job.name(), &job.message.trace).await?;
        if job.asked_by == AskedBy::Event {
            crash::point("after an event is parked");
            // After it, because an event whose request is recorded is done when it comes again.
            shared.journal.append_delivery(&delivery::request_parked(&job.work), &job.message.trace).await?;
        }
        Ok::<_, JournalError>(SetAside::Parked)
    };
    match job.message.while_doing(parking).await {
        Ok(set_aside) => {
            job.message.ack().await;
            set_aside
        }
        Err(error) => {
            if !error.is_logged() {
                tracing::warn!(error = error.chain(), "work could not be parked; trying again");
            }
            job.message.retry_later(AGAIN).await;
            SetAside::Gone
        }
    }
}

/// The work waits until a person enables its destination again.
pub(crate) async fn hold(shared: Arc<Shared>, job: Job, reason: HoldReason) -> SetAside {
    let (fact, held) = delivery::hold(&job.work, reason, Timestamp::now());
    let holding = perform(&shared, [Effect::Append(fact)], &job.message.trace);
    job.message.while_doing(holding).await;
    park(shared, Job { work: held, ..job }).await
}

/// The work will never be done, unless it was done already.
pub(crate) async fn abandon(shared: Arc<Shared>, job: Job, reason: FailureReason) -> SetAside {
    let abandoning = async {
        match was_made(&shared, &job).await? {
            Some(finished) => settle(&shared, &job, finished).await,
            None => {
                let abandoned = delivery::abandon(&job.work, reason, Timestamp::now());
                perform(&shared, abandoned, &job.message.trace).await;
            }
        }
        Ok::<_, JournalError>(())
    };
    match job.message.while_doing(abandoning).await {
        Ok(()) => job.message.ack().await,
        Err(error) => {
            if !error.is_logged() {
                tracing::warn!(error = error.chain(), "work could not be given up; trying again");
            }
            job.message.retry_later(AGAIN).await;
        }
    }
    SetAside::Gone
}

/// The work cannot be judged yet; it comes again.
pub(crate) async fn wait(job: Job) -> SetAside {
    job.message.retry_later(AGAIN).await;
    SetAside::Gone
}

/// The one place where effects happen.
async fn perform(shared: &Shared, effects: impl IntoIterator<Item = Effect>, trace: &TraceContext) {
    for effect in effects {
        while let Err(error) = perform_one(shared, &effect, trace).await {
            if !error.is_logged() {
                tracing::warn!(error = error.chain(), "what followed an attempt could not be stored yet; trying again");
            }
            sleep(EFFECT_PAUSE).await;
        }
    }
}

async fn perform_one(shared: &Shared, effect: &Effect, trace: &TraceContext) -> Result<(), JournalError> {
    match effect {
        Effect::SetTimer { work, at } => {
            shared.journal.schedule(work, *at, trace).await?;
            crash::point("after a timer is set");
            Ok(())
        }
        Effect::Deactivate { account, destination, why } => deactivate(shared, account, destination, why).await,
        Effect::CancelTimer { destination, delivery, round } => {
            shared.journal.cancel_timer(destination, *delivery, *round).await
        }
        Effect::Append(fact) => shared.journal.append_delivery(fact, trace).await.map(drop),
        Effect::PassTurn { ended, again } => {
            crash::point("before a turn is passed");
            // Boxed, because it is large and rare.
            Box::pin(sequencer::pass_turn(shared, ended, *again)).await
        }
    }
}

/// Whether a destination takes nothing at the moment.
pub(crate) fn is_off(shared: &Shared, destination: &DestinationId) -> bool {
    shared.registry.snapshot().destination(destination).is_none_or(|d| d.is_off())
}

/// Switches a destination off unless a person or another process has done so already.
async fn deactivate(
    shared: &Shared,
    account: &AccountId,
    destination: &DestinationId,
    why: &Deactivation,
) -> Result<(), JournalError> {
    let registry = shared.registry.snapshot();
    let open = registry.destination(destination).is_some_and(|d| !d.is_off());
    let command = Command::DeactivateDestination(account.clone(), destination.clone(), why.clone());
    let decision = registry.decide(command, UrlRules::default());
    let (true, Ok(decision)) = (open, decision) else { return Ok(()) };
    let fact = RegistryFact { at: why.at, by: "dispatcher".to_owned(), change: decision.change };
    let sequence = match shared.journal.append_registry(&fact, decision.expected_version).await {
        Ok(sequence) => sequence,
        // Whoever was first may have changed something else: look again once that is known.
        Err(JournalError::LostRace) => {
            shared.registry.at_least(registry.sequence() + 1, REGISTRY_DEADLINE).await;
            return Err(JournalError::LostRace);
        }
        Err(error) => return Err(error),
    };
    tracing::warn!(%destination, cause = why.cause.as_str(), "a destination is deactivated");
    shared.registry.at_least(sequence, REGISTRY_DEADLINE).await;
    Ok(())
}
