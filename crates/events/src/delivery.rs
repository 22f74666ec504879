//! Stored facts about deliveries, and stored work.

use std::sync::Arc;

use bytes::Bytes;
use domain::{
    AccountId, AttemptId, AttemptOutcome, ClientId, DeliveryFact, DeliveryId, DeliveryRef, DestinationId, ErrorKind,
    EventId, EventType, InterfaceId, JobId, LeadId, LeadSequence, RequestId, Work,
    delivery::{
        AttemptStarted, DeliveryAbandoned, DeliveryAttempted, DeliveryHeld, DeliveryReleased, DeliveryRequested,
        EncodedExchange, FailureReason, HoldReason, NextStep, RequestLine, RequestedWork, RetryRequested, SpanRef,
        WorkTrace,
    },
    policy::RetryProgress,
    registry::DeactivationCause,
};
use prost::Message as _;
use stored::{delivery_attempted as attempted, delivery_fact::Fact};

use crate::{
    primitives::{message, micros, non_empty, or_empty, parsed, span, time, uuid, wrong},
    record::{Record, RecordError},
    stored,
};

const FACT: &str = "delivery fact";

impl Record for DeliveryFact {
    const NAME: &'static str = FACT;

    fn encode(&self) -> Bytes {
        let fact = match self {
            Self::Requested(f) => Fact::Requested(stored::DeliveryRequested {
                at: f.at.as_microsecond(),
                in_turn: f.work == RequestedWork::InTurn,
                job: f.job.map(job_to_stored),
                parked: f.work == RequestedWork::Parked,
                again: f.work == RequestedWork::Here { again: true },
            }),
            Self::Released(f) => Fact::Released(stored::DeliveryReleased {
                requested_at: f.requested_at.as_microsecond(),
                at: f.at.as_microsecond(),
                turn: f.turn,
            }),
            Self::RetryRequested(f) => Fact::RetryRequested(stored::RetryRequested {
                round: f.round,
                attempts: f.attempts,
                at: f.at.as_microsecond(),
                by: f.by.clone(),
                job: f.job.map(job_to_stored),
                resend: f.resend,
                reason: f.reason.clone(),
                request: or_empty(f.request.as_ref().map(RequestId::as_str)),
                previous: span_to_stored(f.previous),
            }),
            Self::AttemptStarted(f) => Fact::AttemptStarted(stored::AttemptStarted {
                attempt_id: f.attempt_id.uuid().as_bytes().to_vec(),
                attempt: f.attempt,
                round: f.round,
                resend: f.resend,
                holds: Some(f.holds),
                at: f.at.as_microsecond(),
            }),
            Self::Attempted(f) => Fact::Attempted(attempted_to_stored(f)),
            Self::AttemptBlanked(f) => Fact::AttemptBlanked(attempted_to_stored(f)),
            Self::Held(f) => Fact::Held(stored::DeliveryHeld {
                attempts: f.attempts,
                round: f.round,
                resend: f.resend,
                hold: f.hold,
                at: f.at.as_microsecond(),
                reason: hold_reason_to_stored(f.reason).into(),
            }),
            Self::Abandoned(f) => Fact::Abandoned(stored::DeliveryAbandoned {
                attempts: f.attempts,
                round: f.round,
                resend: f.resend,
                at: f.at.as_microsecond(),
                reason: f.reason.as_str().to_owned(),
            }),
        };
        stored::DeliveryFact { reference: Some(reference_to_stored(self.reference())), fact: Some(fact) }
            .encode_to_vec()
            .into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let stored: stored::DeliveryFact = message(FACT, bytes)?;
        let reference = reference_from_stored(FACT, stored.reference)?;
        Ok(match stored.fact.ok_or_else(|| wrong(FACT, "fact", "is missing or of an unknown kind"))? {
            Fact::Requested(f) => Self::Requested(DeliveryRequested {
                reference,
                at: time(FACT, "at", f.at)?,
                work: match (f.in_turn, f.parked) {
                    (true, _) => RequestedWork::InTurn,
                    (false, true) => RequestedWork::Parked,
                    (false, false) => RequestedWork::Here { again: f.again },
                },
                job: job_from_stored(f.job)?,
            }),
            Fact::Released(f) => Self::Released(DeliveryReleased {
                reference,
                requested_at: time(FACT, "requested_at", f.requested_at)?,
                at: time(FACT, "at", f.at)?,
                turn: f.turn,
            }),
            Fact::RetryRequested(f) => Self::RetryRequested(RetryRequested {
                reference,
                round: f.round,
                attempts: f.attempts,
                at: time(FACT, "at", f.at)?,
                by: f.by,
                job: job_from_stored(f.job)?,
                resend: f.resend,
                reason: f.reason,
                request: non_empty(&f.request).map(|id| parsed(FACT, "request", id, RequestId::parse)).transpose()?,
                previous: SpanRef::from_bytes(&f.previous),
            }),
            Fact::AttemptStarted(f) => Self::AttemptStarted(AttemptStarted {
                reference,
                attempt_id: AttemptId::from_uuid(uuid(FACT, "attempt_id", &f.attempt_id)?),
                attempt: f.attempt,
                round: f.round,
                resend: f.resend,
                holds: f.holds.unwrap_or(u32::MAX),
                at: time(FACT, "at", f.at)?,
            }),
            Fact::Attempted(f) => Self::Attempted(attempted_from_stored(reference, f)?),
            Fact::AttemptBlanked(f) => Self::AttemptBlanked(attempted_from_stored(reference, f)?),
            Fact::Held(f) => Self::Held(DeliveryHeld {
                reference,
                attempts: f.attempts,
                round: f.round,
                resend: f.resend,
                hold: f.hold,
                at: time(FACT, "at", f.at)?,
                reason: hold_reason_from_stored(f.reason)?,
            }),
            Fact::Abandoned(f) => Self::Abandoned(DeliveryAbandoned {
                reference,
                attempts: f.attempts,
                round: f.round,
                resend: f.resend,
                at: time(FACT, "at", f.at)?,
                reason: failure_reason(&f.reason)?,
            }),
        })
    }
}

