//! What the broker may have forgotten.
//!
//! A broker writes down a fraction of a second later what it has handed out and what was acknowledged. If it is killed, work
//! comes again as if for the first time. So everything that was stored before this process connected may be a
//! repetition, and whoever gets it has to look back.

use std::time::Duration;

use async_nats::jetstream::Context;
use jiff::Timestamp;
use runtime::ErrorChain as _;
use tokio::{sync::watch, time::Instant};

use crate::{JournalError, StreamName, connection::broker_info, consume::work_queue::timestamp};

/// The pause after the broker did not answer.
const PAUSE: Duration = Duration::from_millis(250);

/// What is known about the present connection.
#[derive(Debug, Clone, Copy)]
struct Connection {
    /// Which one it is.
    number: u64,
    /// When it was there.
    at: Instant,
    /// The time of the newest message then, as the broker tells time.
    newest: Timestamp,
}

/// Knows which messages are older than the connection.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    connections: watch::Receiver<u64>,
    known: watch::Receiver<Option<Connection>>,
}

impl Memory {
    /// `connections` changes whenever a connection is made or lost.
    pub(crate) fn start(context: &Context, connections: &watch::Receiver<u64>) -> Self {
        let (publish, known) = watch::channel(None);
        let (context, mut changes) = (context.clone(), connections.clone());
        // It ends with the last of those who ask.
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
                        tracing::debug!(error = error.chain(), "the broker does not tell how far its streams go");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        });
        Self { connections: connections.clone(), known }
    }

    /// Waits until it is known of the present connection what is older. Safe to cancel.
    pub(crate) async fn settled(&self) {
        let mut known = self.known.clone();
        // If nobody keeps it up to date any more, the process is about to end.
        let _ = known.wait_for(|known| known.is_some_and(|c| c.number == *self.connections.borrow())).await;
    }

    /// Whether a message may have been handed out before, although the broker says that it was not; if so, what was
    /// recorded until then tells.
    pub(crate) fn may_have_forgotten(&self, published_at: Timestamp) -> Option<Instant> {
        let connection = (*self.known.borrow())?;
        (published_at <= connection.newest).then_some(connection.at)
    }
}

async fn newest(context: &Context) -> Result<Timestamp, JournalError> {
    let mut newest = Timestamp::MIN;
    for stream in StreamName::with_work() {
        let state = broker_info::state(context, stream, "tell how far its streams go").await?;
        if state.last_sequence > 0 {
            newest = newest.max(timestamp(state.last_timestamp.unix_timestamp_nanos()));
        }
    }
    Ok(newest)
}
