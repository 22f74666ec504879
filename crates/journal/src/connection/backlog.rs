//! How much waits in the broker: what the streams and their consumers say of themselves, which costs the broker nothing
//! that grows with what waits.

use crate::{
    Journal, JournalError, READER_IN_ORDER, READER_OF_LEADS, READER_OF_NOTICES, StreamName, Traffic,
    connection::broker_info, consume::work_queue, subjects,
};

const ASKED: &str = "tell how much waits";
/// The consumers that services share: what they are called here, their stream, and their name on the broker.
const SHARED: [(&str, StreamName, &str); 6] = [
    ("router", StreamName::Leads, work_queue::router(Traffic::Steady)),
    ("router of bursts", StreamName::Leads, work_queue::router(Traffic::Burst)),
    ("sender", StreamName::Deliveries, work_queue::SENDER),
    ("timers", StreamName::Timers, "due"),
    ("mailer", StreamName::Notices, "mailer"),
    ("mailer of leads", StreamName::Notices, "mailer-leads"),
];
/// The readers that have no consumer that lasts, but a place; their stream, and what they read of it.
const READERS: [(&str, StreamName, &str); 3] = [
    (READER_IN_ORDER, StreamName::Leads, subjects::ANYTHING),
    (READER_OF_NOTICES, StreamName::Deliveries, subjects::DONE),
    (READER_OF_LEADS, StreamName::Leads, subjects::ANYTHING),
];

/// How far a consumer is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// What works on it.
    pub name: &'static str,
    /// The stream.
    pub stream: StreamName,
    /// What was not handed out yet; of a reader that has a place, how far that is from the end of what it reads. If nobody
    /// ever asked for it, that is all there is in the stream.
    pub waiting: u64,
    /// What was handed out and not acknowledged.
    pub in_hand: u64,
}

/// How much waits in the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Of each consumer that services share.
    pub lags: Vec<Lag>,
    /// Parked work.
    pub parked: u64,
    /// Retries that wait for their time.
    pub timers: u64,
    /// Deliveries that have not ended, where order is kept.
    pub in_order: u64,
    /// Messages that nobody can read.
    pub poison: u64,
}

impl Journal {
    /// How much waits.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn backlog(&self) -> Result<Backlog, JournalError> {
        let mut lags = vec![];
        for (name, stream, consumer) in SHARED {
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
        let (waiting, in_hand) = match broker_info::consumer(self.context(), (stream, consumer), ASKED).await? {
            Some(info) => (info.num_pending, info.num_ack_pending as u64),
            None => (self.messages(stream).await?, 0),
        };
        Ok(Lag { name, stream, waiting, in_hand })
    }

    async fn reader_lag(&self, name: &'static str, stream: StreamName, subjects: &str) -> Result<Lag, JournalError> {
        let (last, read) = (self.last_on(stream, subjects).await?, self.read_until(name).await?);
        Ok(Lag { name, stream, waiting: last.saturating_sub(read), in_hand: 0 })
    }

    async fn messages(&self, stream: StreamName) -> Result<u64, JournalError> {
        Ok(broker_info::state(self.context(), stream, ASKED).await?.messages)
    }
}
