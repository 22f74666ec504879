//! What is recorded about a delivery, and the work that waits for its time.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    ids::{
        AccountId, AttemptId, ClientId, DeliveryId, DestinationId, EventId, EventType, InterfaceId, JobId, LeadId,
        LeadSequence,
    },
    outcome::AttemptOutcome,
    policy::Progress,
    registry::DeactivationCause,
};

/// What a delivery is about. Every fact carries it, so that no reader needs another fact to understand one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRef {
    /// The delivery; computed from account, event and destination.
    pub delivery: DeliveryId,
    /// Whose it is.
    pub account: AccountId,
    /// Where the lead came from.
    pub interface: InterfaceId,
    /// The sub-account, if the publisher named one.
    pub client: Option<ClientId>,
    /// Where it goes.
    pub destination: DestinationId,
    /// The event.
    pub event_id: EventId,
    /// Its type.
    pub event_type: EventType,
    /// The lead that the event is about.
    pub lead: LeadId,
    /// Where LEADS holds the event and its payload.
    pub lead_sequence: LeadSequence,
    /// When it was requested: unless a job found it missing, when its event was stored. None: the fact is from before this was
    /// recorded.
    pub requested_at: Option<Timestamp>,
}

/// A fact about one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryFact {
    /// The router found that the destination wants the event. Missing if the first thing that happened was an attempt: then
    /// the event itself was its work.
    Requested(DeliveryRequested),
    /// Its turn has come, at a destination that keeps the order of each lead's events.
    Released(DeliveryReleased),
    /// A person or a tool asked for another round of attempts.
    RetryRequested(RetryRequested),
    /// An attempt has lasted long enough for a person to see it.
    AttemptStarted(AttemptStarted),
    /// An attempt ended.
    Attempted(DeliveryAttempted),
    /// What is left of an attempt whose lead was anonymised, in place of it: without URL, excerpt and message.
    AttemptBlanked(DeliveryAttempted),
    /// The delivery waits because a person or a policy decided so.
    Held(DeliveryHeld),
    /// The delivery ended without another attempt.
    Abandoned(DeliveryAbandoned),
}

/// The router found that the destination wants the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRequested {
    /// What it is about.
    pub reference: Arc<DeliveryRef>,
    /// When.
    pub at: Timestamp,
    /// Where its work is.
    pub work: RequestedWork,
    /// The job that found it missing, if the router did not request it.
    pub job: Option<JobId>,
}

/// Where the work of a delivery is that was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedWork {
    /// This fact is the work; `again`: its event came before, and whoever made an attempt then may have left a timer.
    Here {
        /// See above.
        again: bool,
    },
    /// It comes with [`DeliveryReleased`]: nothing is sent before.
    InTurn,
    /// It was the event's, and waits for its lane: this only tells so.
    Parked,
}

/// No earlier delivery of the same lead to the same destination is unfinished any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReleased {
    /// What it is about.
    pub reference: Arc<DeliveryRef>,
    /// When it was requested.
    pub requested_at: Timestamp,
    /// When its turn came.
    pub at: Timestamp,
    /// Its place in the queue: an event that is published again, long after, waits for another turn.
    pub turn: u64,
}

/// Another round of attempts was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRequested {
    /// What it is about.
    pub reference: Arc<DeliveryRef>,
    /// The round that begins; the first manual retry begins round 1.
    pub round: u32,
    /// How many attempts were made before.
    pub attempts: u32,
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub by: String,
    /// The job that asked for it, if it was one.
    pub job: Option<JobId>,
}

/// An attempt has lasted long enough for a person to see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptStarted {
    /// What it is about.
    pub reference: Arc<DeliveryRef>,
    /// The execution.
    pub attempt_id: AttemptId,
    /// Its number in the delivery, from 1.
    pub attempt: u32,
    /// Its round.
    pub round: u32,
    /// When it started.
    pub at: Timestamp,
}

/// An attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAttempted {
    /// What it is about.
    pub reference: Arc<DeliveryRef>,
    /// The execution.
    pub attempt_id: AttemptId,
    /// Its number in the delivery, from 1.
    pub attempt: u32,
    /// Its round.
    pub round: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    /// What was sent where.
    pub request: RequestLine,
    /// What came back.
    pub outcome: AttemptOutcome,
    /// What follows.
    pub verdict: Verdict,
    /// Why this attempt switched its destination off, if it did.
    pub deactivated: Option<DeactivationCause>,
}

impl DeliveryAttempted {
    /// When the attempt ended.
    pub fn ended_at(&self) -> Timestamp {
        self.started_at.checked_add(self.duration).unwrap_or(Timestamp::MAX)
    }
}

/// The request that an attempt made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine {
    /// The HTTP method.
    pub method: String,
    /// The URL as rendered, without secrets.
    pub url: String,
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is delivered.
    Succeeded,
    /// Another attempt at this time.
    RetryAt(Timestamp),
    /// Nothing: it failed.
    Failed(FailureReason),
}

/// Why a delivery failed for good (until a person retries it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The retry policy has no further attempt.
    Exhausted,
    /// The next attempt would come after the policy's maximum age.
    TooOld,
    /// The destination was deleted.
    DestinationDeleted,
    /// LEADS no longer holds the payload (its retention is over).
    PayloadGone,
    /// The lead was anonymised.
    Anonymised,
    /// An operator decided not to send it.
    Skipped,
    /// The destination is Leadline itself, and the lead goes round and round.
    Loop,
    /// The destination's settings make no request of this lead, however often it is tried.
    Render,
    /// The work failed inside Leadline again and again: it panicked, or processes died over it.
    Crashed,
}