impl Record for Work {
    const NAME: &'static str = "work";

    fn encode(&self) -> Bytes {
        let stored = stored::Work {
            reference: Some(reference_to_stored(&self.reference)),
            attempt: self.attempt,
            round: self.round,
            resend: self.resend,
            quick_used: self.progress.quick_used,
            step: self.progress.step,
            waits: self.progress.waits,
            holds: self.holds,
            redelivered: self.redelivered,
            requested_at: self.requested_at.as_microsecond(),
            first_failed_at: self.first_failed_at.map(|at| at.as_microsecond()),
            in_turn: self.in_turn,
            starts_trace: self.trace.starts,
            previous: span_to_stored(self.trace.previous),
        };
        stored.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let stored: stored::Work = message(Self::NAME, bytes)?;
        if stored.attempt == 0 {
            return Err(wrong(Self::NAME, "attempt", "is 0; attempts are counted from 1"));
        }
        Ok(Self {
            reference: reference_from_stored(Self::NAME, stored.reference)?,
            attempt: stored.attempt,
            round: stored.round,
            resend: stored.resend,
            progress: RetryProgress { quick_used: stored.quick_used, step: stored.step, waits: stored.waits },
            holds: stored.holds,
            redelivered: stored.redelivered,
            requested_at: time(Self::NAME, "requested_at", stored.requested_at)?,
            first_failed_at: stored.first_failed_at.map(|at| time(Self::NAME, "first_failed_at", at)).transpose()?,
            in_turn: stored.in_turn,
            trace: WorkTrace { starts: stored.starts_trace, previous: SpanRef::from_bytes(&stored.previous) },
        })
    }
}

fn reference_to_stored(reference: &DeliveryRef) -> stored::DeliveryRef {
    stored::DeliveryRef {
        delivery: reference.delivery.uuid().as_bytes().to_vec(),
        account: reference.account.to_string(),
        interface: reference.interface.to_string(),
        client: or_empty(reference.client.as_ref().map(ClientId::as_str)),
        destination: reference.destination.to_string(),
        event_id: reference.event_id.to_string(),
        event_type: reference.event_type.to_string(),
        lead: reference.lead.to_string(),
        lead_sequence: reference.lead_sequence.0,
        requested_at: reference.requested_at.map(|at| at.as_microsecond()),
    }
}

fn reference_from_stored(
    record: &'static str,
    stored: Option<stored::DeliveryRef>,
) -> Result<Arc<DeliveryRef>, RecordError> {
    let stored = stored.ok_or_else(|| wrong(record, "reference", "is missing"))?;
    Ok(Arc::new(DeliveryRef {
        delivery: DeliveryId::from_uuid(uuid(record, "delivery", &stored.delivery)?),
        account: parsed(record, "account", &stored.account, AccountId::parse)?,
        interface: parsed(record, "interface", &stored.interface, InterfaceId::parse)?,
        client: non_empty(&stored.client).map(|text| parsed(record, "client", text, ClientId::parse)).transpose()?,
        destination: parsed(record, "destination", &stored.destination, DestinationId::parse)?,
        event_id: parsed(record, "event_id", &stored.event_id, EventId::parse)?,
        event_type: parsed(record, "event_type", &stored.event_type, EventType::parse)?,
        lead: parsed(record, "lead", &stored.lead, LeadId::parse)?,
        lead_sequence: LeadSequence(stored.lead_sequence),
        requested_at: stored.requested_at.map(|at| time(record, "requested_at", at)).transpose()?,
    }))
}

