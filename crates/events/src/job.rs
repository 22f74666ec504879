//! Stored facts about jobs, and jobs in the read model.

use bytes::Bytes;
use domain::{
    AccountId, ClientId, DeliveryId, DeliveryStatus, DestinationId, EventId, InterfaceId, Job, JobFact, JobId, LeadId,
    LeadSequence,
    delivery::{DeliveryFilter, FailureReason, RetryRefusal},
    job::{
        Counts, Cursor, JobCancelRequested, JobFinished, JobOutcome, JobProgressed, JobRef, JobStarted, Pace, Plan,
        Progress, Recovery, Refused, Sample,
    },
    outcome::HttpStatusClass,
    registry::EventTypePattern,
};
use prost::Message as _;
use stored::{job_fact::Fact, job_progressed::Cursor as StoredCursor, job_started::Plan as StoredPlan};
use uuid::Uuid;

use crate::{
    primitives::{message, non_empty, or_empty, parsed, time, uuid, wrong},
    record::{Record, RecordError},
    stored,
};

const FACT: &str = "job fact";
/// The number of bytes of a UUID.
const UUID_BYTES: usize = 16;

impl Record for JobFact {
    const NAME: &'static str = FACT;

    fn encode(&self) -> Bytes {
        fact_to_stored(self).encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        fact_from_stored(message(FACT, bytes)?)
    }
}

impl Record for Job {
    const NAME: &'static str = "job";

    fn encode(&self) -> Bytes {
        let facts = self.facts().iter().map(fact_to_stored).collect();
        stored::JobFacts { facts }.encode_to_vec().into()
    }

    fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        let stored: stored::JobFacts = message(Self::NAME, bytes)?;
        let mut job = None;
        for fact in stored.facts {
            let evolved = Self::evolve(job, &fact_from_stored(fact)?);
            job = Some(evolved.map_err(|e| wrong(Self::NAME, "facts", e))?);
        }
        job.ok_or_else(|| wrong(Self::NAME, "facts", "are missing"))
    }
}

fn fact_to_stored(fact: &JobFact) -> stored::JobFact {
    let stored = match fact {
        JobFact::Started(f) => Fact::Started(stored::JobStarted {
            plan: Some(plan_to_stored(&f.plan)),
            dry_run: f.dry_run,
            pace: f.pace.get(),
            force: f.force,
            by: f.by.clone(),
            reason: f.reason.clone(),
        }),
        JobFact::Progressed(f) => Fact::Progressed(progressed_to_stored(f)),
        JobFact::CancelRequested(f) => Fact::CancelRequested(stored::JobCancelRequested { by: f.by.clone() }),
        JobFact::Finished(f) => Fact::Finished(stored::JobFinished {
            outcome: f.outcome.as_str().to_owned(),
            counts: Some(counts_to_stored(&f.counts)),
        }),
    };
    let JobRef { job, account } = fact.reference();
    stored::JobFact {
        job: bytes_of(job.uuid()),
        account: account.to_string(),
        at: fact.at().as_microsecond(),
        fact: Some(stored),
    }
}

fn fact_from_stored(stored: stored::JobFact) -> Result<JobFact, RecordError> {
    let reference = JobRef {
        job: JobId::from_uuid(uuid(FACT, "job", &stored.job)?),
        account: parsed(FACT, "account", &stored.account, AccountId::parse)?,
    };
    let at = time(FACT, "at", stored.at)?;
    Ok(match stored.fact.ok_or_else(|| wrong(FACT, "fact", "is missing or of an unknown kind"))? {
        Fact::Started(f) => JobFact::Started(JobStarted {
            reference,
            plan: plan_from_stored(f.plan)?,
            dry_run: f.dry_run,
            pace: Pace::per_second(f.pace).ok_or_else(|| wrong(FACT, "pace", f.pace))?,
            force: f.force,
            by: f.by,
            reason: f.reason,
            at,
        }),
        Fact::Progressed(f) => progressed_from_stored(reference, at, f)?,
        Fact::CancelRequested(f) => JobFact::CancelRequested(JobCancelRequested { reference, by: f.by, at }),
        Fact::Finished(f) => JobFact::Finished(JobFinished {
            reference,
            outcome: JobOutcome::parse(&f.outcome).ok_or_else(|| wrong(FACT, "outcome", &f.outcome))?,
            counts: counts_from_stored(f.counts)?,
            at,
        }),
    })
}

