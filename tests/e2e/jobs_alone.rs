//! The process that works on a job may die or hang: another one continues, and everything is done once.

use std::fs;

use api::{DeliveryStatus, JobStatus};
use testkit::{Answer, Receiver, postgres, wait};

use crate::{
    jobs::{counts, retries},
    processes::Alone,
    world::{Home, SOON, World, events_at},
};

/// Creates failed deliveries at a receiver that now accepts everything.
pub(crate) async fn failed(world: &World, count: usize) -> Receiver {
    let receiver = Receiver::start().await;
    receiver.answer(Answer::Status(500));
    world.set_up().await;
    world.destination(&receiver.url()).await;
    world.publish_failing(count).await;
    receiver.answer(Answer::Status(200));
    receiver
}

/// Every delivery was retried exactly once, and the receiver saw each event twice.
pub(crate) async fn all_done_once(world: &World, receiver: &Receiver, job_id: &str, count: usize) {
    let job = world.job_is(job_id, JobStatus::Completed).await;
    let done = counts(&job);
    assert_eq!((done.examined, done.retried, done.refused), (count as u64, count as u64, 0), "{job:?}");
    let succeeded = wait::until("all of them", SOON, async || {
        let succeeded = world.all(DeliveryStatus::Succeeded).await;
        if succeeded.len() == count { Ok(succeeded) } else { Err(succeeded.len()) }
    })
    .await;
    assert!(succeeded.iter().all(|delivery| (delivery.retries, delivery.attempts) == (1, 2)), "{succeeded:?}");
    assert_eq!((receiver.count(), events_at(receiver).len()), (2 * count, count));
    for n in [0, count / 2, count - 1] {
        let log = world.log(&format!("e{n}")).await;
        assert_eq!(log.iter().filter(|(entry, _)| entry == "resentwebhook").count(), 1, "{log:?}");
    }
}

pub(crate) fn everything(pace: u32) -> api::RetryDeliveriesRequest {
    api::RetryDeliveriesRequest { filter: Some(api::DeliveryFilter::default()), pace, ..retries() }
}

pub(crate) async fn sqlite_and_postgres(home: &Home) -> [String; 2] {
    fs::create_dir_all(home.data()).unwrap();
    let file = home.data().join("leads.db");
    [format!("sqlite:{}?mode=rwc", file.display()), postgres::database().await]
}

#[tokio::test]
async fn job_of_a_killed_process_continues_and_retries_once() {
    let files = Home::new();
    for database in sqlite_and_postgres(&files).await {
        let alone = Alone::start(database).await;
        let world = alone.query(Home::new(), &[]).await;
        let receiver = failed(&world, 120).await;
        let job = world.retry_many(everything(20)).await.unwrap();
        wait::until("the middle", SOON, async || receiver.count() >= 120 + 50).await;
        assert!(counts(&world.job(&job.job_id).await).retried > 0);
        world.process.kill();
        let world = alone.query(world.home, &[]).await;
        all_done_once(&world, &receiver, &job.job_id, 120).await;
    }
}

#[tokio::test]
async fn listed_retries_and_recoveries_continue_after_a_kill() {
    let alone = Alone::start(postgres::database().await).await;
    let world = alone.query(Home::new(), &[]).await;
    let receiver = failed(&world, 60).await;
    let delivery_ids = world.all(DeliveryStatus::Failed).await.into_iter().map(|d| d.delivery_id).collect();
    let request = api::RetryDeliveriesRequest { delivery_ids, pace: 20, ..retries() };
    let job = world.retry_many(request).await.unwrap();
    wait::until("the middle", SOON, async || receiver.count() >= 60 + 20).await;
    world.process.kill();
    let world = alone.query(world.home, &[]).await;
    all_done_once(&world, &receiver, &job.job_id, 60).await;

    let late = Receiver::start().await;
    let request = api::RecoverDestinationRequest {
        account_id: crate::world::ACCOUNT.into(),
        destination_id: world.destination(&late.url()).await,
        since: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
        include_before_created: true,
        pace: 20,
        ..api::RecoverDestinationRequest::default()
    };
    let job = world.jobs().recover_destination(request).await.unwrap().into_inner().job.unwrap();
    wait::until("the middle", SOON, async || late.count() >= 20).await;
    world.process.kill();
    let world = alone.query(world.home, &[]).await;
    let done = counts(&world.job_is(&job.job_id, JobStatus::Completed).await);
    assert_eq!((done.examined, done.requested, done.had, done.refused), (60, 60, 0, 0));
    wait::until_eq("all of them", SOON, 60, async || late.count()).await;
    assert_eq!(events_at(&late).len(), 60);
}

#[tokio::test]
async fn crash_between_a_retry_and_its_record_repeats_nothing() {
    for place in ["after a job asked for a delivery", "after a job's progress is stored"] {
        let alone = Alone::start(postgres::database().await).await;
        let world = alone.query(Home::new(), &[]).await;
        let receiver = failed(&world, 10).await;
        world.process.terminate();
        world.process.wait_exit(SOON).await;
        let world = alone.query(world.home, &[("LEADLINE_CRASH_AT", place)]).await;
        let request = api::RetryDeliveriesRequest { request_id: "once".into(), ..everything(1_000) };
        // The process may die before it answers.
        let _ = world.retry_many(request.clone()).await;
        assert!(!world.process.wait_exit(SOON).await.success(), "{place}");
        let world = alone.query(world.home, &[]).await;
        let job = world.retry_many(request).await.unwrap();
        all_done_once(&world, &receiver, &job.job_id, 10).await;
    }
}

#[tokio::test]
async fn hanging_process_loses_its_job_to_another() {
    let alone = Alone::start(postgres::database().await).await;
    let first = alone.query(Home::new(), &[]).await;
    let receiver = failed(&first, 150).await;
    // The first process takes the job while it is alone.
    let job = first.retry_many(everything(10)).await.unwrap();
    wait::until("some progress", SOON, async || counts(&first.job(&job.job_id).await).retried >= 10).await;
    let second = alone.query(Home::new(), &[]).await;
    first.process.freeze();
    let before = counts(&second.job(&job.job_id).await).retried;
    wait::until("the second one's progress", SOON, async || {
        counts(&second.job(&job.job_id).await).retried > before + 10
    })
    .await;
    first.process.thaw();
    all_done_once(&second, &receiver, &job.job_id, 150).await;
    assert_eq!(first.job(&job.job_id).await, second.job(&job.job_id).await);
}

#[tokio::test]
async fn stopping_process_hands_its_job_over_at_once() {
    let alone = Alone::start(postgres::database().await).await;
    let (first, second) = (alone.query(Home::new(), &[]).await, alone.query(Home::new(), &[]).await);
    let receiver = failed(&first, 60).await;
    let job = first.retry_many(everything(20)).await.unwrap();
    wait::until("the middle", SOON, async || receiver.count() >= 60 + 20).await;
    first.process.terminate();
    assert!(first.process.wait_exit(SOON).await.success());
    all_done_once(&second, &receiver, &job.job_id, 60).await;
}
