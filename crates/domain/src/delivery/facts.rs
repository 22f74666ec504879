//! Facts about deliveries.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{exchange::EncodedExchange, tracing::SpanRef};
use crate::{
    ids::{
        AccountId, AttemptId, ClientId, DeliveryId, DestinationId, EventId, EventType, InterfaceId, JobId, LeadId,
        LeadSequence, RequestId,
    },
    outcome::AttemptOutcome,
    registry::request::shape::DeactivationCause,
};

/// The identity of a delivery. Every fact contains it, so a reader understands each fact without another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRef {
    /// Computed from account, event and destination.
    pub delivery: DeliveryId,
    pub account: AccountId,
    pub interface: InterfaceId,
    /// `None` if the publisher named no client.
    pub client: Option<ClientId>,
    pub destination: DestinationId,
    pub event_id: EventId,
    pub event_type: EventType,
    pub lead: LeadId,
    /// The sequence in LEADS of the event, which contains the payload.
    pub lead_sequence: LeadSequence,
    /// The time at which the event was stored, or at which a job requested the missing delivery. `None` if the fact is
    /// older than this field.
    pub requested_at: Option<Timestamp>,
}

/// A fact about one delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryFact {
    /// The router or a job requested the delivery. This fact is missing if an attempt came first, because then the
    /// event itself was the work.
    Requested(DeliveryRequested),
    /// The delivery is the next one of its ordered queue, so it may start.
    Released(DeliveryReleased),
    /// A caller asked for another round of attempts.
    RetryRequested(RetryRequested),
    /// An attempt started. The fact is stored only for attempts that take long, and before attempts of suspect work.
    AttemptStarted(AttemptStarted),
    /// An attempt ended.
    Attempted(DeliveryAttempted),
    /// Replaces the attempt of an anonymised lead. It has no URL, excerpt or message.
    AttemptBlanked(DeliveryAttempted),
    /// The delivery is held: a person or a rule switched its destination off.
    Held(DeliveryHeld),
    /// The delivery ended without another attempt.
    Abandoned(DeliveryAbandoned),
}

/// The router, or a job, requested a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRequested {
    pub reference: Arc<DeliveryRef>,
    pub at: Timestamp,
    pub work: RequestedWork,
    /// The job that found the delivery missing; `None` if the router requested it.
    pub job: Option<JobId>,
}

/// Where the work of a requested delivery waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestedWork {
    /// This fact is the work. `again` says that the event itself was the work before, so that an earlier attempt may
    /// have set a timer.
    Here { again: bool },
    /// [`DeliveryReleased`] will be the work. No attempt starts before it.
    InTurn,
    /// The event was the work, and a lane has parked it. This fact only makes the delivery known to the read model.
    Parked,
}

/// Every earlier delivery of the same lead to the same destination has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReleased {
    pub reference: Arc<DeliveryRef>,
    pub requested_at: Timestamp,
    /// When the delivery was released.
    pub at: Timestamp,
    /// Its place in the ordered queue. An event that is published again much later gets another place.
    pub turn: u64,
}

/// A caller asked for another round of attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRequested {
    pub reference: Arc<DeliveryRef>,
    /// The round that begins; the first retry or resend begins round 1.
    pub round: u32,
    /// The round of the latest resend, this one included; 0 if there was none.
    pub resend: u32,
    /// The number of attempts before this round.
    pub attempts: u32,
    pub at: Timestamp,
    pub by: String,
    /// The reason that the caller gave; may be empty.
    pub reason: String,
    /// The id of the call; `None` if the caller gave none, or a job requested the retry.
    pub request: Option<RequestId>,
    /// The job that requested the retry; `None` if no job did.
    pub job: Option<JobId>,
    /// The span of the latest attempt; `None` if it is not known.
    pub previous: Option<SpanRef>,
}

impl RetryRequested {
    /// Whether the delivery had succeeded, so that the retry was forced.
    pub const fn is_resend(&self) -> bool {
        self.resend == self.round
    }
}

/// An attempt started. This fact shows people that a long attempt is in flight. For suspect work, it also records the
/// start in case the attempt kills the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptStarted {
    pub reference: Arc<DeliveryRef>,
    pub attempt_id: AttemptId,
    /// Its number in the delivery, from 1.
    pub attempt: u32,
    pub round: u32,
    /// The round of the latest resend; 0 if there was none.
    pub resend: u32,
    /// The number of holds since the last attempt; `u32::MAX` if an older version stored the fact.
    pub holds: u32,
    /// When it started.
    pub at: Timestamp,
}

