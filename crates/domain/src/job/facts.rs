//! Facts about jobs.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::pace::Pace;
use crate::{
    delivery::{DeliveryFilter, RetryRefusal},
    ids::{AccountId, DeliveryId, DestinationId, EventId, JobId, LeadSequence},
    registry::EventTypePattern,
};

/// The identity of a job. Every fact carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRef {
    pub job: JobId,
    pub account: AccountId,
}

/// A fact about one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobFact {
    /// A caller asked for the job.
    Started(JobStarted),
    /// The job made progress.
    Progressed(JobProgressed),
    /// A caller asked for the end of the job.
    CancelRequested(JobCancelRequested),
    Finished(JobFinished),
}

/// A caller asked for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStarted {
    pub reference: JobRef,
    pub plan: Plan,
    /// Whether the job only counts what it would do.
    pub dry_run: bool,
    pub pace: Pace,
    /// Whether deliveries that succeeded are sent again.
    pub force: bool,
    pub by: String,
    /// The reason that the caller gave; may be empty.
    pub reason: String,
    pub at: Timestamp,
}

/// The plan of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Retry these deliveries, in this order; at most [`MAX_LISTED`](super::MAX_LISTED), each once.
    RetryListed(Arc<[DeliveryId]>),
    /// Retry the matching deliveries that failed, and with `force` also those that succeeded; the oldest first.
    RetryFiltered(Box<DeliveryFilter>),
    /// Send a destination the events that it missed, the oldest first.
    Recover(Recovery),
}

/// The events that a recovery sends to a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    pub destination: DestinationId,
    /// Events received at this time or later.
    pub since: Timestamp,
    /// Events received before this time.
    pub until: Option<Timestamp>,
    /// Whether events that are older than the destination are included.
    pub include_before_created: bool,
    /// Only events of these types; empty if all types match.
    pub event_types: Vec<EventTypePattern>,
    /// The last sequence of LEADS when the job was requested; the router handles later events.
    pub end: LeadSequence,
}

/// A job made progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProgressed {
    pub reference: JobRef,
    pub progress: Progress,
    /// The deliveries refused since the previous fact.
    pub refused: Vec<Refused>,
    pub at: Timestamp,
}

/// The progress of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// The number of stored facts about progress.
    pub step: u32,
    /// The job has handled everything up to this cursor.
    pub cursor: Cursor,
    pub counts: Counts,
    /// In a dry run, the first deliveries that the job would act on.
    pub sample: Vec<Sample>,
}

/// How far a job has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cursor {
    /// Before the first item.
    #[default]
    Start,
    /// After this many deliveries of a list.
    Listed(u32),
    /// After the delivery with this time of request and this id.
    After(Timestamp, DeliveryId),
    /// After the event with this sequence in LEADS.
    Event(LeadSequence),
}

/// The results of a job so far. A dry run counts what the job would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries or events that the job examined.
    pub examined: u64,
    /// Deliveries that get another round of attempts.
    pub retried: u64,
    /// Events that had no delivery to the destination, and now have one.
    pub requested: u64,
    /// Events that the destination has, or is about to get.
    pub had: u64,
    /// Events that the destination wants, but that are older than the destination.
    pub before_created: u64,
    /// Refused deliveries, by reason.
    pub refused: BTreeMap<RetryRefusal, u64>,
}

/// The outcomes of the rounds that a job requested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcomes {
    pub succeeded: u64,
    /// The deliveries that failed again.
    pub failed: u64,
    /// The deliveries that have not ended.
    pub waiting: u64,
}

/// A delivery that a job could not act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub delivery: DeliveryId,
    pub why: RetryRefusal,
}

/// A delivery that a dry run would act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The delivery; it may not exist yet.
    pub delivery: DeliveryId,
    pub event_id: EventId,
}

/// A caller asked for the end of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCancelRequested {
    pub reference: JobRef,
    pub by: String,
    pub at: Timestamp,
}

/// A job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFinished {
    pub reference: JobRef,
    pub outcome: JobOutcome,
    pub counts: Counts,
    pub at: Timestamp,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOutcome {
    /// The job handled everything.
    Completed,
    /// A caller cancelled the job.
    Cancelled,
    /// The destination of the recovery was deleted.
    DestinationDeleted,
}

impl JobOutcome {
    pub const ALL: [Self; 3] = [Self::Completed, Self::Cancelled, Self::DestinationDeleted];

    /// The word that facts and the API use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::DestinationDeleted => "destination_deleted",
        }
    }

    /// The outcome that a stored word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

impl JobFact {
    pub const fn reference(&self) -> &JobRef {
        match self {
            Self::Started(f) => &f.reference,
            Self::Progressed(f) => &f.reference,
            Self::CancelRequested(f) => &f.reference,
            Self::Finished(f) => &f.reference,
        }
    }

    /// When the fact happened.
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Started(f) => f.at,
            Self::Progressed(f) => f.at,
            Self::CancelRequested(f) => f.at,
            Self::Finished(f) => f.at,
        }
    }
}
