//! Facts about jobs, and the rule that at most one job runner makes progress.
//!
//! All facts of a job are on one subject, and each is stored only if the previous one is still the last. If two job
//! runners work on the same job, one of them loses the race and stops. A job runner whose job was cancelled stops in
//! the same way.

use async_nats::jetstream::{consumer::DeliverPolicy, message::PublishMessage};
use domain::{Job, JobFact, LeadSequence, job::JobRef};
use events::Record as _;
use jiff::Timestamp;
use runtime::{ErrorChain as _, trace::TraceContext};

use crate::{
    clock::timestamp,
    connection::broker_info,
    consume::range::{answered, fetch},
    consumers::{self, SEQUENCER_LEASE},
    error::JournalError,
    handles::{Jobs, Leads},
    headers,
    streams::StreamName,
    subjects,
};

/// How many facts of a job one pull requests.
const MAX_FETCH: usize = 500;

/// A job, made from its facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedJob {
    pub job: Job,
    /// The sequence of the job's last fact, which the next fact has to name.
    pub version: u64,
    /// When the broker stored the last fact about the job's progress.
    pub reached_at: Timestamp,
}

impl Jobs<'_> {
    /// Stores a fact about a job if its last fact is still at `expected_version` (0 if there is none).
    ///
    /// # Errors
    /// [`JournalError::LostRace`] when another fact was stored meanwhile; otherwise as [`Leads::append`].
    pub async fn append(
        self,
        fact: &JobFact,
        expected_version: u64,
        trace: &TraceContext,
    ) -> Result<u64, JournalError> {
        let message = PublishMessage::build().payload(fact.encode()).headers(headers::carrying(trace));
        let message = message.expected_last_subject_sequence(expected_version);
        Ok(self.journal.publish(subjects::job(fact), message).await?.sequence)
    }

    /// When the broker stored a fact about a job.
    ///
    /// # Errors
    /// When the broker does not answer, or has no such fact.
    pub async fn stored_at(self, version: u64) -> Result<Timestamp, JournalError> {
        let operation = "read when a fact was stored";
        let stream = broker_info::stream(self.journal.context(), StreamName::Jobs, operation).await?;
        let fact = stream.get_raw_message(version).await.map_err(|e| JournalError::unavailable(operation, e))?;
        Ok(timestamp(fact.time.unix_timestamp_nanos()))
    }

    /// The recorded job; `None` if it does not exist, or is older than the retention of JOBS.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn get(self, reference: &JobRef) -> Result<Option<RecordedJob>, JournalError> {
        let consumer = self.journal.reader(StreamName::Jobs, subjects::facts_of(reference), DeliverPolicy::All).await?;
        let (mut job, mut version, mut reached_at) = (None, 0, Timestamp::UNIX_EPOCH);
        loop {
            let batch = answered(fetch(&consumer, MAX_FETCH)).await?;
            if batch.is_empty() {
                return Ok(job.map(|job| RecordedJob { job, version, reached_at }));
            }
            for raw in batch {
                let info = raw.info().map_err(|e| JournalError::unavailable("read a job", e))?;
                version = info.stream_sequence;
                let Ok(fact) = JobFact::decode(raw.payload.clone()) else {
                    // Progress is cumulative, so the next fact makes up for this one.
                    tracing::error!(sequence = version, "cannot read fact of JOBS; skipping it");
                    continue;
                };
                if matches!(fact, JobFact::Started(_) | JobFact::Progressed(_)) {
                    reached_at = timestamp(info.published.unix_timestamp_nanos());
                }
                match Job::evolve(job.take(), &fact) {
                    Ok(evolved) => job = Some(evolved),
                    // The first facts of the job may have expired.
                    Err(error) => tracing::debug!(error = error.chain(), "fact of JOBS does not apply; skipping it"),
                }
            }
        }
    }
}

impl Leads<'_> {
    /// Whether the router has routed every event up to this sequence; with `in_turn`, also whether the sequencer has.
    ///
    /// # Errors
    /// When the broker does not answer, or no router ever ran.
    pub async fn is_routed(self, up_to: LeadSequence, in_turn: bool) -> Result<bool, JournalError> {
        if in_turn && self.journal.positions().position_of(SEQUENCER_LEASE).await? < up_to.0 {
            return Ok(false);
        }
        for router in [consumers::ROUTER, consumers::BURST_ROUTER] {
            let operation = "read the progress of the router";
            let first = broker_info::first_unacknowledged(self.journal.context(), &router, operation).await?;
            if first.is_some_and(|first| first.sequence <= up_to.0) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
