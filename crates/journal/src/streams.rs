//! The table of streams: what each holds, for how long, and how far it goes. (`subjects.rs` has the subjects in them,
//! and `consumers.rs` who reads them.)

use std::{collections::BTreeMap, time::Duration};

use async_nats::jetstream::{
    Context, ErrorCode,
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Compression, Config, DiscardPolicy, RawMessageErrorKind, RetentionPolicy, StorageType},
};
use domain::{AnonymisationFact, DeliveryFact, JobFact, LeadEvent, NoticeFact, RegistryFact};
use events::Record;
use jiff::Timestamp;

use crate::{
    connection::{broker_info, options::NatsOptions},
    consume::work_queue::timestamp,
    error::JournalError,
    handles::Stream,
    subjects,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a new stream keeps leads, deliveries, notices and jobs unless the operator sets it.
const DEFAULT_RETENTION: Duration = DAY.saturating_mul(90);
/// How long a new stream remembers message ids unless the operator sets it.
const DEFAULT_DEDUP_WINDOW: Duration = Duration::from_secs(600);
/// How many lanes with parked work may drain at once; the broker's default is 1,000.
const MAX_PARKED_CONSUMERS: i32 = 100_000;
/// How many unreadable messages are kept for the operator.
const MAX_QUARANTINED: i64 = 100_000;

/// The prefix of the broker's own metadata.
const BROKER_METADATA: &str = "_nats.";

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
    /// Leases with their positions, the notifier's state, the fingerprint of the master key, and used log-in links.
    Positions,
    /// Notices to send, and notices that were sent.
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
    pub const ALL: [Self; 11] = [
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

    /// The streams that the read model is built from.
    pub fn projected() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|stream| stream.is_projected())
    }

    /// A setting that is not given stays unchanged: a process that is started without it must not remove replicas. So
    /// do settings that Leadline does not need, such as compression and placement, which an operator may have changed.
    fn config(self, options: &NatsOptions, existing: Option<&Config>) -> Config {
        let max_age = self.max_age(options, existing);
        let base = existing.cloned().unwrap_or_default();
        let base = Config {
            name: self.as_str().into(),
            subjects: self.subjects().iter().map(|&subject| subject.to_owned()).collect(),
            max_age,
            max_bytes: options.stream_max_bytes.map_or(base.max_bytes, u64::cast_signed),
            ..base
        };
        let own = match self {
            Self::Leads => Config { allow_direct: true, ..base },
            Self::Timers => Config { retention: RetentionPolicy::WorkQueue, allow_message_schedules: true, ..base },
            Self::Parked => {
                Config { retention: RetentionPolicy::WorkQueue, max_consumers: MAX_PARKED_CONSUMERS, ..base }
            }
            Self::Positions => Config { max_messages_per_subject: 1, allow_message_ttl: true, ..base },
            Self::Poison => Config { max_messages: MAX_QUARANTINED, max_messages_per_subject: 1, ..base },
            Self::Registry | Self::Deliveries | Self::Ordered | Self::Notices | Self::Jobs | Self::Anonymised => base,
        };
        let window = options.dedup_window.or(existing.map(|e| e.duplicate_window)).unwrap_or(DEFAULT_DEDUP_WINDOW);
        // A full stream refuses new messages, because dropping old ones could lose unfinished work. The broker does not
        // allow this for a stream with schedules, so the reconciler finds timers that were dropped.
        let refuses_new =
            options.stream_max_bytes.is_some() && !matches!(self, Self::Timers | Self::Positions | Self::Poison);
        Config {
            storage: StorageType::File,
            num_replicas: options.replicas.map(usize::from).or(existing.map(|e| e.num_replicas)).unwrap_or(1),
            // The broker refuses a window that is longer than the messages are kept.
            duplicate_window: if max_age.is_zero() { window } else { window.min(max_age) },
            allow_atomic_publish: true,
            discard: if refuses_new { DiscardPolicy::New } else { own.discard },
            ..own
        }
    }

    /// Whether its subjects begin with this word.
    pub(crate) fn begins_with(self, word: &str) -> bool {
        self.subjects().iter().any(|subjects| subjects.strip_suffix(".>") == Some(word))
    }

    const fn subjects(self) -> &'static [&'static str] {
        match self {
            Self::Leads => &["lead.>"],
            Self::Registry => &["registry.>"],
            Self::Deliveries => &["delivery.>"],
            Self::Timers => &["timer.>", "due.>"],
            Self::Parked => &["parked.>"],
            Self::Ordered => &["ordered.>"],
            Self::Positions => &["position.>"],
            Self::Notices => &["notice.>"],
            Self::Jobs => &["job.>"],
            Self::Anonymised => &["anonymised.>"],
            Self::Poison => &["poison.>"],
        }
    }

    /// How long the messages are kept; for ever if it is zero.
    fn max_age(self, options: &NatsOptions, existing: Option<&Config>) -> Duration {
        let times = match self {
            Self::Leads | Self::Deliveries | Self::Notices | Self::Jobs | Self::Poison => 1,
            // Longer than the messages of the anonymised leads.
            Self::Anonymised => 2,
            Self::Registry | Self::Timers | Self::Parked | Self::Ordered | Self::Positions => return Duration::ZERO,
        };
        let existing = existing.map(|e| e.max_age);
        options.keep_events.map(|kept| kept.saturating_mul(times)).or(existing).unwrap_or(DEFAULT_RETENTION * times)
    }

    /// Logs the settings that differ from those that Leadline would choose.
    fn log_differences(self, options: &NatsOptions, existing: &Config) {
        let usual = self.config(options, None);
        let is_kept = |(_, theirs, ours): &(&str, String, String)| theirs != ours;
        let settings = |config: &Config| {
            let metadata = config.metadata.iter().filter(|(name, _)| !name.starts_with(BROKER_METADATA));
            let metadata = metadata.collect::<BTreeMap<_, _>>();
            [
                ("max_bytes", format!("{}", config.max_bytes.max(0))),
                ("max_age", format!("{:?}", config.max_age)),
                ("compression", format!("{:?}", config.compression.clone().unwrap_or(Compression::None))),
                ("placement", format!("{:?}", config.placement)),
                ("republish", format!("{:?}", config.republish)),
                ("description", format!("{:?}", config.description.clone().unwrap_or_default())),
                ("metadata", format!("{metadata:?}")),
            ]
        };
        let pairs = settings(existing).into_iter().zip(settings(&usual));
        let kept = pairs.map(|((name, theirs), (_, ours))| (name, theirs, ours)).filter(is_kept);
        let kept: Vec<_> = kept.map(|(name, theirs, ours)| format!("{name}: {theirs} instead of {ours}")).collect();
        if !kept.is_empty() {
            tracing::info!(
                stream = self.as_str(),
                settings = kept.join("; "),
                "kept settings that an operator changed"
            );
        }
    }
}

