//! A pull consumer that recovers by itself: after any failure it is created again, as long as a caller waits for the
//! next message.

use std::time::Duration;

use async_nats::jetstream::{
    Message,
    consumer::{PullConsumer, pull},
};
use futures::StreamExt as _;
use runtime::ErrorChain as _;

use crate::error::JournalError;

/// The delay before a broken consumer is created again. A shorter one would spin while a cluster elects a leader; a
/// longer one would delay leads.
const RECOVERY_DELAY: Duration = Duration::from_millis(250);
/// How often the broker sends an idle heartbeat. If two of them are missing, the consumer counts as broken.
const IDLE_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// How long the broker keeps one pull request open.
const PULL_TIMEOUT: Duration = Duration::from_secs(20);

/// Messages of a consumer that is created again whenever it breaks.
pub(crate) struct ResilientConsumer {
    name: String,
    messages: Option<pull::Stream>,
    healthy: bool,
}

impl ResilientConsumer {
    pub(crate) fn new(name: String) -> Self {
        Self { name, messages: None, healthy: true }
    }

    /// The next message. `open` creates the consumer whenever there is none. Cancel-safe.
    pub(crate) async fn next<Opening>(&mut self, fetch: usize, open: impl Fn() -> Opening) -> Message
    where
        Opening: Future<Output = Result<PullConsumer, JournalError>>,
    {
        loop {
            let messages = match &mut self.messages {
                Some(messages) => messages,
                None => match stream(open(), fetch).await {
                    Ok(messages) => self.messages.insert(messages),
                    Err(error) => {
                        self.recover(&error.chain()).await;
                        continue;
                    }
                },
            };
            match messages.next().await {
                Some(Ok(message)) => {
                    self.healthy = true;
                    return message;
                }
                Some(Err(error)) => self.recover(&error.chain()).await,
                None => self.recover("the stream of messages ended").await,
            }
        }
    }

    /// Makes the next call create the consumer again. Logs only the first failure after a success.
    pub(crate) async fn recover(&mut self, why: &str) {
        if self.healthy {
            tracing::warn!(source = self.name, why, "consumer broke; creating it again");
        }
        self.healthy = false;
        self.messages = None;
        tokio::time::sleep(RECOVERY_DELAY).await;
    }
}

async fn stream(
    opening: impl Future<Output = Result<PullConsumer, JournalError>>,
    fetch: usize,
) -> Result<pull::Stream, JournalError> {
    let consumer = opening.await?;
    let stream =
        consumer.stream().max_messages_per_batch(fetch).heartbeat(IDLE_HEARTBEAT_INTERVAL).expires(PULL_TIMEOUT);
    stream.messages().await.map_err(|e| JournalError::unavailable("deliver messages", e))
}
