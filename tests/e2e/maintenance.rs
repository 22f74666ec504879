//! Maintenance as a separate process, beside query processes with and without `--no-maintenance`.

use api::{DeliveryStatus, JobStatus};
use testkit::{postgres, wait};

use crate::{
    jobs::counts,
    jobs_alone::{all_done_once, everything, failed, sqlite_and_postgres},
    processes::Alone,
    world::{Home, SOON},
};

pub(crate) const LEFT_TO_OTHERS: [(&str, &str); 1] = [("LEADLINE_NO_MAINTENANCE", "true")];

#[tokio::test]
async fn without_maintenance_jobs_wait_for_it() {
    let files = Home::new();
    for database in sqlite_and_postgres(&files).await {
        let alone = Alone::start(database).await;
        let world = alone.query(Home::new(), &LEFT_TO_OTHERS).await;
        let _receiver = failed(&world, 40).await;
        let job = world.retry_many(everything(1_000)).await.unwrap();
        // Query works meanwhile.
        world.publish("later").await;
        wait::until("a later lead", SOON, async || world.all(DeliveryStatus::Succeeded).await.len() == 1).await;
        let waiting = world.job(&job.job_id).await;
        assert_eq!((waiting.status(), counts(&waiting).examined), (JobStatus::Running, 0), "{waiting:?}");

        let maintenance = alone.maintenance().await;
        wait::until("end of the job", SOON, async || world.job(&job.job_id).await.status() == JobStatus::Completed)
            .await;
        assert_eq!(counts(&world.job(&job.job_id).await).retried, 40);
        maintenance.terminate();
        assert_eq!(maintenance.wait_exit(SOON).await.code(), Some(0), "{}", maintenance.output());
    }
}

#[tokio::test]
async fn job_of_killed_maintenance_continues_and_retries_once() {
    let alone = Alone::start(postgres::database().await).await;
    let world = alone.query(Home::new(), &LEFT_TO_OTHERS).await;
    let maintenance = alone.maintenance().await;
    let receiver = failed(&world, 60).await;
    let job = world.retry_many(everything(20)).await.unwrap();
    wait::until("the middle of the job", SOON, async || receiver.count() >= 60 + 20).await;
    maintenance.kill();
    // An older installation starts query without `--no-maintenance`. So two processes may run maintenance at the same
    // time.
    let _other = alone.query(Home::new(), &[]).await;
    let _again = alone.maintenance().await;
    all_done_once(&world, &receiver, &job.job_id, 60).await;
}
