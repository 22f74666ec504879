//! What is recorded about a job.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::pace::Pace;
use crate::{
    delivery::{DeliveryFilter, RetryRefusal},
    ids::{AccountId, DeliveryId, DestinationId, EventId, JobId, LeadSequence},
};

/// Which job a fact is about. Every fact carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRef {
    /// The job.
    pub job: JobId,
    /// Whose deliveries it is about.
    pub account: AccountId,
}

/// A fact about one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobFact {
    /// A person or a tool asked for it.
    Started(JobStarted),
    /// It got further.
    Progressed(JobProgressed),
    /// Somebody wants it to end.
    CancelRequested(JobCancelRequested),
    /// It ended.
    Finished(JobFinished),
}

/// A person or a tool asked for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStarted {
    /// Which.
    pub reference: JobRef,
    /// What it is to do.
    pub plan: Plan,
    /// It only counts what it would do.
    pub dry_run: bool,
    /// How fast it goes.
    pub pace: Pace,
    /// Who asked.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What a job is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Retry these deliveries, in this order; at most [`MOST_LISTED`](super::MOST_LISTED), none of them twice.
    RetryListed(Arc<[DeliveryId]>),
    /// Retry the failed ones among these, the oldest first.
    RetryFiltered(Box<DeliveryFilter>),
    /// Bring a destination what it missed, the oldest first.
    Recover(Recovery),
}

/// What a destination is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// The destination.
    pub destination: DestinationId,
    /// Events received at this time or later.
    pub since: Timestamp,
    /// Events received before this time.
    pub until: Option<Timestamp>,
    /// Events from before the destination was created, too.
    pub include_before_created: bool,
    /// The last event that LEADS held when the job was asked for; what comes later is the router's.
    pub end: LeadSequence,
}

/// A job got further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProgressed {
    /// Which.
    pub reference: JobRef,
    /// How far it is by now.
    pub progress: Progress,
    /// What was refused since the progress before.
    pub refused: Vec<Refused>,
    /// When.
    pub at: Timestamp,
}

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Counts the records of progress; 0: none yet.
    pub step: u32,
    /// Everything up to here is done.
    pub cursor: Cursor,
    /// What came of it.
    pub counts: Counts,
    /// Of a dry run: the first ones that it would do something about.
    pub sample: Vec<Sample>,
}

/// A place in what a job goes through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cursor {
    /// Before the first.
    #[default]
    Start,
    /// So many of a list are done.
    Listed(u32),
    /// After the delivery that was requested then.
    After(Timestamp, DeliveryId),
    /// After the event at this place in LEADS.
    Event(LeadSequence),
}

/// What came of the deliveries and events that a job has come to; of a dry run: what would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries or events that were looked at.
    pub examined: u64,
    /// Failed deliveries that get another round of attempts.
    pub retried: u64,
    /// Events that the destination had no delivery of, and now has one.
    pub requested: u64,
    /// Events that the destination has, or is about to get.
    pub had: u64,
    /// Events that it would want, but that are older than it.
    pub before_created: u64,
    /// What could not be done, and why.
    pub refused: BTreeMap<RetryRefusal, u64>,
}

/// A delivery that a job could do nothing about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Why.
    pub why: RetryRefusal,
}

/// A delivery that a dry run would do something about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The delivery, whether it exists already or not.
    pub delivery: DeliveryId,
    /// The event.
    pub event_id: EventId,
}

/// Somebody wants a job to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobCancelRequested {
    /// Which.
    pub reference: JobRef,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFinished {
    /// Which.
    pub reference: JobRef,
    /// How.
    pub outcome: JobOutcome,
    /// What it came to in all.
    pub counts: Counts,
    /// When.
    pub at: Timestamp,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOutcome {
    /// It went through everything.
    Completed,
    /// Somebody cancelled it.
    Cancelled,
    /// The destination that it was for was deleted.
    DestinationDeleted,
}

impl JobOutcome {
    /// Every outcome.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Cancelled, Self::DestinationDeleted];

    /// The word that is stored and shown.
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
    /// Which job it is about.
    pub const fn reference(&self) -> &JobRef {
        match self {
            Self::Started(f) => &f.reference,
            Self::Progressed(f) => &f.reference,
            Self::CancelRequested(f) => &f.reference,
            Self::Finished(f) => &f.reference,
        }
    }

    /// When what it tells happened.
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Started(f) => f.at,
            Self::Progressed(f) => f.at,
            Self::CancelRequested(f) => f.at,
            Self::Finished(f) => f.at,
        }
    }
}
