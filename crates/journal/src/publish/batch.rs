//! Group commit for a broker that flushes every write: waiting appends are stored as one atomic batch (NATS ADR-50).
//!
//! A batch costs the broker more work than a few single messages, so it needs at least [`MIN_BATCH`] messages. A
//! refused batch, for instance one with a repeated id, is sent again message by message.

use async_nats::{
    header,
    jetstream::{Context, publish::PublishAck},
};
use futures::future::join_all;
use runtime::ErrorChain as _;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{
    error::JournalError,
    publish::message::{Appended, Outgoing, confirmed, stopped},
};

/// The number of messages from which a batch is cheaper than single messages.
const MIN_BATCH: usize = 8;
/// The maximum number of messages in a batch: half of the 1,000 that the broker accepts.
const MAX_BATCH: usize = 500;
/// How many appends may wait for a batch; further callers wait before their append is queued.
const MAX_WAITING: usize = 4_096;

type Answer = Result<Appended, JournalError>;
type Append = (Outgoing, oneshot::Sender<Answer>);

/// Collects concurrent appends and stores them together.
pub(crate) struct Batcher {
    appends: mpsc::Sender<Append>,
}

impl Batcher {
    pub(crate) fn start(context: &Context) -> Self {
        let (appends, inbox) = mpsc::channel(MAX_WAITING);
        // The task ends when the last journal is dropped. The drain waits for the callers of appends, not for this
        // task: appends in flight during the drain have to be recorded.
        tokio::spawn(run(context.clone(), inbox));
        Self { appends }
    }

    /// Messages that one caller submits one after another are stored in this order.
    pub(crate) async fn submit(&self, outgoing: Outgoing) -> Result<oneshot::Receiver<Answer>, JournalError> {
        let (answer, reply) = oneshot::channel();
        self.appends.send((outgoing, answer)).await.map_err(|_| stopped())?;
        Ok(reply)
    }
}

async fn run(context: Context, mut inbox: mpsc::Receiver<Append>) {
    let mut appends = Vec::with_capacity(MAX_BATCH);
    while inbox.recv_many(&mut appends, MAX_BATCH).await > 0 {
        store(&context, std::mem::replace(&mut appends, Vec::with_capacity(MAX_BATCH))).await;
    }
}

async fn store(context: &Context, appends: Vec<Append>) {
    if appends.len() >= MIN_BATCH
        && let Some(last) = atomically(context, &appends).await
    {
        let first = last.sequence + 1 - appends.len() as u64;
        for (sequence, (_, answer)) in (first..).zip(appends) {
            // The caller may be gone; the fact is stored in any case.
            let _ = answer.send(Ok(Appended { sequence, duplicate: false }));
        }
        return;
    }
    let mut in_flight = Vec::with_capacity(appends.len());
    for (outgoing, answer) in appends {
        in_flight.push((context.send_publish(outgoing.subject.clone(), outgoing.message()).await, answer));
    }
    let confirming = in_flight.into_iter().map(async |(sent, answer)| {
        let _ = answer.send(confirmed(sent).await.map(Appended::from));
    });
    join_all(confirming).await;
}

/// Stores all messages or none. Returns the acknowledgement of the last one; `None` if the batch was refused
/// or not acknowledged.
async fn atomically(context: &Context, appends: &[Append]) -> Option<PublishAck> {
    let batch = Uuid::new_v4().simple().to_string();
    let ((last, _), others) = appends.split_last()?;
    for (index, (outgoing, _)) in others.iter().enumerate() {
        let message = outgoing
            .message()
            .header(header::NATS_BATCH_ID, batch.as_str())
            .header(header::NATS_BATCH_SEQUENCE, (index + 1).to_string().as_str())
            .outbound_message(outgoing.subject.clone());
        let headers = message.headers.unwrap_or_default();
        context.client().publish_with_headers(message.subject, headers, message.payload).await.ok()?;
    }
    let message = last
        .message()
        .header(header::NATS_BATCH_ID, batch.as_str())
        .header(header::NATS_BATCH_SEQUENCE, appends.len().to_string().as_str())
        .header(header::NATS_BATCH_COMMIT, header::NATS_BATCH_COMMIT_FINAL);
    match confirmed(context.send_publish(last.subject.clone(), message).await).await {
        Ok(acknowledged) => Some(acknowledged),
        Err(error) => {
            tracing::debug!(error = error.chain(), "broker did not store batch; sending its messages one by one");
            None
        }
    }
}
