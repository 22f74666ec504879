//! Each change of state is one line of the log.

use std::time::Duration;

use api::{DeliveryStatus, JobStatus};
use testkit::{Answer, NatsServer, Process, Receiver, wait};

use crate::{
    processes::{address, arguments},
    world::{SOON, World, program, retries, some_destination},
};

/// Waits for a line that has all of these texts.
async fn logged(process: &Process, texts: &[&str]) {
    wait::until(
        &texts.join(" "),
        SOON,
        async || if count(process, texts) > 0 { Ok(()) } else { Err(process.output()) },
    )
    .await;
}

fn count(process: &Process, texts: &[&str]) -> usize {
    process.output().lines().filter(|line| texts.iter().all(|text| line.contains(text))).count()
}

#[tokio::test]
async fn changes_of_a_destination_and_of_a_job_are_one_line_each() {
    let (world, receiver) = (World::start().await, Receiver::start().await);
    let pauses = [Duration::from_millis(1_200); 3];
    let destination = api::Destination {
        url: receiver.url(),
        breaker_failures: Some(1),
        retry_policy: Some(retries(&pauses)),
        ..some_destination()
    };
    receiver.answer_next([Answer::Reset]);
    let id = world.destination_with(destination).await;
    world.publish("e1").await;
    world.delivery_is("e1", DeliveryStatus::Succeeded).await;
    receiver.answer_next([Answer::Status(410)]);
    world.publish("e2").await;
    world.delivery_is("e2", DeliveryStatus::Held).await;
    logged(&world.process, &["deactivated destination", &id]).await;
    world.enable(&id, false).await;
    let recovered = world.delivery_is("e2", DeliveryStatus::Succeeded).await.delivery.unwrap();
    let retry = api::RetryDeliveriesRequest { delivery_ids: vec![recovered.delivery_id], ..crate::jobs::retries() };
    let job = world.retry_many(retry).await.unwrap().job_id;
    world.job_is(&job, JobStatus::Completed).await;
    logged(&world.process, &["destination recovered", &id]).await;
    world.disable(&id).await;

    for (message, of) in [
        ("breaker of lane opened; it allows only probes", &id),
        ("breaker of lane closed; requests continue", &id),
        ("deactivated destination", &id),
        ("enabled destination", &id),
        ("destination recovered", &id),
        ("disabled destination", &id),
        ("job runs here", &job),
        ("job ended", &job),
    ] {
        logged(&world.process, &[message, of]).await;
        assert_eq!(count(&world.process, &[message, of]), 1, "{message}: {}", world.process.output());
    }
}

#[tokio::test]
async fn a_lost_and_a_found_broker_are_one_line_each() {
    let broker = NatsServer::start().await;
    let world = World::start_with(&["--nats-url", &broker.url()], &[]).await;
    let (lost, found) = ("connection to the broker lost; reconnecting", "reconnected to the broker");
    broker.kill();
    logged(&world.process, &[lost]).await;
    broker.restart().await;
    logged(&world.process, &[found]).await;
    // It works again.
    world.publish("e1").await;
    let counts = [lost, found].map(|message| count(&world.process, &[message]));
    assert_eq!(counts, [1, 1], "{}", world.process.output());
}

#[tokio::test]
async fn a_gained_and_a_lost_lease_are_one_line_each() {
    const GAINED: [&str; 2] = ["this process is the leader now", "reader=\"notifier\""];
    const LOST: [&str; 2] = ["lost the lease to another process", "reader=\"notifier\""];
    let broker = NatsServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let outbox = folder.path().to_str().unwrap();
    let url = broker.url();
    let start = async || {
        let args = arguments("notifier", &["--outbox", outbox]);
        let process = Process::start("notifier", program(), args, [("LEADLINE_NATS_URL", url.as_str())]);
        address(&process, "http=").await;
        process
    };
    let first = start().await;
    logged(&first, &GAINED).await;
    let second = start().await;
    // A process that hangs does not notice the loss of its lease before it continues.
    first.freeze();
    logged(&second, &GAINED).await;
    first.thaw();
    logged(&first, &LOST).await;
    assert_eq!((count(&first, &GAINED), count(&first, &LOST)), (1, 1), "{}", first.output());
    assert_eq!((count(&second, &GAINED), count(&second, &LOST)), (1, 0), "{}", second.output());
}
