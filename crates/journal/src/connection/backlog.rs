//! The backlog of the broker, as streams and consumers report it. The cost of the report does not grow with the
//! backlog.

use crate::{
    Journal, JournalError, LEAD_NOTIFIER_LEASE, NOTIFIER_LEASE, SEQUENCER_LEASE, StreamName, Traffic,
    connection::broker_info, consume::work_queues, subjects,
};

const OPERATION: &str = "read the backlog";
/// The durable consumers that processes share: the name in the status, the stream, the name on the broker, and the
/// subjects that it delivers.
pub(super) const SHARED: [(&str, StreamName, &str, &str); 6] = [
    ("router", StreamName::Leads, work_queues::router(Traffic::Steady), subjects::leads(Traffic::Steady)),
    ("router of bursts", StreamName::Leads, work_queues::router(Traffic::Burst), subjects::leads(Traffic::Burst)),
    ("sender", StreamName::Deliveries, work_queues::SENDER, subjects::TODO),
    ("timers", StreamName::Timers, "due", subjects::DUE),
    ("mailer", StreamName::Notices, "mailer", subjects::CALLED_FOR),
    ("mailer of leads", StreamName::Notices, "mailer-leads", subjects::CALLED_FOR_LEADS),
];
/// The leases whose readers have no durable consumer: the lease, the stream, and the subjects that its leader reads.
pub(super) const READERS: [(&str, StreamName, &str); 3] = [
    (SEQUENCER_LEASE, StreamName::Leads, subjects::ANYTHING),
    (NOTIFIER_LEASE, StreamName::Deliveries, subjects::DONE),
    (LEAD_NOTIFIER_LEASE, StreamName::Leads, subjects::ANYTHING),
];

/// The lag of a consumer or lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// The name in the status.
    pub name: &'static str,
    pub stream: StreamName,
    /// The messages that were not delivered yet. For a lease, the distance from its position to the last message that
    /// its leader reads, which is the whole stream if there was never a leader.
    pub waiting: u64,
    /// The messages that were delivered and not acknowledged.
    pub in_hand: u64,
}

/// The work that waits in the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// One entry for each shared consumer and each lease.
    pub lags: Vec<Lag>,
    pub parked: u64,
    /// Retries that are not due yet.
    pub timers: u64,
    /// Deliveries in the ordered queues.
    pub in_order: u64,
    /// Messages in quarantine.
    pub poison: u64,
}

impl Journal {
    /// Reads the lag of every consumer and the size of every place where work waits.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn backlog(&self) -> Result<Backlog, JournalError> {
        let mut lags = vec![];
        for (name, stream, consumer, _) in SHARED {
            lags.push(self.lag(name, stream, consumer).await?);
        }
        for (reader, stream, subjects) in READERS {
            lags.push(self.reader_lag(reader, stream, subjects).await?);
        }
        let due = lags.iter().find(|lag| lag.stream == StreamName::Timers).map_or(0, |lag| lag.waiting + lag.in_hand);
        let timers = self.messages(StreamName::Timers).await?.saturating_sub(due);
        let (parked, poison) = (self.messages(StreamName::Parked).await?, self.messages(StreamName::Poison).await?);
        let in_order = self.messages(StreamName::Ordered).await?;
        Ok(Backlog { lags, parked, timers, in_order, poison })
    }

    async fn lag(&self, name: &'static str, stream: StreamName, consumer: &str) -> Result<Lag, JournalError> {
        let (waiting, in_hand) = match broker_info::consumer(self.context(), (stream, consumer), OPERATION).await? {
            Some(info) => (info.num_pending, info.num_ack_pending as u64),
            None => (self.messages(stream).await?, 0),
        };
        Ok(Lag { name, stream, waiting, in_hand })
    }

    async fn reader_lag(&self, name: &'static str, stream: StreamName, subjects: &str) -> Result<Lag, JournalError> {
        let (last, read) = (self.stream(stream).last_on(subjects).await?, self.positions().position_of(name).await?);
        Ok(Lag { name, stream, waiting: last.saturating_sub(read), in_hand: 0 })
    }

    async fn messages(&self, stream: StreamName) -> Result<u64, JournalError> {
        Ok(broker_info::state(self.context(), stream, OPERATION).await?.messages)
    }
}
