//! The restart watermark is a time. Messages that are not newer than it may be redeliveries, even if the broker counts
//! one delivery.
//!
//! The broker writes the state of its consumers to disk a fraction of a second late. If it is killed and restarted, it
//! may redeliver work with a delivery count of one. So every message that was stored before this process connected may
//! be a redelivery, and the process that gets it has to read the history.

use std::time::Duration;

use async_nats::jetstream::Context;
use jiff::Timestamp;
use runtime::ErrorChain as _;
use tokio::{sync::watch, time::Instant};

use crate::{clock::timestamp, connection::broker_info, consumers::streams_with_work, error::JournalError};

const RETRY_DELAY: Duration = Duration::from_millis(250);

/// What is known about the current connection.
#[derive(Debug, Clone, Copy)]
struct Connection {
    number: u64,
    /// When this process noticed the connection.
    at: Instant,
    /// The time of the newest message at that moment, by the broker's clock.
    newest: Timestamp,
}

/// Tells messages that are older than the current connection from newer ones.
#[derive(Debug, Clone)]
pub(crate) struct RestartWatermark {
    connections: watch::Receiver<u64>,
    known: watch::Receiver<Option<Connection>>,
}

impl RestartWatermark {
    /// `connections` changes whenever a connection is made or lost.
    pub(crate) fn start(context: &Context, connections: &watch::Receiver<u64>) -> Self {
        let (publish, known) = watch::channel(None);
        let (context, mut changes) = (context.clone(), connections.clone());
        // The task ends when the last watermark is dropped.
        tokio::spawn(async move {
            while !publish.is_closed() {
                let number = *changes.borrow_and_update();
                match newest(&context).await {
                    Ok(newest) => {
                        publish.send_replace(Some(Connection { number, at: Instant::now(), newest }));
                        tokio::select! {
                            changed = changes.changed() => if changed.is_err() { return },
                            () = publish.closed() => return,
                        }
                    }
                    Err(error) => {
                        tracing::debug!(error = error.chain(), "cannot read last sequences; retrying");
                        tokio::time::sleep(RETRY_DELAY).await;
                    }
                }
            }
        });
        Self { connections: connections.clone(), known }
    }

    /// Waits until the watermark of the current connection is known. Cancel-safe.
    pub(crate) async fn wait_until_known(&self) {
        let mut known = self.known.clone();
        // An error means that the task has ended, because the process is about to end.
        let _ = known.wait_for(|known| known.is_some_and(|c| c.number == *self.connections.borrow())).await;
    }

    /// The instant up to which the history has to be read, if a message with a delivery count of one may be a
    /// redelivery; `None` if it cannot be one.
    pub(crate) fn may_be_redelivery(&self, published_at: Timestamp) -> Option<Instant> {
        let connection = (*self.known.borrow())?;
        (published_at <= connection.newest).then_some(connection.at)
    }
}

async fn newest(context: &Context) -> Result<Timestamp, JournalError> {
    let mut newest = Timestamp::MIN;
    for stream in streams_with_work() {
        let state = broker_info::state(context, stream, "read the last sequences of the streams").await?;
        if state.last_sequence > 0 {
            newest = newest.max(timestamp(state.last_timestamp.unix_timestamp_nanos()));
        }
    }
    Ok(newest)
}