/// The size of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamSize {
    pub messages: u64,
    /// Bytes on disk, of one replica.
    pub bytes: u64,
    /// When the oldest message was stored; `None` if the stream is empty.
    pub oldest: Option<Timestamp>,
}

/// A fact with a stream of its own.
pub trait StreamFact: Record {
    const STREAM: StreamName;
}

impl StreamFact for LeadEvent {
    const STREAM: StreamName = StreamName::Leads;
}
impl StreamFact for RegistryFact {
    const STREAM: StreamName = StreamName::Registry;
}
impl StreamFact for DeliveryFact {
    const STREAM: StreamName = StreamName::Deliveries;
}
impl StreamFact for AnonymisationFact {
    const STREAM: StreamName = StreamName::Anonymised;
}
impl StreamFact for NoticeFact {
    const STREAM: StreamName = StreamName::Notices;
}
impl StreamFact for JobFact {
    const STREAM: StreamName = StreamName::Jobs;
}

/// Creates the missing streams and updates the others; several processes may do so at once.
pub(crate) async fn set_up(context: &Context, options: &NatsOptions) -> Result<(), JournalError> {
    for stream in StreamName::ALL {
        let existing = match context.get_stream(stream.as_str()).await {
            Ok(existing) => Some(existing.cached_info().config.clone()),
            Err(error) if is_missing(&error.kind()) => None,
            Err(error) => return Err(JournalError::unavailable("describe its streams", error)),
        };
        if let Some(existing) = &existing {
            stream.log_differences(options, existing);
        }
        let config = stream.config(options, existing.as_ref());
        context.create_or_update_stream(config).await.map_err(|error| match advice(&error.kind()) {
            Some(advice) => JournalError::Stream { stream: stream.as_str(), advice, source: error.into() },
            None => JournalError::refused("set up its streams", error),
        })?;
    }
    Ok(())
}

