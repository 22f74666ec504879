//! The backlog of the broker, as streams and consumers report it. The cost of the report does not grow with the
//! backlog.

use crate::{
    connection::{broker_info, connect::Journal},
    consumers::{CONSUMERS, Consumer, READERS},
    error::JournalError,
    streams::StreamName,
};

const OPERATION: &str = "read the backlog";

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
        for consumer in CONSUMERS {
            lags.push(self.lag(consumer).await?);
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

    async fn lag(&self, consumer: &Consumer) -> Result<Lag, JournalError> {
        let Consumer { name, stream, is_optional, .. } = *consumer;
        let (waiting, in_hand) = match broker_info::consumer(self.context(), consumer, OPERATION).await? {
            Some(info) => (info.num_pending, info.num_ack_pending as u64),
            None if is_optional => (0, 0),
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