fn attempted_to_stored(fact: &DeliveryAttempted) -> stored::DeliveryAttempted {
    let outcome = match &fact.outcome {
        AttemptOutcome::Response { status, excerpt, retry_after } => attempted::Outcome::Response(stored::Response {
            status: u32::from(*status),
            excerpt: excerpt.clone(),
            retry_after: retry_after.map(micros),
        }),
        AttemptOutcome::NoResponse { kind, message } => attempted::Outcome::NoResponse(stored::NoResponse {
            kind: kind.as_str().to_owned(),
            message: message.clone(),
        }),
    };
    let next_step = match fact.next_step {
        NextStep::Succeeded => attempted::Verdict::Succeeded(stored::Succeeded {}),
        NextStep::RetryAt(at) => attempted::Verdict::RetryAt(at.as_microsecond()),
        NextStep::Failed(reason) => attempted::Verdict::Failed(reason.as_str().to_owned()),
    };
    stored::DeliveryAttempted {
        attempt_id: fact.attempt_id.uuid().as_bytes().to_vec(),
        attempt: fact.attempt,
        round: fact.round,
        resend: fact.resend,
        started_at: fact.started_at.as_microsecond(),
        duration: micros(fact.duration),
        method: fact.request.method.clone(),
        url: fact.request.url.clone(),
        outcome: Some(outcome),
        verdict: Some(next_step),
        deactivated: fact.deactivated.map_or("", DeactivationCause::as_str).to_owned(),
        exchange: fact.exchange.as_ref().map(|exchange| exchange.0.clone()),
        trace: span_to_stored(fact.trace),
    }
}

fn attempted_from_stored(
    reference: Arc<DeliveryRef>,
    stored: stored::DeliveryAttempted,
) -> Result<DeliveryAttempted, RecordError> {
    let outcome = match stored.outcome.ok_or_else(|| wrong(FACT, "outcome", "is missing"))? {
        attempted::Outcome::Response(response) => AttemptOutcome::Response {
            status: u16::try_from(response.status).map_err(|e| wrong(FACT, "status", e))?,
            excerpt: response.excerpt,
            retry_after: response.retry_after.map(|wait| span(FACT, "retry_after", wait)).transpose()?,
        },
        attempted::Outcome::NoResponse(none) => AttemptOutcome::NoResponse {
            kind: ErrorKind::parse(&none.kind).ok_or_else(|| wrong(FACT, "kind", format!("{:?}", none.kind)))?,
            message: none.message,
        },
    };
    let next_step = match stored.verdict.ok_or_else(|| wrong(FACT, "verdict", "is missing"))? {
        attempted::Verdict::Succeeded(_) => NextStep::Succeeded,
        attempted::Verdict::RetryAt(at) => NextStep::RetryAt(time(FACT, "retry_at", at)?),
        attempted::Verdict::Failed(word) => NextStep::Failed(failure_reason(&word)?),
    };
    let cause =
        |word: &str| DeactivationCause::parse(word).ok_or_else(|| wrong(FACT, "deactivated", format!("{word:?}")));
    Ok(DeliveryAttempted {
        reference,
        attempt_id: AttemptId::from_uuid(uuid(FACT, "attempt_id", &stored.attempt_id)?),
        attempt: stored.attempt,
        round: stored.round,
        resend: stored.resend,
        started_at: time(FACT, "started_at", stored.started_at)?,
        duration: span(FACT, "duration", stored.duration)?,
        request: RequestLine { method: stored.method, url: stored.url },
        outcome,
        next_step,
        deactivated: non_empty(&stored.deactivated).map(cause).transpose()?,
        exchange: stored.exchange.map(EncodedExchange),
        trace: SpanRef::from_bytes(&stored.trace),
    })
}

/// The bytes of a span; empty if there is none. Damaged bytes are read as a missing span, because no reader depends on
/// the span.
fn span_to_stored(span: Option<SpanRef>) -> Vec<u8> {
    span.map(|span| span.to_bytes().to_vec()).unwrap_or_default()
}

fn job_to_stored(job: JobId) -> Vec<u8> {
    job.uuid().as_bytes().to_vec()
}

fn job_from_stored(stored: Option<Vec<u8>>) -> Result<Option<JobId>, RecordError> {
    stored.map(|bytes| uuid(FACT, "job", &bytes).map(JobId::from_uuid)).transpose()
}

fn failure_reason(word: &str) -> Result<FailureReason, RecordError> {
    FailureReason::parse(word).ok_or_else(|| wrong(FACT, "reason", format!("{word:?}")))
}

const fn hold_reason_to_stored(reason: HoldReason) -> stored::HoldReason {
    match reason {
        HoldReason::Disabled => stored::HoldReason::Disabled,
        HoldReason::Deactivated => stored::HoldReason::Deactivated,
    }
}

fn hold_reason_from_stored(reason: i32) -> Result<HoldReason, RecordError> {
    match stored::HoldReason::try_from(reason) {
        Ok(stored::HoldReason::Disabled) => Ok(HoldReason::Disabled),
        Ok(stored::HoldReason::Deactivated) => Ok(HoldReason::Deactivated),
        _ => Err(wrong(FACT, "reason", reason)),
    }
}
