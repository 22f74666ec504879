//! A stream of messages that owns its recovery: whatever goes wrong, it is made anew after a pause, for as long as
//! somebody asks for the next message.

use std::time::Duration;

use async_nats::jetstream::{
    Message,
    consumer::{PullConsumer, pull},
};
use futures::StreamExt as _;
use runtime::ErrorChain as _;

use crate::JournalError;

/// The pause before a broken stream is made anew. Shorter spins while a cluster elects a leader; longer delays leads.
const RECOVERY_PAUSE: Duration = Duration::from_millis(250);
/// How often the broker says that it is still there; after two silences it counts as gone.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long one request for messages stands at the broker.
const EXPIRES: Duration = Duration::from_secs(20);

/// Messages from a consumer, however often it has to be made anew.
pub(crate) struct Source {
    name: String,
    messages: Option<pull::Stream>,
    healthy: bool,
}

impl Source {
    pub(crate) fn new(name: String) -> Self {
        Self { name, messages: None, healthy: true }
    }

    /// The next message; `open` gives the consumer to read from, whenever there is none. Safe to cancel.
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
                Some(Err(error)) => self.recover(&error.to_string()).await,
                None => self.recover("the stream of messages ended").await,
            }
        }
    }

    /// Makes the stream anew at the next call; complains once for each time that it had worked.
    pub(crate) async fn recover(&mut self, why: &str) {
        if self.healthy {
            tracing::warn!(source = self.name, why, "reading from the broker broke off; trying again");
        }
        self.healthy = false;
        self.messages = None;
        tokio::time::sleep(RECOVERY_PAUSE).await;
    }
}

async fn stream(
    opening: impl Future<Output = Result<PullConsumer, JournalError>>,
    fetch: usize,
) -> Result<pull::Stream, JournalError> {
    let consumer = opening.await?;
    let stream = consumer.stream().max_messages_per_batch(fetch).heartbeat(HEARTBEAT).expires(EXPIRES);
    stream.messages().await.map_err(|e| JournalError::unavailable("hand out messages", e))
}