fn plan_to_stored(plan: &Plan) -> StoredPlan {
    match plan {
        Plan::RetryListed(ids) => {
            let deliveries = ids.iter().flat_map(|id| *id.uuid().as_bytes()).collect();
            StoredPlan::RetryListed(stored::DeliveryList { deliveries })
        }
        Plan::RetryFiltered(filter) => StoredPlan::RetryFiltered(filter_to_stored(filter)),
        Plan::Recover(recovery) => StoredPlan::Recover(stored::Recovery {
            destination: recovery.destination.to_string(),
            since: recovery.since.as_microsecond(),
            until: recovery.until.map(|at| at.as_microsecond()),
            include_before_created: recovery.include_before_created,
            event_types: recovery.event_types.iter().map(|pattern| pattern.as_str().to_owned()).collect(),
            end: recovery.end.0,
        }),
    }
}

fn plan_from_stored(stored: Option<StoredPlan>) -> Result<Plan, RecordError> {
    Ok(match stored.ok_or_else(|| wrong(FACT, "plan", "is missing or of an unknown kind"))? {
        StoredPlan::RetryListed(list) => {
            let (ids, rest) = list.deliveries.as_chunks::<UUID_BYTES>();
            if !rest.is_empty() {
                return Err(wrong(FACT, "deliveries", "end in the middle of a UUID"));
            }
            Plan::RetryListed(ids.iter().map(|id| DeliveryId::from_uuid(Uuid::from_bytes(*id))).collect())
        }
        StoredPlan::RetryFiltered(filter) => Plan::RetryFiltered(Box::new(filter_from_stored(&filter)?)),
        StoredPlan::Recover(recovery) => Plan::Recover(Recovery {
            destination: parsed(FACT, "destination", &recovery.destination, DestinationId::parse)?,
            since: time(FACT, "since", recovery.since)?,
            until: recovery.until.map(|at| time(FACT, "until", at)).transpose()?,
            include_before_created: recovery.include_before_created,
            event_types: patterns(&recovery.event_types)?,
            end: LeadSequence(recovery.end),
        }),
    })
}

fn patterns(stored: &[String]) -> Result<Vec<EventTypePattern>, RecordError> {
    stored.iter().map(|text| parsed(FACT, "event_types", text, EventTypePattern::parse)).collect()
}

fn filter_to_stored(filter: &DeliveryFilter) -> stored::DeliveryFilter {
    let DeliveryFilter {
        account,
        interface,
        destination,
        lead,
        event_id,
        event_type,
        client,
        statuses,
        failure,
        http_status,
        http_status_class,
        requested_from,
        requested_before,
    } = filter;
    stored::DeliveryFilter {
        account: or_empty(account.as_ref().map(AccountId::as_str)),
        interface: or_empty(interface.as_ref().map(InterfaceId::as_str)),
        destination: or_empty(destination.as_ref().map(DestinationId::as_str)),
        lead: or_empty(lead.as_ref().map(LeadId::as_str)),
        event_id: or_empty(event_id.as_ref().map(EventId::as_str)),
        event_type: or_empty(event_type.as_ref().map(EventTypePattern::as_str)),
        client: or_empty(client.as_ref().map(ClientId::as_str)),
        statuses: statuses.iter().map(|status| status.as_str().to_owned()).collect(),
        failure: or_empty(failure.map(FailureReason::as_str)),
        http_status: http_status.map(u32::from),
        http_status_class: http_status_class.map(|class| class.digit().into()),
        requested_from: requested_from.map(|at| at.as_microsecond()),
        requested_before: requested_before.map(|at| at.as_microsecond()),
    }
}

fn filter_from_stored(stored: &stored::DeliveryFilter) -> Result<DeliveryFilter, RecordError> {
    fn optional<T, E: std::fmt::Display>(
        field: &'static str,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, RecordError> {
        non_empty(text).map(|text| parsed(FACT, field, text, parse)).transpose()
    }
    Ok(DeliveryFilter {
        account: optional("account", &stored.account, AccountId::parse)?,
        interface: optional("interface", &stored.interface, InterfaceId::parse)?,
        destination: optional("destination", &stored.destination, DestinationId::parse)?,
        lead: optional("lead", &stored.lead, LeadId::parse)?,
        event_id: optional("event_id", &stored.event_id, EventId::parse)?,
        event_type: optional("event_type", &stored.event_type, EventTypePattern::parse)?,
        client: optional("client", &stored.client, ClientId::parse)?,
        statuses: stored.statuses.iter().map(|word| known_status(word)).collect::<Result<_, _>>()?,
        failure: non_empty(&stored.failure)
            .map(|word| FailureReason::parse(word).ok_or_else(|| wrong(FACT, "failure", format!("{word:?}"))))
            .transpose()?,
        http_status: stored
            .http_status
            .map(|status| u16::try_from(status).map_err(|e| wrong(FACT, "http_status", e)))
            .transpose()?,
        http_status_class: stored
            .http_status_class
            .map(|digit| {
                HttpStatusClass::new(digit).ok_or_else(|| wrong(FACT, "http_status_class", format!("{digit}")))
            })
            .transpose()?,
        requested_from: stored.requested_from.map(|at| time(FACT, "requested_from", at)).transpose()?,
        requested_before: stored.requested_before.map(|at| time(FACT, "requested_before", at)).transpose()?,
    })
}

