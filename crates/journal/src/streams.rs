//! The table of streams: what each holds, for how long, and how far it goes.

use std::time::Duration;

use async_nats::jetstream::{
    Context,
    stream::{Config, RetentionPolicy, StorageType},
};
use domain::{AnonymisationFact, DeliveryFact, JobFact, LeadEvent, NoticeFact, RegistryFact};
use wire::Record;

use crate::{Journal, JournalError, connection::broker_info, connection::options::NatsOptions, subjects};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const RETENTION: Duration = DAY.saturating_mul(90);
/// How long it is kept which leads were anonymised: longer than anything that this covers.
const ANONYMISED_RETENTION: Duration = RETENTION.saturating_mul(2);
/// How long a new stream remembers message ids unless the operator sets it.
const DEFAULT_DEDUP_WINDOW: Duration = Duration::from_secs(600);
/// How many lanes with parked work may drain at once; the broker's default is 1,000.
const MAX_PARKED_CONSUMERS: i32 = 100_000;
/// How many unreadable messages are kept for the operator.
const MAX_QUARANTINED: i64 = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamName {
    /// Lead events with their payloads.
    Leads,
    /// Configuration facts.
    Registry,
    /// Facts about deliveries.
    Deliveries,
    /// Timers: retries that wait, and retries that are due.
    Timers,
    /// Parked work.
    Parked,
    /// Ordered queues.
    Ordered,
    /// Leases with their positions, what the notifier remembers, and the fingerprint of the master key.
    Positions,
    /// Notices that are called for, and notices that were sent.
    Notices,
    /// Facts about jobs.
    Jobs,
    /// Which leads were anonymised, and what is left of their events.
    Anonymised,
    /// Quarantine: unreadable messages.
    Poison,
}

impl StreamName {
    #[rustfmt::skip]
    pub(crate) const ALL: [Self; 11] = [
        Self::Leads, Self::Registry, Self::Deliveries, Self::Timers, Self::Parked, Self::Ordered, Self::Positions,
        Self::Notices, Self::Jobs, Self::Anonymised, Self::Poison,
    ];

    /// The name on the broker.
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

    /// Whether the read model is built from it.
    const fn is_projected(self) -> bool {
        match self {
            Self::Leads | Self::Registry | Self::Deliveries | Self::Notices | Self::Jobs | Self::Anonymised => true,
            Self::Timers | Self::Parked | Self::Ordered | Self::Positions | Self::Poison => false,
        }
    }

    /// Whether work queues read it.
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

    /// The streams that the read model is built from.
    pub fn projected() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|stream| stream.is_projected())
    }

    /// The streams that work queues read.
    pub(crate) fn with_work() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|stream| stream.has_work())
    }

    /// A setting that is not given stays unchanged: a process that is started without it must not remove replicas.
    fn config(self, options: &NatsOptions, existing: Option<&Config>) -> Config {
        let own = match self {
            Self::Leads => Config { max_age: RETENTION, allow_direct: true, ..on(&["lead.>"]) },
            Self::Registry => on(&["registry.>"]),
            Self::Deliveries => Config { max_age: RETENTION, ..on(&["delivery.>"]) },
            Self::Timers => Config {
                retention: RetentionPolicy::WorkQueue,
                allow_message_schedules: true,
                ..on(&["timer.>", "due.>"])
            },
            Self::Parked => Config {
                retention: RetentionPolicy::WorkQueue,
                max_consumers: MAX_PARKED_CONSUMERS,
                ..on(&["parked.>"])
            },
            Self::Ordered => on(&["ordered.>"]),
            Self::Positions => Config { max_messages_per_subject: 1, ..on(&["position.>"]) },
            Self::Notices => Config { max_age: RETENTION, ..on(&["notice.>"]) },
            Self::Jobs => Config { max_age: RETENTION, ..on(&["job.>"]) },
            Self::Anonymised => Config { max_age: ANONYMISED_RETENTION, ..on(&["anonymised.>"]) },
            Self::Poison => Config {
                max_messages: MAX_QUARANTINED,
                max_messages_per_subject: 1,
                max_age: RETENTION,
                ..on(&["poison.>"])
            },
        };
        Config {
            name: self.as_str().into(),
            storage: StorageType::File,
            num_replicas: options.replicas.map(usize::from).or(existing.map(|e| e.num_replicas)).unwrap_or(1),
            duplicate_window: options
                .dedup_window
                .or(existing.map(|e| e.duplicate_window))
                .unwrap_or(DEFAULT_DEDUP_WINDOW),
            allow_atomic_publish: true,
            ..own
        }
    }
}

fn on(subjects: &[&str]) -> Config {
    Config { subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(), ..Config::default() }
}

/// A fact with a stream of its own.
pub trait Logged: Record {
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

/// Creates the missing streams and updates the others; several processes may do so at once.
pub(crate) async fn set_up(context: &Context, options: &NatsOptions) -> Result<(), JournalError> {
    for stream in StreamName::ALL {
        let existing = context.get_stream(stream.as_str()).await.ok();
        let existing = existing.as_ref().map(|stream| &stream.cached_info().config);
        context
            .create_or_update_stream(stream.config(options, existing))
            .await
            .map_err(|e| JournalError::refused("set the streams up", e))?;
    }
    Ok(())
}

/// How long the broker remembers the message ids of facts about deliveries.
pub(crate) async fn dedup_window(context: &Context) -> Result<Duration, JournalError> {
    let stream = context.get_stream(StreamName::Deliveries.as_str()).await;
    let stream = stream.map_err(|e| JournalError::unavailable("read the deduplication window", e))?;
    Ok(stream.cached_info().config.duplicate_window)
}

impl Journal {
    /// The sequence of the first message that a stream holds; if it holds none, the sequence of the next message.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn first_sequence(&self, stream: StreamName) -> Result<u64, JournalError> {
        let state = broker_info::state(self.context(), stream, "read what a stream holds").await?;
        Ok(if state.messages == 0 { state.last_sequence + 1 } else { state.first_sequence })
    }

    /// The sequence of the last message of a stream; 0 if it holds none.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn last_sequence(&self, name: StreamName) -> Result<u64, JournalError> {
        let state = broker_info::state(self.context(), name, "read how far a stream goes").await?;
        // The broker reports a last sequence even if all messages have expired.
        if state.messages == 0 {
            return Ok(0);
        }
        if state.deleted_count.is_none_or(|deleted| deleted == 0) {
            return Ok(state.last_sequence);
        }
        // The last message may have been erased, and no reader would ever reach its sequence.
        self.last_on(name, subjects::ANYTHING).await
    }

    /// The sequence of the last message of a stream on these subjects; 0 if there is none.
    pub(crate) async fn last_on(&self, stream: StreamName, subjects: &str) -> Result<u64, JournalError> {
        let last = broker_info::last_on(self.context(), stream, subjects, "read how far a stream goes").await?;
        Ok(last.map_or(0, |last| last.sequence))
    }
}
