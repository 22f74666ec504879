//! The table of consumers against a real broker: every work queue is in the backlog and in the figures.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream;
use events::Record;
use futures::{StreamExt as _, TryStreamExt as _};
use journal::{Journal, NatsOptions, StreamName, Traffic, WorkQueue};
use runtime::Platform;
use testkit::{NatsServer, wait};

const SOON: Duration = Duration::from_secs(20);
/// Subjects that the work queues deliver, with the names of their consumers in the status.
const SUBJECTS: [(&str, &[&str]); 10] = [
    ("lead.acme.form", &["router"]),
    ("lead.acme.form.burst", &["router of bursts"]),
    ("delivery.todo.acme.dst_1", &["sender"]),
    ("due.dst_1.d.0", &["timers"]),
    ("notice.acme.called", &["mailer"]),
    ("notice.acme.called.leads", &["mailer of leads"]),
    ("registry.acme.destination.dst_1", &["mailer of deactivations", "mailer of confirmations"]),
    ("delivery.blanked.acme.dst_1", &["outbox"]),
    ("anonymised.event.acme", &["outbox of leads"]),
    ("job.acme.1", &["job runner"]),
];

async fn connect(server: &NatsServer) -> Journal {
    let options = NatsOptions { nats_url: Some(server.url()), ..NatsOptions::default() };
    Journal::connect(&options, &Platform::default()).await.unwrap()
}

/// The number of consumers on the broker.
async fn consumers(context: &jetstream::Context) -> usize {
    let count = |stream: StreamName| async move {
        let stream = context.get_stream(stream.as_str()).await.unwrap();
        stream.consumer_names().try_collect::<Vec<_>>().await.unwrap().len()
    };
    futures::stream::iter(StreamName::ALL).then(count).fold(0, async |all, some| all + some).await
}

/// Reads from a queue until its consumer exists.
async fn open<T: Record>(mut queue: WorkQueue<T>, context: &jetstream::Context) -> WorkQueue<T> {
    let before = consumers(context).await;
    let exists = wait::until_eq("the consumer", SOON, before + 1, async || consumers(context).await);
    tokio::select! {
        message = queue.next() => panic!("the queue is empty: {}", message.is_some()),
        () = exists => {}
    }
    queue
}

/// For each consumer or reader, the number of waiting messages, and whether the time of the oldest one is known.
async fn waiting(journal: &Journal) -> HashMap<&'static str, (u64, bool)> {
    let oldest: HashMap<_, _> = journal.oldest_waiting().await.unwrap().into_iter().collect();
    let lags = journal.backlog().await.unwrap().lags;
    lags.iter().map(|lag| (lag.name, (lag.waiting + lag.in_hand, oldest[lag.name].is_some()))).collect()
}

#[tokio::test]
async fn every_work_queue_is_in_the_backlog_and_the_figures() {
    let server = NatsServer::start().await;
    let (journal, context) = (connect(&server).await, jetstream::new(server.client().await));
    assert_eq!(waiting(&journal).await.values().max(), Some(&(0, false)), "nothing waits at first");

    // The queues stay open, and no process takes messages from them.
    let _open = (
        open(journal.leads().work_queue(Traffic::Steady), &context).await,
        open(journal.leads().work_queue(Traffic::Burst), &context).await,
        open(journal.deliveries().work_queue(), &context).await,
        open(journal.deliveries().blanked_work_queue(), &context).await,
        open(journal.timers().work_queue(), &context).await,
        open(journal.notices().work_queue(), &context).await,
        open(journal.notices().lead_work_queue(), &context).await,
        open(journal.registry().destination_work_queue(), &context).await,
        open(journal.registry().address_work_queue(), &context).await,
        open(journal.anonymised().work_queue(), &context).await,
        open(journal.jobs().work_queue(), &context).await,
    );
    for (subject, names) in SUBJECTS {
        context.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
        for name in names {
            wait::until_eq(name, SOON, (1, true), async || waiting(&journal).await[name]).await;
        }
    }
    let named: Vec<_> = SUBJECTS.iter().flat_map(|(_, names)| names.iter()).collect();
    assert_eq!(named.len(), consumers(&context).await, "each consumer of the broker has a name");
    let readers = ["sequencer", "notifier", "lead-notifier"];
    assert_eq!(waiting(&journal).await.len(), named.len() + readers.len());
}

#[tokio::test]
async fn work_waits_for_a_consumer_that_never_existed_unless_it_is_optional() {
    let server = NatsServer::start().await;
    let (journal, context) = (connect(&server).await, jetstream::new(server.client().await));
    for (subject, _) in SUBJECTS {
        context.publish(subject, "rubbish".into()).await.unwrap().await.unwrap();
    }
    let waiting = waiting(&journal).await;
    for name in ["router", "sender", "timers", "mailer", "mailer of deactivations", "job runner"] {
        assert!(waiting[name].0 > 0 && waiting[name].1, "{name}: {:?}", waiting[name]);
    }
    for name in ["mailer of confirmations", "outbox", "outbox of leads"] {
        assert_eq!(waiting[name], (0, false), "{name}");
    }
}

#[tokio::test]
async fn nothing_waits_in_a_removed_work_queue() {
    let server = NatsServer::start().await;
    let (journal, context) = (connect(&server).await, jetstream::new(server.client().await));
    let queue = open(journal.anonymised().work_queue(), &context).await;
    context.publish("anonymised.event.acme", "rubbish".into()).await.unwrap().await.unwrap();
    wait::until_eq("the message", SOON, (1, true), async || waiting(&journal).await["outbox of leads"]).await;
    queue.remove().await.unwrap();
    assert_eq!(waiting(&journal).await["outbox of leads"], (0, false));
    queue.remove().await.unwrap();
    assert_eq!(consumers(&context).await, 0);
}
