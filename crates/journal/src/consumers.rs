//! The table of consumers: the work queues that processes share, and the streams that leaders read. Work queues, the
//! status, metrics and the list of streams with work are derived from it.

use crate::{
    streams::StreamName,
    subjects::{self, Traffic},
};

/// How many messages of a work queue may be unacknowledged, over all processes.
const MAX_ACK_PENDING: i64 = 20_000;
/// How many messages one pull requests.
pub(crate) const MAX_FETCH: usize = 200;
/// How many notices one pull requests. A mail server may be slow, and a notice that waits in the process for longer
/// than [`ACK_WAIT`](crate::ACK_WAIT) is redelivered.
const MAX_NOTICE_FETCH: usize = 4;
/// How many notices of a work queue may be unacknowledged. While the mail server is unavailable, all of them wait for
/// redelivery.
const MAX_NOTICES_ACK_PENDING: i64 = 5_000;
/// How many jobs run at once, over all processes; the others wait.
const MAX_JOBS_ACK_PENDING: i64 = 64;

/// A durable consumer that processes share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Consumer {
    /// The name in the status and in metrics.
    pub(crate) name: &'static str,
    pub(crate) stream: StreamName,
    /// The name on the broker, which never changes: the broker remembers by it what was acknowledged.
    pub(crate) durable: &'static str,
    /// The subjects that it delivers.
    pub(crate) subjects: &'static str,
    pub(crate) max_ack_pending: i64,
    /// How many messages one pull requests.
    pub(crate) fetch: usize,
    /// Whether some installations never create it. Until it exists, its backlog counts as empty.
    pub(crate) is_optional: bool,
}

/// Each consumer is a constant and a row of the table.
macro_rules! consumers {
    ($($(#[$doc:meta])+ $CONSUMER:ident: $consumer:expr;)+) => {
        $($(#[$doc])+ pub(crate) const $CONSUMER: Consumer = $consumer;)+

        /// All of them, in the order of the status.
        pub(crate) const CONSUMERS: &[Consumer] = &[$($CONSUMER),+];
    };
}

consumers! {
    /// Lead events, for the router.
    ROUTER: work("router", StreamName::Leads, "router", subjects::leads(Traffic::Steady));
    /// Lead events of bursts, for the router.
    BURST_ROUTER: work("router of bursts", StreamName::Leads, "router-bursts", subjects::leads(Traffic::Burst));
    /// Facts that request an attempt, for the dispatchers.
    SENDER: work("sender", StreamName::Deliveries, "sender", subjects::TODO);
    /// Timers that are due, for the dispatchers.
    TIMERS: work("timers", StreamName::Timers, "due", subjects::DUE);
    /// Notices that are called for.
    MAILER: work("mailer", StreamName::Notices, "mailer", subjects::CALLED_FOR).of_notices();
    /// Notices about leads that are called for.
    LEAD_MAILER: work("mailer of leads", StreamName::Notices, "mailer-leads", subjects::CALLED_FOR_LEADS).of_notices();
    /// Changes of destinations: a rule that deactivates one causes a mail.
    DEACTIVATION_MAILER: work("mailer of deactivations", StreamName::Registry, "notifier", subjects::DESTINATIONS);
    /// Changes of the configuration, if there is a master key: the owners of new addresses are asked for consent.
    CONFIRMATION_MAILER:
        work("mailer of confirmations", StreamName::Registry, "confirmer", subjects::REGISTRY).optional();
    /// Attempts of anonymised leads, if there is an outbox: their mails are removed from it.
    OUTBOX: work("outbox", StreamName::Deliveries, "outbox", subjects::BLANKED_ATTEMPTS).optional();
    /// Events of anonymised leads, if there is an outbox: their mails are removed from it.
    LEAD_OUTBOX: work("outbox of leads", StreamName::Anonymised, "outbox-leads", subjects::BLANKED_EVENTS).optional();
    /// Facts about jobs. The fact that starts a job stays unacknowledged while the job runs.
    JOB_RUNNER: work("job runner", StreamName::Jobs, "worker", subjects::JOBS).at_most(MAX_JOBS_ACK_PENDING);
}

/// The lease of the sequencer, which reads LEADS in order for ordered destinations.
pub const SEQUENCER_LEASE: &str = "sequencer";
/// The lease of the notifier, which reads DELIVERIES in order.
pub const NOTIFIER_LEASE: &str = "notifier";
/// The lease of the notifier for new leads, which reads LEADS in order.
pub const LEAD_NOTIFIER_LEASE: &str = "lead-notifier";

/// The leases whose readers have no durable consumer: the lease, the stream, and the subjects that its leader reads.
pub(crate) const READERS: [(&str, StreamName, &str); 3] = [
    (SEQUENCER_LEASE, StreamName::Leads, subjects::ANYTHING),
    (NOTIFIER_LEASE, StreamName::Deliveries, subjects::DONE),
    (LEAD_NOTIFIER_LEASE, StreamName::Leads, subjects::ANYTHING),
];

/// The streams that work queues read. PARKED is not in the table: its consumers exist only while a lane needs them.
pub(crate) fn streams_with_work() -> impl Iterator<Item = StreamName> {
    let is_read = |stream| CONSUMERS.iter().any(|consumer| consumer.stream == stream);
    StreamName::ALL.into_iter().filter(move |stream| *stream == StreamName::Parked || is_read(*stream))
}

const fn work(name: &'static str, stream: StreamName, durable: &'static str, subjects: &'static str) -> Consumer {
    let (max_ack_pending, fetch) = (MAX_ACK_PENDING, MAX_FETCH);
    Consumer { name, stream, durable, subjects, max_ack_pending, fetch, is_optional: false }
}

impl Consumer {
    const fn of_notices(self) -> Self {
        Self { fetch: MAX_NOTICE_FETCH, ..self.at_most(MAX_NOTICES_ACK_PENDING) }
    }

    const fn at_most(self, max_ack_pending: i64) -> Self {
        Self { max_ack_pending, ..self }
    }

    const fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_of_consumers_are_unique() {
        let names: HashSet<_> = CONSUMERS.iter().map(|c| c.name).chain(READERS.map(|(lease, ..)| lease)).collect();
        assert_eq!(names.len(), CONSUMERS.len() + READERS.len(), "{names:?}");
        let durables: HashSet<_> = CONSUMERS.iter().map(|c| (c.stream.as_str(), c.durable)).collect();
        assert_eq!(durables.len(), CONSUMERS.len(), "{durables:?}");
    }
}