impl FailureReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Exhausted,
        Self::TooOld,
        Self::DestinationDeleted,
        Self::PayloadGone,
        Self::Anonymised,
        Self::Skipped,
        Self::Loop,
        Self::Render,
        Self::Crashed,
    ];

    /// The word that is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::TooOld => "too_old",
            Self::DestinationDeleted => "destination_deleted",
            Self::PayloadGone => "payload_gone",
            Self::Anonymised => "anonymised",
            Self::Skipped => "skipped",
            Self::Loop => "loop",
            Self::Render => "render",
            Self::Crashed => "crashed",
        }
    }

    /// The reason that a stored word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// The delivery waits because a person or a policy decided so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryHeld {
    /// What it is about.
    pub reference: Arc<DeliveryRef>,
    /// How many attempts were made before.
    pub attempts: u32,
    /// The round that it is in.
    pub round: u32,
    /// Which hold since the last attempt this is, from 1.
    pub hold: u32,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: HoldReason,
}

/// Why a delivery is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// A person disabled the destination.
    Disabled,
    /// A policy deactivated the destination.
    Deactivated,
}

/// The delivery ended without another attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAbandoned {
    /// What it is about.
    pub reference: Arc<DeliveryRef>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The round that it ended in.
    pub round: u32,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: FailureReason,
}

impl DeliveryFact {
    /// What the fact is about.
    pub fn reference(&self) -> &Arc<DeliveryRef> {
        match self {
            Self::Requested(f) => &f.reference,
            Self::Released(f) => &f.reference,
            Self::RetryRequested(f) => &f.reference,
            Self::AttemptStarted(f) => &f.reference,
            Self::Attempted(f) | Self::AttemptBlanked(f) => &f.reference,
            Self::Held(f) => &f.reference,
            Self::Abandoned(f) => &f.reference,
        }
    }

    /// When what it tells happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Requested(f) => f.at,
            Self::Released(f) => f.at,
            Self::RetryRequested(f) => f.at,
            Self::AttemptStarted(f) => f.at,
            Self::Attempted(f) | Self::AttemptBlanked(f) => f.ended_at(),
            Self::Held(f) => f.at,
            Self::Abandoned(f) => f.at,
        }
    }

    /// The job that asked for it, if it was one.
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Requested(f) => f.job,
            Self::RetryRequested(f) => f.job,
            _ => None,
        }
    }

    /// The same, asked for in a job.
    #[must_use]
    pub fn asked_for_in(mut self, job: JobId) -> Self {
        match &mut self {
            Self::Requested(f) => f.job = Some(job),
            Self::RetryRequested(f) => f.job = Some(job),
            _ => {}
        }
        self
    }

    /// The same request, with its work there; other facts stay as they are.
    #[must_use]
    pub fn with_work(mut self, work: RequestedWork) -> Self {
        if let Self::Requested(f) = &mut self {
            f.work = work;
        }
        self
    }

    /// What makes a repeated append the same append. Two executions of one attempt are two facts: the second may end
    /// differently, and neither may hide the other.
    pub fn message_id(&self) -> String {
        let delivery = self.reference().delivery;
        match self {
            Self::Requested(_) => delivery.to_string(),
            Self::Released(f) => format!("{delivery}/released/{}", f.turn),
            Self::RetryRequested(f) => format!("{delivery}/retry/{}", f.round),
            Self::AttemptStarted(f) => format!("{}/started", f.attempt_id),
            Self::Attempted(f) => f.attempt_id.to_string(),
            Self::AttemptBlanked(f) => format!("{}/blank", f.attempt_id),
            Self::Held(f) => format!("{delivery}/held/{}/{}/{}", f.round, f.attempts, f.hold),
            // An attempt that was under way may have failed since, and a round be abandoned again after it.
            Self::Abandoned(f) => format!("{delivery}/abandoned/{}/{}", f.round, f.attempts),
        }
    }
}

/// An attempt that is to be made: what the sender holds, what a timer and the parking carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// What it is about.
    pub reference: Arc<DeliveryRef>,
    /// The number of the attempt to make, from 1.
    pub attempt: u32,
    /// Its round: 0, and one more for each manual retry.
    pub round: u32,
    /// How far the retry policy has come in this round.
    pub progress: Progress,
    /// How often the delivery was held since its last attempt.
    pub holds: u32,
    /// It was handed out before: an earlier execution may have left a timer.
    pub redelivered: bool,
    /// When this round was requested.
    pub requested_at: Timestamp,
    /// When the first attempt of this round failed, if one did.
    pub first_failed_at: Option<Timestamp>,
    /// Another delivery may wait until this one has ended ([`DeliveryReleased`]).
    pub in_turn: bool,
}

impl Work {
    /// The work that a fact asks for. Requests, releases and retry requests ask for any; a retry that a person asked for
    /// comes when it comes, and nobody waits for it.
    pub fn asked_for_by(fact: &DeliveryFact) -> Option<Self> {
        let (reference, attempts, round, requested_at, redelivered) = match fact {
            DeliveryFact::Requested(f) => {
                let RequestedWork::Here { again } = f.work else { return None };
                (&f.reference, 0, 0, f.at, again)
            }
            DeliveryFact::Released(f) => (&f.reference, 0, 0, f.requested_at, false),
            DeliveryFact::RetryRequested(f) => (&f.reference, f.attempts, f.round, f.at, false),
            _ => return None,
        };
        Some(Self {
            reference: Arc::clone(reference),
            attempt: attempts + 1,
            round,
            progress: Progress::default(),
            holds: 0,
            redelivered,
            requested_at,
            first_failed_at: None,
            in_turn: matches!(fact, DeliveryFact::Released(_)),
        })
    }
}
