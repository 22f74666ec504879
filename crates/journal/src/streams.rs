//! The streams: what each holds, for how long, and how to find out how far it goes.

use std::time::Duration;

use async_nats::jetstream::{
    Context,
    stream::{Config, RetentionPolicy, StorageType},
};
use domain::{AnonymisationFact, DeliveryFact, JobFact, LeadEvent, NoticeFact, RegistryFact};
use wire::Record;

use crate::{Journal, JournalError, connection::broker_info, connection::options::NatsOptions, subjects};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long leads, deliveries, notices and jobs are kept.
const KEPT: Duration = DAY.saturating_mul(90);
/// How long it is kept who was anonymised: longer than anything that is covered by it.
const KEPT_ANONYMISED: Duration = KEPT.saturating_mul(2);
/// How long the broker remembers the ids of messages unless somebody says otherwise.
const USUAL_DEDUP_WINDOW: Duration = Duration::from_secs(600);
/// Lanes with parked work that may drain at once; the broker's own default is 1,000.
const MOST_PARKED_CONSUMERS: i32 = 100_000;
/// Unreadable messages that are kept for a person to look at.
const MOST_POISON: i64 = 100_000;

/// The streams of Leadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamName {
    /// Lead events with their payload.
    Leads,
    /// Configuration facts.
    Registry,
    /// Facts about deliveries.
    Deliveries,
    /// Retries that wait for their time, and those whose time has come.
    Timers,
    /// Work that its lane cannot take now.
    Parked,
    /// Deliveries that have not ended, of destinations that keep the order of each lead's events.
    Ordered,
    /// How far readers have come that read in order.
    Positions,
    /// What people were told.
    Notices,
    /// Facts about jobs.
    Jobs,
    /// Which leads were anonymised, and what is left of their events.
    Anonymised,
    /// Messages that nobody can read.
    Poison,
}

impl StreamName {
    #[rustfmt::skip]
    pub(crate) const ALL: [Self; 11] = [
        Self::Leads, Self::Registry, Self::Deliveries, Self::Timers, Self::Parked, Self::Ordered, Self::Positions,
        Self::Notices, Self::Jobs, Self::Anonymised, Self::Poison,
    ];

    /// Its name on the broker.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Leads => "LEADS",
            Self::Registry => "REGISTRY",
            Self::Deliveries => "DELIVERIES",
            Self::Timers => "TIMERS",
            Self::Parked => "PARKED",
            Self::Ordered => "ORDERED",
            Self::Positions => "POSITIONS",
            Self::Notices => "NOTICES",
            Self::Jobs => "JOBS",
            Self::Anonymised => "ANONYMISED",
            Self::Poison => "POISON",
        }
    }

    /// Whether the read model is made of it.
    const fn is_projected(self) -> bool {
        match self {
            Self::Leads | Self::Registry | Self::Deliveries | Self::Notices | Self::Jobs | Self::Anonymised => true,
            Self::Timers | Self::Parked | Self::Ordered | Self::Positions | Self::Poison => false,
        }
    }

    /// Whether consumers that processes share take work from it.
    const fn has_work(self) -> bool {
        match self {
            Self::Leads
            | Self::Registry
            | Self::Deliveries
            | Self::Timers
            | Self::Parked
            | Self::Notices
            | Self::Jobs
            | Self::Anonymised => true,
            Self::Ordered | Self::Positions | Self::Poison => false,
        }
    }

    /// The streams that the read model is made of.
    pub fn projected() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|stream| stream.is_projected())
    }

    /// The streams that feeds read.
    pub(crate) fn with_work() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|stream| stream.has_work())
    }

    /// What is not said stays as it is: a process that is started without it must not take replicas away.
    fn config(self, options: &NatsOptions, existing: Option<&Config>) -> Config {
        let own = match self {
            Self::Leads => Config { max_age: KEPT, allow_direct: true, ..on(&["lead.>"]) },
            Self::Registry => on(&["registry.>"]),
            Self::Deliveries => Config { max_age: KEPT, ..on(&["delivery.>"]) },
            Self::Timers => Config {
                retention: RetentionPolicy::WorkQueue,
                allow_message_schedules: true,
                ..on(&["timer.>", "due.>"])
            },
            Self::Parked => Config {
                retention: RetentionPolicy::WorkQueue,
                max_consumers: MOST_PARKED_CONSUMERS,
                ..on(&["parked.>"])
            },
            Self::Ordered => on(&["ordered.>"]),
            Self::Positions => Config { max_messages_per_subject: 1, ..on(&["position.>"]) },
            Self::Notices => Config { max_age: KEPT, ..on(&["notice.>"]) },
            Self::Jobs => Config { max_age: KEPT, ..on(&["job.>"]) },
            Self::Anonymised => Config { max_age: KEPT_ANONYMISED, ..on(&["anonymised.>"]) },
            Self::Poison => {
                Config { max_messages: MOST_POISON, max_messages_per_subject: 1, max_age: KEPT, ..on(&["poison.>"]) }
            }
        };
        Config {
            name: self.as_str().into(),
            storage: StorageType::File,
            num_replicas: options.replicas.map(usize::from).or(existing.map(|e| e.num_replicas)).unwrap_or(1),
            duplicate_window: options
                .dedup_window
                .or(existing.map(|e| e.duplicate_window))
                .unwrap_or(USUAL_DEDUP_WINDOW),
            allow_atomic_publish: true,
            ..own
        }
    }
}

