//! Limits of open files: hanging destinations leave connections to the others, and the lack of files is not a failure
//! of a receiver.

use std::{process::Command, time::Duration};

use api::{DeliveryStatus, Destination};
use testkit::{Answer, Receiver, postgres, wait};

use crate::{
    lane_crashes::parked,
    processes::Alone,
    usage::open_files,
    world::{Home, SOON, World, events_at, some_destination},
};

/// Longer than each of these tests.
const PATIENT: Duration = Duration::from_secs(60);
/// The log message of a process that may open no more files.
const NO_MORE: &str = "may open no more files";

async fn patient_destination(world: &World, url: String, concurrency: u32) -> String {
    let timeout = Some(api::duration_to_api(PATIENT));
    world.destination_with(Destination { url, timeout, concurrency, ..some_destination() }).await
}

#[tokio::test]
async fn hanging_destinations_leave_connections_to_others() {
    // The process raises its soft limit to the hard limit.
    let alone = Alone::start_with(postgres::database().await, &["prlimit", "--nofile=60:200"]).await;
    let world = alone.query(Home::new(), &[]).await;
    world.set_up().await;
    let (hanging, healthy) = (Receiver::start().await, Receiver::start().await);
    hanging.answer(Answer::Gate(200));
    for n in 0..20 {
        patient_destination(&world, format!("{}/{n}", hanging.url()), 32).await;
    }
    world.destination(&healthy.url()).await;
    world.publish_many(30).await;
    wait::until_eq("all at the healthy one", SOON, 30, async || events_at(&healthy).len()).await;
    wait::until("most of them taken", SOON, async || hanging.in_flight() >= 60).await;
    assert!(hanging.in_flight() <= 100, "{} requests at once", hanging.in_flight());
    assert!(!alone.dispatcher.output().contains(NO_MORE), "{}", alone.dispatcher.output());
    hanging.open_gate();
    wait::until_eq("all at those that hung", SOON, 20 * 30, async || hanging.count()).await;
}

#[tokio::test]
async fn lack_of_files_is_not_a_failure_of_a_receiver() {
    let alone = Alone::start(postgres::database().await).await;
    let world = alone.query(Home::new(), &[]).await;
    world.set_up().await;
    let receiver = Receiver::start().await;
    receiver.answer(Answer::Gate(200));
    patient_destination(&world, receiver.url(), 40).await;
    let limit = format!("--nofile={0}:{0}", open_files(&alone.dispatcher) + 10);
    let process = alone.dispatcher.id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &process, &limit]).status().unwrap().success());
    world.publish_many(40).await;
    alone.dispatcher.wait_line(NO_MORE, SOON).await;
    wait::until_eq("the rest parked", SOON, 40, async || receiver.in_flight() + parked(&world).await as usize).await;
    assert!(receiver.in_flight() < 40);
    receiver.open_gate();
    for n in 0..40 {
        let detail = world.delivery_is(&format!("e{n}"), DeliveryStatus::Succeeded).await;
        assert_eq!(detail.attempts.len(), 1, "{detail:?}");
    }
    assert_eq!((receiver.count(), events_at(&receiver).len()), (40, 40));
}