fn is_missing(kind: &GetStreamErrorKind) -> bool {
    matches!(kind, GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// What the operator should do about a refusal; `None` if a retry may help.
fn advice(kind: &CreateStreamErrorKind) -> Option<&'static str> {
    let CreateStreamErrorKind::JetStream(error) = kind else { return None };
    match error.error_code() {
        ErrorCode::STREAM_MAX_BYTES_REQUIRED => {
            Some("the account of the broker requires a limit of each stream; set it with --stream-max-bytes")
        }
        ErrorCode::STREAM_MAX_STREAM_BYTES_EXCEEDED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED => Some(
            "the account of the broker has no room for it; lower --stream-max-bytes, or raise the limits of the account",
        ),
        ErrorCode::MAXIMUM_STREAMS_LIMIT => Some("the account of the broker has to allow 11 streams"),
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED => Some("--replicas of more than 1 needs a cluster"),
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => {
            Some("JetStream has to be enabled for the account of the broker")
        }
        ErrorCode::STREAM_INVALID_CONFIG => Some("its settings contradict each other; the cause names them"),
        _ => None,
    }
}

/// How long the broker remembers the ids of facts about deliveries.
pub(crate) async fn dedup_window(context: &Context) -> Result<Duration, JournalError> {
    let stream = context.get_stream(StreamName::Deliveries.as_str()).await;
    let stream = stream.map_err(|e| JournalError::unavailable("read the deduplication window", e))?;
    Ok(stream.cached_info().config.duplicate_window)
}

impl Stream<'_> {
    /// The sequence of the first message of a stream; if the stream is empty, that of the next message.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn first_sequence(self) -> Result<u64, JournalError> {
        let state =
            broker_info::state(self.journal.context(), self.name, "read the first sequence of a stream").await?;
        Ok(if state.messages == 0 { state.last_sequence + 1 } else { state.first_sequence })
    }

    /// When the oldest message of a stream was stored; `None` if the stream is empty.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn first_time(self) -> Result<Option<Timestamp>, JournalError> {
        Ok(self.size().await?.oldest)
    }

    /// The size of a stream.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn size(self) -> Result<StreamSize, JournalError> {
        let state = broker_info::state(self.journal.context(), self.name, "read the size of a stream").await?;
        let oldest = (state.messages > 0).then(|| timestamp(state.first_timestamp.unix_timestamp_nanos()));
        Ok(StreamSize { messages: state.messages, bytes: state.bytes, oldest })
    }

    /// The sequence of the last message of a stream; 0 if the stream is empty.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn last_sequence(self) -> Result<u64, JournalError> {
        let state = broker_info::state(self.journal.context(), self.name, "read how far a stream goes").await?;
        // The broker reports a last sequence even if all messages have expired.
        if state.messages == 0 {
            return Ok(0);
        }
        if state.deleted_count.is_none_or(|deleted| deleted == 0) {
            return Ok(state.last_sequence);
        }
        // The last message may have been erased, and then no reader would ever reach its sequence.
        self.last_on(subjects::ANYTHING).await
    }

    /// When the first message after a sequence was stored; `None` if there is none.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn time_after(self, sequence: u64) -> Result<Option<Timestamp>, JournalError> {
        const OPERATION: &str = "read when a message was stored";
        let stream = broker_info::stream(self.journal.context(), self.name, OPERATION).await?;
        match stream.get_first_raw_message_by_subject(subjects::ANYTHING, sequence + 1).await {
            Ok(message) => Ok(Some(timestamp(message.time.unix_timestamp_nanos()))),
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(JournalError::unavailable(OPERATION, error)),
        }
    }

    /// The sequence of the last message of a stream on these subjects; 0 if there is none.
    pub(crate) async fn last_on(self, subjects: &str) -> Result<u64, JournalError> {
        let last =
            broker_info::last_on(self.journal.context(), self.name, subjects, "read how far a stream goes").await?;
        Ok(last.map_or(0, |last| last.sequence))
    }
}