fn on(subjects: &[&str]) -> Config {
    Config { subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(), ..Config::default() }
}

/// A fact that has a stream of its own.
pub trait Logged: Record {
    /// The stream.
    const STREAM: StreamName;
}

impl Logged for LeadEvent {
    const STREAM: StreamName = StreamName::Leads;
}
impl Logged for RegistryFact {
    const STREAM: StreamName = StreamName::Registry;
}
impl Logged for DeliveryFact {
    const STREAM: StreamName = StreamName::Deliveries;
}
impl Logged for AnonymisationFact {
    const STREAM: StreamName = StreamName::Anonymised;
}
impl Logged for NoticeFact {
    const STREAM: StreamName = StreamName::Notices;
}
impl Logged for JobFact {
    const STREAM: StreamName = StreamName::Jobs;
}

/// Makes the streams that are missing and brings the others up to date; several processes may do so at once.
pub(crate) async fn set_up(context: &Context, options: &NatsOptions) -> Result<(), JournalError> {
    for stream in StreamName::ALL {
        let existing = context.get_stream(stream.as_str()).await.ok();
        let existing = existing.as_ref().map(|stream| &stream.cached_info().config);
        context
            .create_or_update_stream(stream.config(options, existing))
            .await
            .map_err(|e| JournalError::refused("set up its streams", e))?;
    }
    Ok(())
}

/// How long the broker remembers the ids of facts about deliveries.
pub(crate) async fn dedup_window(context: &Context) -> Result<Duration, JournalError> {
    let stream = context.get_stream(StreamName::Deliveries.as_str()).await;
    let stream = stream.map_err(|e| JournalError::unavailable("describe its streams", e))?;
    Ok(stream.cached_info().config.duplicate_window)
}

impl Journal {
    /// The sequence of the first message that a stream still holds; if it holds none, that of the one to come.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn first_sequence(&self, stream: StreamName) -> Result<u64, JournalError> {
        let state = broker_info::state(self.context(), stream, "tell what a stream still holds").await?;
        Ok(if state.messages == 0 { state.last_sequence + 1 } else { state.first_sequence })
    }

    /// The sequence of the last message of a stream; 0: it holds none.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn last_sequence(&self, name: StreamName) -> Result<u64, JournalError> {
        let state = broker_info::state(self.context(), name, "tell how far a stream goes").await?;
        // Of a stream whose messages are all too old to be kept, the broker still knows how far it went.
        if state.messages == 0 {
            return Ok(0);
        }
        if state.deleted_count.is_none_or(|deleted| deleted == 0) {
            return Ok(state.last_sequence);
        }
        // The last one may have been erased, and nobody would ever get there.
        self.last_on(name, subjects::ANYTHING).await
    }

    /// The sequence of the last message of a stream on these subjects; 0: there is none.
    pub(crate) async fn last_on(&self, stream: StreamName, subjects: &str) -> Result<u64, JournalError> {
        let last = broker_info::last_on(self.context(), stream, subjects, "tell how far a stream goes").await?;
        Ok(last.map_or(0, |last| last.sequence))
    }
}
