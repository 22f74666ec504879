//! Group commit for a broker that flushes every write: what waits is stored as one atomic batch (NATS ADR-50).
//!
//! A batch costs the broker more work than a few single messages, so it is used only from [`WORTHWHILE`] on. A batch
//! that is refused, as one with a repeated id is, is sent again message by message.

use async_nats::{
    header,
    jetstream::{Context, publish::PublishAck},
};
use futures::future::join_all;
use runtime::ErrorChain as _;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::{
    Appended, JournalError,
    publish::append::{Outgoing, confirmed, stopped},
};

/// From how many waiting messages on a batch is cheaper than single messages.
const WORTHWHILE: usize = 8;
/// The most messages in a batch; the broker takes up to 1,000.
const LARGEST: usize = 500;
/// How many appends may wait for a batch; further callers wait before they get in.
const WAITING: usize = 4_096;

type Answer = Result<Appended, JournalError>;
type Order = (Outgoing, oneshot::Sender<Answer>);

/// Collects appends and stores them together.
pub(crate) struct Batcher {
    orders: mpsc::Sender<Order>,
}

impl Batcher {
    pub(crate) fn start(context: &Context) -> Self {
        let (orders, inbox) = mpsc::channel(WAITING);
        // It ends when the last journal is dropped. The drain does not wait for it, but for those who wait for an append:
        // what is in flight has to be recorded.
        tokio::spawn(run(context.clone(), inbox));
        Self { orders }
    }

    /// What is submitted one after another is stored in this order.
    pub(crate) async fn submit(&self, outgoing: Outgoing) -> Result<oneshot::Receiver<Answer>, JournalError> {
        let (answer, reply) = oneshot::channel();
        self.orders.send((outgoing, answer)).await.map_err(|_| stopped())?;
        Ok(reply)
    }
}

async fn run(context: Context, mut inbox: mpsc::Receiver<Order>) {
    let mut orders = Vec::with_capacity(LARGEST);
    while inbox.recv_many(&mut orders, LARGEST).await > 0 {
        store(&context, std::mem::replace(&mut orders, Vec::with_capacity(LARGEST))).await;
    }
}

async fn store(context: &Context, orders: Vec<Order>) {
    if orders.len() >= WORTHWHILE
        && let Some(last) = atomically(context, &orders).await
    {
        let first = last.sequence + 1 - orders.len() as u64;
        for (sequence, (_, answer)) in (first..).zip(orders) {
            // Whoever asked may have gone; the fact is stored all the same.
            let _ = answer.send(Ok(Appended { sequence, duplicate: false }));
        }
        return;
    }
    let mut on_their_way = Vec::with_capacity(orders.len());
    for (outgoing, answer) in orders {
        on_their_way.push((context.send_publish(outgoing.subject.clone(), outgoing.message()).await, answer));
    }
    let confirming = on_their_way.into_iter().map(async |(sent, answer)| {
        let _ = answer.send(confirmed(sent).await.map(Appended::from));
    });
    join_all(confirming).await;
}

/// Stores all or nothing; the acknowledgement of the last if all are stored.
async fn atomically(context: &Context, orders: &[Order]) -> Option<PublishAck> {
    let batch = Uuid::new_v4().simple().to_string();
    let ((last, _), others) = orders.split_last()?;
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
        .header(header::NATS_BATCH_SEQUENCE, orders.len().to_string().as_str())
        .header(header::NATS_BATCH_COMMIT, header::NATS_BATCH_COMMIT_FINAL);
    match confirmed(context.send_publish(last.subject.clone(), message).await).await {
        Ok(acknowledged) => Some(acknowledged),
        Err(error) => {
            tracing::debug!(error = error.chain(), "a batch was refused; sending its messages one by one");
            None
        }
    }
}