/// An attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAttempted {
    pub reference: Arc<DeliveryRef>,
    pub attempt_id: AttemptId,
    /// Its number in the delivery, from 1.
    pub attempt: u32,
    pub round: u32,
    /// The round of the latest resend; 0 if there was none.
    pub resend: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration: Duration,
    pub request: RequestLine,
    pub outcome: AttemptOutcome,
    pub next_step: NextStep,
    /// Why this attempt deactivated its destination; `None` if it did not deactivate it.
    pub deactivated: Option<DeactivationCause>,
    /// What was sent and received; `None` if no request was made, the fact is older than this field, or the lead was
    /// anonymised.
    pub exchange: Option<EncodedExchange>,
    /// The span; `None` if the attempt belonged to no trace, or the fact is older than this field.
    pub trace: Option<SpanRef>,
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
    pub method: String,
    /// The URL as rendered, without secrets.
    pub url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// Nothing: the delivery succeeded.
    Succeeded,
    /// Another attempt at this time.
    RetryAt(Timestamp),
    /// Nothing: the delivery failed.
    Failed(FailureReason),
}

/// Why a delivery failed. The delivery stays failed until a retry is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// The retry policy has no further attempt.
    Exhausted,
    /// The next attempt would exceed the maximum age of the retry policy.
    TooOld,
    /// The destination was deleted.
    DestinationDeleted,
    /// LEADS no longer contains the payload, because the event is older than `--keep-events`.
    PayloadGone,
    /// The lead was anonymised.
    Anonymised,
    /// The destination was enabled with `skip_held`, and the delivery was requested before that.
    Skipped,
    /// The receiver publishes the lead to Leadline again, in a loop.
    Loop,
    /// The settings of the destination cannot render a request of this lead; another attempt would fail too.
    Render,
    /// The work failed inside Leadline: it panicked, or processes died each time it began.
    Crashed,
}

impl FailureReason {
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

    /// The word that facts and the API use.
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

/// The delivery is held: a person or a rule switched its destination off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryHeld {
    pub reference: Arc<DeliveryRef>,
    /// The number of attempts before the hold.
    pub attempts: u32,
    /// The round in which the delivery is held.
    pub round: u32,
    /// The round of the latest resend; 0 if there was none.
    pub resend: u32,
    /// The number of holds since the last attempt, this one included.
    pub hold: u32,
    pub at: Timestamp,
    pub reason: HoldReason,
}

/// Why a delivery is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// A person disabled the destination.
    Disabled,
    /// A rule deactivated the destination.
    Deactivated,
}

/// The delivery ended without another attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryAbandoned {
    pub reference: Arc<DeliveryRef>,
    /// The number of attempts.
    pub attempts: u32,
    /// The round in which the delivery ended.
    pub round: u32,
    /// The round of the latest resend; 0 if there was none.
    pub resend: u32,
    pub at: Timestamp,
    pub reason: FailureReason,
}

impl DeliveryFact {
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

    /// When the fact happened.
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

    /// The job that requested the delivery or the retry; `None` if no job did.
    pub const fn job(&self) -> Option<JobId> {
        match self {
            Self::Requested(f) => f.job,
            Self::RetryRequested(f) => f.job,
            _ => None,
        }
    }

    /// Names this job as the cause of a request; other facts stay unchanged.
    #[must_use]
    pub fn requested_in(mut self, job: JobId) -> Self {
        match &mut self {
            Self::Requested(f) => f.job = Some(job),
            Self::RetryRequested(f) => f.job = Some(job),
            _ => {}
        }
        self
    }

    /// Sets where the work of a request waits; other facts stay unchanged.
    #[must_use]
    pub fn with_work(mut self, work: RequestedWork) -> Self {
        if let Self::Requested(f) = &mut self {
            f.work = work;
        }
        self
    }

    /// The message id. Of several appends with the same id, the broker stores only the first. Each execution of an
    /// attempt has its own id: a second execution may end differently, and both facts must be stored.
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
            // The id has the number of attempts, because a round may be abandoned twice: while an attempt is in flight,
            // and again after this attempt has failed.
            Self::Abandoned(f) => format!("{delivery}/abandoned/{}/{}", f.round, f.attempts),
        }
    }
}
