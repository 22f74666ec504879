//! The table of streams: what each holds, and for how long. `subjects.rs` has their subjects, and `consumers.rs` their
//! consumers.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use domain::{AnonymisationFact, DeliveryFact, JobFact, LeadEvent, NoticeFact, RegistryFact};
use events::Record;

use crate::connection::options::NatsOptions;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a new stream keeps leads, deliveries, notices and jobs unless the operator sets it.
const DEFAULT_RETENTION: Duration = DAY.saturating_mul(90);
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

    /// A setting that is not given stays unchanged: a process that is started without it must not remove replicas.
    /// Settings that Leadline does not need, such as compression and placement, also stay unchanged, because an
    /// operator may have chosen them.
    pub(crate) fn config(self, options: &NatsOptions, existing: Option<&Config>) -> Config {
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
        // allow this for a stream with schedules. If it drops timers, the reconciler restores their work.
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

    /// The stream of a subject, by its first word.
    pub(crate) fn of_subject(subject: &str) -> Option<Self> {
        let word = subject.split_once('.').map_or(subject, |(word, _)| word);
        let has_word = |stream: &Self| stream.subjects().iter().any(|all| all.strip_suffix(".>") == Some(word));
        Self::ALL.into_iter().find(has_word)
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
}

/// A type of facts that has its own stream.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_of_a_subject_names_its_stream() {
        assert_eq!(StreamName::of_subject("lead.acme.form"), Some(StreamName::Leads));
        assert_eq!(StreamName::of_subject("due.d.1"), Some(StreamName::Timers));
        assert_eq!(StreamName::of_subject("other"), None);
    }
}