fn progressed_to_stored(fact: &JobProgressed) -> stored::JobProgressed {
    let Progress { step, cursor, counts, sample } = &fact.progress;
    let cursor = match cursor {
        Cursor::Start => None,
        Cursor::Listed(done) => Some(StoredCursor::Listed(*done)),
        Cursor::After(at, delivery) => Some(StoredCursor::After(stored::DeliveryPlace {
            requested_at: at.as_microsecond(),
            delivery: bytes_of(delivery.uuid()),
        })),
        Cursor::Event(sequence) => Some(StoredCursor::Event(sequence.0)),
    };
    let shown = |sample: &Sample| stored::JobSample {
        delivery: bytes_of(sample.delivery.uuid()),
        event_id: sample.event_id.to_string(),
    };
    let refusal = |refused: &Refused| stored::JobRefusal {
        delivery: bytes_of(refused.delivery.uuid()),
        reason: refused.why.as_str().to_owned(),
        status: or_empty(refused.why.status().map(DeliveryStatus::as_str)),
    };
    stored::JobProgressed {
        step: *step,
        cursor,
        counts: Some(counts_to_stored(counts)),
        sample: sample.iter().map(shown).collect(),
        refused: fact.refused.iter().map(refusal).collect(),
    }
}

fn progressed_from_stored(
    reference: JobRef,
    at: jiff::Timestamp,
    stored: stored::JobProgressed,
) -> Result<JobFact, RecordError> {
    let delivery = |bytes: &[u8]| uuid(FACT, "delivery", bytes).map(DeliveryId::from_uuid);
    let cursor = match stored.cursor {
        None => Cursor::Start,
        Some(StoredCursor::Listed(done)) => Cursor::Listed(done),
        Some(StoredCursor::After(place)) => {
            Cursor::After(time(FACT, "requested_at", place.requested_at)?, delivery(&place.delivery)?)
        }
        Some(StoredCursor::Event(sequence)) => Cursor::Event(LeadSequence(sequence)),
    };
    let sample = |sample: &stored::JobSample| {
        let event_id = parsed(FACT, "event_id", &sample.event_id, EventId::parse)?;
        Ok(Sample { delivery: delivery(&sample.delivery)?, event_id })
    };
    let refused = |refused: &stored::JobRefusal| {
        Ok(Refused { delivery: delivery(&refused.delivery)?, why: refusal(&refused.reason, &refused.status)? })
    };
    let progress = Progress {
        step: stored.step,
        cursor,
        counts: counts_from_stored(stored.counts)?,
        sample: stored.sample.iter().map(sample).collect::<Result<_, RecordError>>()?,
    };
    let refused = stored.refused.iter().map(refused).collect::<Result<_, RecordError>>()?;
    Ok(JobFact::Progressed(JobProgressed { reference, progress, refused, at }))
}

fn counts_to_stored(counts: &Counts) -> stored::JobCounts {
    let Counts { examined, retried, requested, had, before_created, refused } = counts;
    let refused = refused.iter().map(|(why, count)| stored::JobRefusalCount {
        reason: why.as_str().to_owned(),
        status: or_empty(why.status().map(DeliveryStatus::as_str)),
        count: *count,
    });
    stored::JobCounts {
        examined: *examined,
        retried: *retried,
        requested: *requested,
        had: *had,
        before_created: *before_created,
        refused: refused.collect(),
    }
}

fn counts_from_stored(stored: Option<stored::JobCounts>) -> Result<Counts, RecordError> {
    let stored = stored.ok_or_else(|| wrong(FACT, "counts", "are missing"))?;
    let refused = |entry: &stored::JobRefusalCount| Ok((refusal(&entry.reason, &entry.status)?, entry.count));
    Ok(Counts {
        examined: stored.examined,
        retried: stored.retried,
        requested: stored.requested,
        had: stored.had,
        before_created: stored.before_created,
        refused: stored.refused.iter().map(refused).collect::<Result<_, RecordError>>()?,
    })
}

fn refusal(word: &str, status_word: &str) -> Result<RetryRefusal, RecordError> {
    let found = RetryRefusal::parse(word, status(status_word)?);
    found.ok_or_else(|| wrong(FACT, "reason", format!("{word:?}")))
}

fn status(word: &str) -> Result<Option<DeliveryStatus>, RecordError> {
    non_empty(word).map(known_status).transpose()
}

fn known_status(word: &str) -> Result<DeliveryStatus, RecordError> {
    DeliveryStatus::parse(word).ok_or_else(|| wrong(FACT, "status", format!("{word:?}")))
}

fn bytes_of(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}
