//! Figures of the broker for metrics: the size and limit of each stream, and the age of the oldest message that waits
//! for each consumer.

use std::time::Duration;

use async_nats::jetstream::stream::{ClusterInfo, Info};
use jiff::Timestamp;

use crate::{
    clock::timestamp,
    connection::{broker_info, connect::Journal},
    consumers::{CONSUMERS, Consumer, READERS},
    error::JournalError,
    streams::StreamName,
};

const OPERATION: &str = "read the figures of the broker";
/// A replica that has not answered its leader for this time is behind.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// The size of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamFigures {
    pub stream: StreamName,
    pub messages: u64,
    /// Bytes on disk, of one replica.
    pub bytes: u64,
    /// `None` if the stream has no limit.
    pub max_bytes: Option<u64>,
    /// Replicas that are behind their leader.
    pub behind: usize,
}

/// The size of all streams of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFigures {
    /// Bytes on disk, of all replicas.
    pub bytes: u64,
    /// `None` if there is no limit.
    pub max_bytes: Option<u64>,
}

impl Journal {
    /// # Errors
    /// When the broker does not answer.
    pub async fn stream_figures(&self) -> Result<Vec<StreamFigures>, JournalError> {
        let mut all = vec![];
        for stream in StreamName::ALL {
            let info = broker_info::info(self.context(), stream, OPERATION).await?;
            all.push(figures(stream, &info));
        }
        Ok(all)
    }

    /// # Errors
    /// When the broker does not answer.
    pub async fn account_figures(&self) -> Result<AccountFigures, JournalError> {
        let account = self.context().query_account().await.map_err(|e| JournalError::unavailable(OPERATION, e))?;
        let max_bytes = account.limits.max_storage.and_then(|max| u64::try_from(max).ok());
        Ok(AccountFigures { bytes: account.storage, max_bytes })
    }

    /// For each shared consumer and lease, its name in the status and when its first unacknowledged message was stored;
    /// `None` if no message waits.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn oldest_waiting(&self) -> Result<Vec<(&'static str, Option<Timestamp>)>, JournalError> {
        let mut all = vec![];
        for consumer in CONSUMERS {
            let (context, Consumer { stream, subjects, .. }) = (self.context(), *consumer);
            let oldest = match broker_info::consumer(context, consumer, OPERATION).await? {
                Some(info) if info.num_pending > 0 || info.num_ack_pending > 0 => {
                    broker_info::first_unacknowledged(context, consumer, OPERATION).await?
                }
                None if !consumer.is_optional => broker_info::first_on(context, stream, subjects, 1, OPERATION).await?,
                Some(_) | None => None,
            };
            all.push((consumer.name, oldest.map(|message| timestamp(message.time.unix_timestamp_nanos()))));
        }
        for (reader, stream, subjects) in READERS {
            let position = self.positions().position_of(reader).await?;
            let oldest = broker_info::first_on(self.context(), stream, subjects, position + 1, OPERATION).await?;
            all.push((reader, oldest.map(|message| timestamp(message.time.unix_timestamp_nanos()))));
        }
        Ok(all)
    }
}

fn figures(stream: StreamName, info: &Info) -> StreamFigures {
    StreamFigures {
        stream,
        messages: info.state.messages,
        bytes: info.state.bytes,
        max_bytes: u64::try_from(info.config.max_bytes).ok().filter(|max| *max > 0),
        behind: info.cluster.as_ref().map_or(0, behind),
    }
}

fn behind(cluster: &ClusterInfo) -> usize {
    cluster.replicas.iter().filter(|peer| !peer.current || peer.offline || peer.active > MAX_SILENCE).count()
}
